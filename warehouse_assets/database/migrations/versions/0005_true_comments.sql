comment on column etl.table_state.source_table is
    'Contract table, prediction table such as ml.forecast, or day table that dbt makes, such as intermediate.int_data_clock.';
comment on column ml.model_version.artifact is
    'The fitted model itself as text (LightGBM text, Prophet JSON); null in old versions that are out of service.';
comment on column ml.churn_prediction.model_version_id is 'Model that scored; without a model nobody is scored.';
comment on column ml.churn_prediction.suggested_action is
    'What to do about it: the answer to the factor that raises the probability most.';
comment on column ml.forecast.model_version_id is 'Version that forecast: the methods chosen, and those fitted models that are kept.';
