-- The schemas may have been made beforehand by an administrator: "if not exists" would ask for rights all the same.
do $$
declare
    wanted text;
begin
    foreach wanted in array array['raw', 'quarantine', 'etl', 'ml'] loop
        if to_regnamespace(wanted) is null then
            execute format('create schema %I', wanted);
        end if;
    end loop;
end
$$;

comment on schema raw is 'Faithful copies of the operational tables, one table per contract entry, made by extraction.';
comment on schema quarantine is 'Rows that broke a rule of severity error, one table per contract entry, made by extraction.';
comment on schema etl is 'Control tables: what was extracted, what changed, what each model has seen.';
comment on schema ml is 'Models, their predictions and how well these did.';

create sequence etl.batch_id as bigint;
comment on sequence etl.batch_id is
    'Numbers of extraction batches, taken under the lock of the table extracted: their order is commit order per table.';

create table etl.setting (
    key text primary key,
    value text not null
);
comment on table etl.setting is 'Settings that SQL needs, one row each, such as the company''s time zone.';
comment on column etl.setting.key is 'Name of the setting, such as time_zone.';
comment on column etl.setting.value is 'Its value as text.';

create table etl.job_log (
    job_log_id bigint generated always as identity primary key,
    run_id text,
    batch_id bigint,
    system text not null,
    source_table text not null,
    profile text not null,
    status text not null check (status in ('succeeded', 'unchanged', 'failed')),
    started_at timestamptz not null,
    finished_at timestamptz not null,
    seconds double precision not null check (seconds >= 0),
    rows_extracted bigint check (rows_extracted >= 0),
    rows_inserted bigint check (rows_inserted >= 0),
    rows_updated bigint check (rows_updated >= 0),
    rows_unchanged bigint check (rows_unchanged >= 0),
    rows_deleted bigint check (rows_deleted >= 0),
    rows_rejected bigint check (rows_rejected >= 0),
    bytes bigint check (bytes >= 0),
    watermark_from text,
    watermark_to text,
    error text,
    constraint job_log_error_of_failure check ((status = 'failed') = (error is not null))
);
create index job_log_source_table_finished_at on etl.job_log (source_table, finished_at desc);
create index job_log_run_id on etl.job_log (run_id);
create index job_log_failed on etl.job_log (finished_at desc) where status = 'failed';
comment on table etl.job_log is 'One row per table and extraction attempt; the row of a success commits with its batch.';
comment on column etl.job_log.job_log_id is 'Number of the attempt.';
comment on column etl.job_log.run_id is 'Dagster run that made the attempt; null outside a run.';
comment on column etl.job_log.batch_id is 'Batch that the attempt committed; null if it committed none.';
comment on column etl.job_log.system is 'Source system: crm, operations, fleet, billing, portal or market.';
comment on column etl.job_log.source_table is 'Contract table, which is also its name in raw.';
comment on column etl.job_log.profile is 'Source profile the rows came through.';
comment on column etl.job_log.status is 'succeeded, unchanged (nothing new in the source) or failed.';
comment on column etl.job_log.started_at is 'When the attempt began.';
comment on column etl.job_log.finished_at is 'When the attempt ended.';
comment on column etl.job_log.seconds is 'Seconds it took.';
comment on column etl.job_log.rows_extracted is 'Rows read from the source.';
comment on column etl.job_log.rows_inserted is 'Rows new in raw.';
comment on column etl.job_log.rows_updated is 'Rows of raw that changed.';
comment on column etl.job_log.rows_unchanged is 'Rows read that equal what raw has.';
comment on column etl.job_log.rows_deleted is 'Rows found deleted in the source and marked in raw.';
comment on column etl.job_log.rows_rejected is 'Rows put in quarantine.';
comment on column etl.job_log.bytes is 'Bytes that travelled from the source.';
comment on column etl.job_log.watermark_from is 'Cursor value from which rows were read; null for a full read.';
comment on column etl.job_log.watermark_to is 'Highest cursor value read.';
comment on column etl.job_log.error is 'What went wrong, in one sentence; null unless failed.';

create table etl.table_state (
    source_table text primary key,
    profile text not null,
    batch_id bigint not null,
    changed_batch_id bigint,
    watermark text,
    rows_raw bigint check (rows_raw >= 0),
    rows_quarantined bigint check (rows_quarantined >= 0),
    contract_hash text,
    extracted_at timestamptz,
    changed_at timestamptz,
    reconciled_at timestamptz,
    constraint table_state_changed_in_a_batch check (changed_batch_id <= batch_id)
);
comment on table etl.table_state is 'One row per table that models depend on: its last batch and what it holds.';
comment on column etl.table_state.source_table is 'Contract table, or a prediction table such as ml.forecast.';
comment on column etl.table_state.profile is 'Source profile the rows came through.';
comment on column etl.table_state.batch_id is 'Last batch committed.';
comment on column etl.table_state.changed_batch_id is 'Last batch that changed a row; null if none ever did.';
comment on column etl.table_state.watermark is 'Cursor value up to which the source has been read.';
comment on column etl.table_state.rows_raw is 'Rows in the table, those marked deleted not counted.';
comment on column etl.table_state.rows_quarantined is 'Rows in quarantine.';
comment on column etl.table_state.contract_hash is 'Hash of the contract entry the table was made from.';
comment on column etl.table_state.extracted_at is 'When the source was last read.';
comment on column etl.table_state.changed_at is 'When a row last changed.';
comment on column etl.table_state.reconciled_at is 'When the keys were last compared with the source''s.';

