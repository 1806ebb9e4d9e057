create table etl.test_pass (
    test text primary key,
    version bigint not null,
    batches jsonb not null,
    passed_at timestamptz not null default now()
);
comment on table etl.test_pass is 'One row per dbt data test that passed when it last ran.';
comment on column etl.test_pass.test is 'Name of the test.';
comment on column etl.test_pass.version is 'Version of its SQL and of what it does about failures.';
comment on column etl.test_pass.batches is 'Last batch of each source table that its models are made from.';
comment on column etl.test_pass.passed_at is 'When it passed.';
delete from etl.model_state where source_table = 'dbt:tests';
