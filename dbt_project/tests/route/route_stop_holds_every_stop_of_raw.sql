-- Stops, lifts and pounds of raw that route_stop lacks or has too many of.
with raw_stops as (
    select
        count(*) as stops,
        count(*) filter (where status = 'completed') as lifts,
        coalesce(sum(weight_lb), 0) as pounds
    from {{ ref('stg_operations__route_stops') }}
),

mart_stops as (
    select
        count(*) as stops,
        count(*) filter (where is_lift) as lifts,
        coalesce(sum(weight_tons), 0) * 2000 as pounds
    from {{ ref('route_stop') }}
)

select
    raw_stops.stops as raw_stop_count,
    mart_stops.stops as mart_stop_count,
    raw_stops.lifts as raw_lifts,
    mart_stops.lifts as mart_lifts,
    raw_stops.pounds as raw_pounds,
    mart_stops.pounds as mart_pounds
from raw_stops
cross join mart_stops
where
    raw_stops.stops <> mart_stops.stops
    or raw_stops.lifts <> mart_stops.lifts
    or raw_stops.pounds <> mart_stops.pounds