create table etl.dirty_day (
    source_table text not null,
    batch_id bigint not null,
    business_date date not null,
    primary key (source_table, batch_id, business_date)
);
comment on table etl.dirty_day is 'Business days that a batch touched: those its changed rows are on now and were on before.';
comment on column etl.dirty_day.source_table is 'Table whose rows changed.';
comment on column etl.dirty_day.batch_id is 'Batch that changed them.';
comment on column etl.dirty_day.business_date is 'Day touched, in the company''s time zone.';

create table etl.build_ceiling (
    invocation_id text not null,
    source_table text not null,
    batch_id bigint not null,
    created_at timestamptz not null default now(),
    primary key (invocation_id, source_table)
);
create index build_ceiling_created_at on etl.build_ceiling (created_at);
comment on table etl.build_ceiling is 'The batches that one dbt invocation may see, so that all its models see the same.';
comment on column etl.build_ceiling.invocation_id is 'dbt''s invocation id.';
comment on column etl.build_ceiling.source_table is 'Table.';
comment on column etl.build_ceiling.batch_id is 'Last batch of it that the invocation may see.';
comment on column etl.build_ceiling.created_at is 'When the invocation began; old rows are cleared away by it.';

create table etl.model_state (
    model text not null,
    source_table text not null,
    batch_id bigint not null,
    primary key (model, source_table)
);
comment on table etl.model_state is 'The last batch of each source table that a model has seen; moves with the rebuild.';
comment on column etl.model_state.model is 'dbt model, or asset that follows the same rule.';
comment on column etl.model_state.source_table is 'Table it depends on.';
comment on column etl.model_state.batch_id is 'Last batch of that table it has seen.';

create table etl.model_build (
    model text primary key,
    checksum text not null,
    built_at timestamptz not null,
    rows bigint check (rows >= 0),
    seconds double precision check (seconds >= 0),
    days_rebuilt integer check (days_rebuilt >= 0)
);
comment on table etl.model_build is 'One row per model: its last build.';
comment on column etl.model_build.model is 'dbt model, or asset that follows the same rule.';
comment on column etl.model_build.checksum is 'Checksum of its code: another one means a full rebuild.';
comment on column etl.model_build.built_at is 'When it was last built.';
comment on column etl.model_build.rows is 'Rows the table has.';
comment on column etl.model_build.seconds is 'Seconds it took.';
comment on column etl.model_build.days_rebuilt is 'Business days it rebuilt; null for a full build.';

create table ml.model_version (
    model_version_id bigint generated always as identity primary key,
    model text not null,
    version integer not null check (version > 0),
    created_at timestamptz not null default now(),
    run_id text,
    algorithm text not null,
    parameters jsonb not null default '{}' check (jsonb_typeof(parameters) = 'object'),
    features jsonb not null default '[]' check (jsonb_typeof(features) = 'array'),
    metrics jsonb not null default '{}' check (jsonb_typeof(metrics) = 'object'),
    data_from date,
    data_to date,
    artifact text,
    is_champion boolean not null default false,
    unique (model, version),
    check (data_from <= data_to)
);
create unique index model_version_one_champion on ml.model_version (model) where is_champion;
comment on table ml.model_version is 'Every trained model with all that is needed to score with it again.';
comment on column ml.model_version.model_version_id is 'Number of the version across models.';
comment on column ml.model_version.model is 'What it predicts, such as churn.';
comment on column ml.model_version.version is 'Number of the version within the model, from 1.';
comment on column ml.model_version.created_at is 'When it was trained.';
comment on column ml.model_version.run_id is 'Dagster run that trained it; null outside a run.';
comment on column ml.model_version.algorithm is 'Algorithm and library, such as lightgbm.';
comment on column ml.model_version.parameters is 'Hyperparameters, by name.';
comment on column ml.model_version.features is 'Feature names with their types, in the order the model takes them.';
comment on column ml.model_version.metrics is 'Scores on data it was not trained on, by name.';
comment on column ml.model_version.data_from is 'First business date of its training data.';
comment on column ml.model_version.data_to is 'Last business date of its training data.';
comment on column ml.model_version.artifact is 'The fitted model itself as text (LightGBM text, Prophet JSON).';
comment on column ml.model_version.is_champion is 'Whether this version is the one that scores; at most one per model.';

