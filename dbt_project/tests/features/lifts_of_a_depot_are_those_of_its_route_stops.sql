-- Days of the last 90 on which the lifts of a depot's series are not those of the route stops that count for it.
with series as (
    select entity_id as depot_id, ds, y as lifts
    from {{ ref('daily_series') }}
    where metric = 'lifts' and level = 'depot' and y <> 0 and ds >= {{ data_clock() }} - 90
),

stop_day as (
    select depot_id, service_date as ds, count(*) as lifts
    from {{ ref('route_stop') }}
    where
        is_lift
        and depot_id is not null
        and service_date >= {{ data_clock() }} - 90
        and service_date < {{ data_clock() }}
    group by depot_id, service_date
)

select
    coalesce(series.depot_id, stop_day.depot_id) as depot_id,
    coalesce(series.ds, stop_day.ds) as ds,
    stop_day.lifts as expected_lifts,
    series.lifts
from series
full join stop_day on stop_day.depot_id = series.depot_id and stop_day.ds = series.ds
where series.lifts is distinct from stop_day.lifts
