-- versions of code stood in etl.model_state under the tables 'dbt:code' and 'dbt:sql'
alter table etl.model_build
    add column batch_id bigint not null default nextval('etl.batch_id'),
    add column code_version bigint not null default 0,
    add column sql_version bigint,
    drop column checksum;
alter table etl.model_build
    alter column batch_id drop default,
    alter column code_version drop default;
update etl.model_build as build
set code_version = state.batch_id
from etl.model_state as state
where state.model = build.model and state.source_table = 'dbt:code';
update etl.model_build as build
set sql_version = state.batch_id
from etl.model_state as state
where state.model = build.model and state.source_table = 'dbt:sql';

-- of a dbt model, assets noted the microsecond of its build
update etl.model_state as state
set batch_id = case
    when state.batch_id = (extract(epoch from build.built_at) * 1000000)::bigint then build.batch_id
    else 0
end
from etl.model_build as build
where build.model = state.source_table;

-- what checks remember stood there under the table 'fingerprint'
create table etl.check_pass (
    check_name text primary key,
    fingerprint bigint not null,
    passed_at timestamptz not null default now()
);
insert into etl.check_pass (check_name, fingerprint)
select model, batch_id
from etl.model_state
where source_table = 'fingerprint';

delete from etl.model_state where source_table in ('dbt:code', 'dbt:sql', 'fingerprint');

comment on sequence etl.batch_id is
    'Numbers of batches: what one transaction of extraction, of an asset or of dbt changed in a table. Taken under a lock of '
    'that table: their order is commit order per table.';
comment on table etl.setting is 'What was settled for this warehouse when it was first filled, one row each.';
comment on column etl.setting.key is 'time_zone (the company''s), profile (the source profile) or profile_settings.';
comment on column etl.setting.value is 'Its value as text; profile_settings as JSON, without those that are secret.';
comment on table etl.model_state is 'The last batch of each table that a model has been made from; moves with what it makes.';
comment on column etl.model_state.model is 'dbt model, or asset such as ml.churn_prediction.';
comment on column etl.model_state.source_table is 'Raw table, table with a row in etl.table_state, or dbt model that an asset reads.';
comment on column etl.model_state.batch_id is 'Last batch of that table, or last build of that dbt model, it has been made from.';
comment on table etl.model_build is 'One row per dbt model: its last build.';
comment on column etl.model_build.model is 'dbt model.';
comment on column etl.model_build.batch_id is 'Number of the build, counted with the batches of tables.';
comment on column etl.model_build.code_version is
    'Version of its code, of the code of all models it is made from, and of the time zone: another one means a full rebuild.';
comment on column etl.model_build.sql_version is
    'Version of its compiled SQL, macros and variables in it; null for models whose SQL differs from build to build.';
comment on column etl.model_build.rows is 'Rows the table has; 0 for a view.';
comment on column etl.model_build.days_rebuilt is 'Business days it rebuilt; null where the whole table was made anew.';
comment on table etl.check_pass is 'One row per check in Python that passed when it last judged a table.';
comment on column etl.check_pass.check_name is 'Name of the check.';
comment on column etl.check_pass.fingerprint is 'Fingerprint of the table''s rows and of the rules that held for them.';
comment on column etl.check_pass.passed_at is 'When it passed.';