create table ml.churn_prediction (
    customer_id text collate "C" not null,
    as_of date not null,
    model_version_id bigint references ml.model_version (model_version_id),
    churn_probability double precision check (churn_probability between 0 and 1),
    churn_score numeric(5, 2) check (churn_score between 0 and 100),
    risk_tier text,
    factors jsonb check (jsonb_typeof(factors) = 'object'),
    reasons jsonb check (jsonb_typeof(reasons) = 'array'),
    suggested_action text,
    created_at timestamptz not null default now(),
    run_id text,
    primary key (customer_id, as_of)
);
create index churn_prediction_as_of on ml.churn_prediction (as_of);
create index churn_prediction_model_version_id on ml.churn_prediction (model_version_id);
comment on table ml.churn_prediction is 'One row per customer and day scored: how likely its agreements end within 90 days, and why.';
comment on column ml.churn_prediction.customer_id is 'Customer.';
comment on column ml.churn_prediction.as_of is 'Business date whose knowledge the prediction rests on.';
comment on column ml.churn_prediction.model_version_id is 'Model that scored; null where only the factors could be scored.';
comment on column ml.churn_prediction.churn_probability is 'Calibrated probability, 0 to 1.';
comment on column ml.churn_prediction.churn_score is 'Score of the eight risk factors, 0 to 100.';
comment on column ml.churn_prediction.risk_tier is 'Band the customer falls in.';
comment on column ml.churn_prediction.factors is 'The eight risk factors by name, each 0 to 100.';
comment on column ml.churn_prediction.reasons is 'What moved the probability most, in order: feature, value, contribution, text.';
comment on column ml.churn_prediction.suggested_action is 'What to do about it.';
comment on column ml.churn_prediction.created_at is 'When the row was written.';
comment on column ml.churn_prediction.run_id is 'Dagster run that scored; null outside a run.';

create table ml.forecast (
    series_id text collate "C" not null,
    metric text not null,
    grain text not null check (grain in ('day', 'month')),
    level text not null check (level in ('company', 'depot', 'route')),
    entity_id text collate "C",
    target_date date not null,
    origin_date date not null,
    forecast double precision not null,
    forecast_lower double precision,
    forecast_upper double precision,
    interval_level integer check (interval_level between 1 and 99),
    method text not null,
    model_version_id bigint references ml.model_version (model_version_id),
    created_at timestamptz not null default now(),
    run_id text,
    primary key (series_id, origin_date, target_date),
    check (forecast_lower <= forecast_upper),
    check (target_date > origin_date)
);
create index forecast_target_date on ml.forecast (target_date, metric, level);
create index forecast_model_version_id on ml.forecast (model_version_id);
comment on table ml.forecast is 'One row per series, origin and date forecast.';
comment on column ml.forecast.series_id is 'Series: metric, grain, level and entity in one name.';
comment on column ml.forecast.metric is 'What is forecast, with its unit, such as tons or revenue_usd.';
comment on column ml.forecast.grain is 'day or month.';
comment on column ml.forecast.level is 'company, depot or route.';
comment on column ml.forecast.entity_id is 'Depot or route; null for the company.';
comment on column ml.forecast.target_date is 'Business date forecast; the first day of the month at grain month.';
comment on column ml.forecast.origin_date is 'Last business date (or month''s first day) that the forecast knew.';
comment on column ml.forecast.forecast is 'Forecast, in the metric''s unit.';
comment on column ml.forecast.forecast_lower is 'Lower end of the interval.';
comment on column ml.forecast.forecast_upper is 'Upper end of the interval.';
comment on column ml.forecast.interval_level is 'Percent of outcomes the interval is to cover.';
comment on column ml.forecast.method is 'Method chosen for the series by its backtest.';
comment on column ml.forecast.model_version_id is 'Model that forecast; null for methods without a fitted model to keep.';
comment on column ml.forecast.created_at is 'When the row was written.';
comment on column ml.forecast.run_id is 'Dagster run that forecast; null outside a run.';

create table ml.forecast_backtest (
    series_id text collate "C" not null,
    origin_date date not null,
    method text not null,
    horizon integer not null check (horizon > 0),
    mase double precision check (mase >= 0),
    mae double precision check (mae >= 0),
    smape double precision check (smape >= 0),
    coverage double precision check (coverage between 0 and 1),
    is_selected boolean not null default false,
    created_at timestamptz not null default now(),
    run_id text,
    primary key (series_id, origin_date, method)
);
comment on table ml.forecast_backtest is 'One row per series, rolling origin and method: how well it forecast what was then unknown.';
comment on column ml.forecast_backtest.series_id is 'Series, as in ml.forecast.';
comment on column ml.forecast_backtest.origin_date is 'Last date the method knew.';
comment on column ml.forecast_backtest.method is 'Method.';
comment on column ml.forecast_backtest.horizon is 'Steps forecast.';
comment on column ml.forecast_backtest.mase is 'Mean absolute scaled error; 1 is the seasonal naive method on the training data.';
comment on column ml.forecast_backtest.mae is 'Mean absolute error, in the metric''s unit.';
comment on column ml.forecast_backtest.smape is 'Symmetric mean absolute percentage error, 0 to 200.';
comment on column ml.forecast_backtest.coverage is 'Share of outcomes inside the interval, 0 to 1.';
comment on column ml.forecast_backtest.is_selected is 'Whether the method was chosen for the series.';
comment on column ml.forecast_backtest.created_at is 'When the row was written.';
comment on column ml.forecast_backtest.run_id is 'Dagster run that tested; null outside a run.';
