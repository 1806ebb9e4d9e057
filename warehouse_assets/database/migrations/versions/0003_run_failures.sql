create table etl.run_failure (
    run_id text primary key,
    job text not null,
    failed_at timestamptz not null default now(),
    sentence text not null
);
create index run_failure_failed_at on etl.run_failure (failed_at desc);
comment on table etl.run_failure is 'One row per failed run, written by the command that ran it or by the sensor for failed runs.';
comment on column etl.run_failure.run_id is 'Dagster run that failed.';
comment on column etl.run_failure.job is 'Job it ran.';
comment on column etl.run_failure.failed_at is 'When it was noted.';
comment on column etl.run_failure.sentence is 'What went wrong, in one sentence.';
