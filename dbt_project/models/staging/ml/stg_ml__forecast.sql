-- One row per series, origin and date forecast.
select
    -- primary key
    series_id,
    origin_date,
    target_date,
    -- what is forecast
    metric,
    grain,
    level,
    entity_id,
    -- facts
    forecast,
    forecast_lower,
    forecast_upper,
    interval_level,
    method,
    -- times
    created_at
from {{ source('ml', 'forecast') }}
