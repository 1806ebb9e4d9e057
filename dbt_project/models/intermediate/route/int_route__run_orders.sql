-- One row per route run: the length of the round trip over the stops it reached, in two orders other than the driven one.
{{
    config(
        materialized='business_days',
        day='service_date',
        sources=['route_stops', 'route_runs', 'routes', 'depots', 'vehicles', 'shifts', 'loads', 'service_locations'],
    )
}}
with stops as (
    select route_run_id, service_date, route_stop_id, service_location_id, planned_sequence
    from {{ ref('stg_operations__route_stops') }}
    where {{ in_rebuilt_days('service_date') }} and (actual_sequence is not null or arrived_at is not null)
),

runs as (
    select route_run_id, service_date, reached_stops, depot_latitude, depot_longitude
    from {{ ref('int_route__run_cost') }}
    where {{ in_rebuilt_days('service_date') }}
),

locations as (
    select service_location_id, latitude, longitude, curve_position
    from {{ ref('int_route__location_curve') }}
),

placed as (
    select
        stops.service_date,
        stops.route_run_id,
        stops.route_stop_id,
        stops.planned_sequence,
        locations.curve_position,
        locations.latitude,
        locations.longitude
    from stops
    left join locations on locations.service_location_id = stops.service_location_id
),

ordered as (
    select
        service_date,
        route_run_id,
        latitude,
        longitude,
        row_number() over planned_order as planned_number,
        lag(latitude) over planned_order as planned_latitude,
        lag(longitude) over planned_order as planned_longitude,
        row_number() over curve_order as curve_number,
        lag(latitude) over curve_order as curve_latitude,
        lag(longitude) over curve_order as curve_longitude
    from placed
    window
        planned_order as (partition by service_date, route_run_id order by planned_sequence, route_stop_id),
        curve_order as (partition by service_date, route_run_id order by curve_position, route_stop_id)
),

legs as (
    select
        ordered.route_run_id,
        ordered.service_date,
        ordered.latitude,
        {{ haversine_miles(
            'case when ordered.planned_number = 1 then runs.depot_latitude else ordered.planned_latitude end',
            'case when ordered.planned_number = 1 then runs.depot_longitude else ordered.planned_longitude end',
            'ordered.latitude', 'ordered.longitude'
        ) }} as planned_miles,
        {{ haversine_miles(
            'case when ordered.curve_number = 1 then runs.depot_latitude else ordered.curve_latitude end',
            'case when ordered.curve_number = 1 then runs.depot_longitude else ordered.curve_longitude end',
            'ordered.latitude', 'ordered.longitude'
        ) }} as curve_miles,
        case
            when runs.reached_stops in (ordered.planned_number, ordered.curve_number)
                then {{ haversine_miles(
                    'runs.depot_latitude', 'runs.depot_longitude', 'ordered.latitude', 'ordered.longitude'
                ) }}
        end as miles_to_depot,
        ordered.planned_number = runs.reached_stops as is_last_planned,
        ordered.curve_number = runs.reached_stops as is_last_on_curve
    from ordered
    inner join runs on runs.route_run_id = ordered.route_run_id and runs.service_date = ordered.service_date
)

select
    route_run_id,
    service_date,
    count(*)::integer as reached_stops,
    count(latitude)::integer as located_stops,
    (sum(planned_miles) + coalesce(sum(miles_to_depot) filter (where is_last_planned), 0))::numeric(10, 3)
        as planned_order_miles,
    (sum(curve_miles) + coalesce(sum(miles_to_depot) filter (where is_last_on_curve), 0))::numeric(10, 3)
        as curve_order_miles
from legs
group by route_run_id, service_date
