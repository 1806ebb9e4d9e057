-- Series with a day missing, a day too many, or a value below zero where there can be none.
with clock as (
    select clock_day from {{ ref('int_data_clock') }}
)

select
    daily_series.series_id,
    count(*) as days,
    min(daily_series.ds) as first_day,
    max(daily_series.ds) as last_day,
    min(daily_series.y) as lowest
from {{ ref('daily_series') }} as daily_series
cross join clock
group by daily_series.series_id, daily_series.metric, clock.clock_day
having
    count(*) <> max(daily_series.ds) - min(daily_series.ds) + 1
    or max(daily_series.ds) <> clock.clock_day - 1
    or (daily_series.metric in ('tons', 'lifts', 'tickets') and min(daily_series.y) < 0)
