-- One row per grain, depot and date forecast: the latest forecast of its revenue and of its cost.
with forecasts as (
    select * from {{ ref('stg_ml__forecast') }}
    where level = 'depot' and metric in ('revenue_usd', 'cost_usd')
),

latest as (
    select distinct on (series_id, grain, target_date) *
    from forecasts
    order by series_id, grain, target_date, origin_date desc
)

select
    -- keys
    grain,
    entity_id as depot_id,
    target_date,
    -- facts
    (max(forecast) filter (where metric = 'revenue_usd'))::numeric(14, 2) as revenue_forecast_usd,
    (max(forecast) filter (where metric = 'cost_usd'))::numeric(14, 2) as cost_forecast_usd
from latest
group by grain, entity_id, target_date
