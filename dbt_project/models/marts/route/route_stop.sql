-- One row per route stop: one container visited, or to be visited, on a route run.
{{
    config(
        materialized='business_days',
        day='service_date',
        sources=[
            'route_stops', 'route_runs', 'routes', 'depots', 'vehicles', 'shifts', 'loads', 'service_locations',
            'containers',
        ],
        indexes=[{'columns': ['route_stop_id', 'service_date'], 'unique': true}],
    )
}}
with stops as (
    select
        route_stop_id,
        route_run_id,
        route_id,
        customer_id,
        service_location_id,
        container_id,
        service_date,
        status,
        missed_reason,
        is_contaminated,
        is_overage,
        fill_ratio,
        weight_lb,
        planned_sequence,
        actual_sequence,
        planned_at,
        arrived_at,
        departed_at,
        actual_sequence is not null or arrived_at is not null as is_reached
    from {{ ref('stg_operations__route_stops') }}
    where {{ in_rebuilt_days('service_date') }}
),

runs as (
    select
        route_run_id,
        service_date,
        depot_id,
        vehicle_id,
        driver_id,
        depot_latitude,
        depot_longitude,
        reached_stops,
        cost_cents
    from {{ ref('int_route__run_cost') }}
    where {{ in_rebuilt_days('service_date') }}
),

locations as (
    select service_location_id, latitude, longitude
    from {{ ref('int_route__location_curve') }}
),

routes as (
    select route_id, depot_id
    from {{ ref('stg_operations__routes') }}
),

containers as (
    select container_id, waste_stream, capacity_yd3
    from {{ ref('stg_operations__containers') }}
),

placed as (
    select
        stops.*,
        locations.latitude,
        locations.longitude
    from stops
    left join locations on locations.service_location_id = stops.service_location_id
),

driven as (
    -- stops that were not reached come last and have no part in distances and costs
    select
        *,
        row_number() over driven_order as stop_number,
        lag(departed_at) over driven_order as previous_departed_at,
        lag(latitude) over driven_order as previous_latitude,
        lag(longitude) over driven_order as previous_longitude
    from placed
    window driven_order as (
        partition by service_date, route_run_id
        order by is_reached desc, actual_sequence, arrived_at, route_stop_id
    )
)

select
    -- keys
    driven.route_stop_id,
    driven.service_date,
    driven.route_run_id,
    driven.route_id,
    coalesce(runs.depot_id, routes.depot_id) as depot_id,
    runs.vehicle_id,
    runs.driver_id,
    driven.customer_id,
    driven.service_location_id,
    driven.container_id,
    -- what was to be lifted
    containers.waste_stream,
    containers.capacity_yd3,
    -- what happened
    driven.status,
    driven.missed_reason,
    driven.status = 'completed' as is_lift,
    driven.status = 'missed' as is_missed,
    coalesce(driven.is_contaminated, false) as is_contaminated,
    coalesce(driven.is_overage, false) as is_overage,
    driven.fill_ratio,
    {{ tons('driven.weight_lb') }}::numeric(12, 6) as weight_tons,
    -- planned against actual
    driven.planned_sequence,
    driven.actual_sequence,
    driven.actual_sequence::bigint - driven.planned_sequence as sequence_change,
    driven.planned_at,
    driven.arrived_at,
    driven.departed_at,
    {{ minutes_between('driven.planned_at', 'driven.arrived_at') }} as arrival_delay_minutes,
    -- times that stand in the wrong order tell no duration
    case
        when driven.departed_at >= driven.arrived_at then {{ minutes_between('driven.arrived_at', 'driven.departed_at') }}
    end as minutes_at_stop,
    case
        when driven.arrived_at >= driven.previous_departed_at
            then {{ minutes_between('driven.previous_departed_at', 'driven.arrived_at') }}
    end as minutes_from_previous,
    -- straight-line distances
    case
        when driven.is_reached
            then {{ haversine_miles(
                'case when driven.stop_number = 1 then runs.depot_latitude else driven.previous_latitude end',
                'case when driven.stop_number = 1 then runs.depot_longitude else driven.previous_longitude end',
                'driven.latitude', 'driven.longitude'
            ) }}
    end as miles_from_previous,
    case
        when driven.is_reached and driven.stop_number = runs.reached_stops
            then {{ haversine_miles(
                'runs.depot_latitude', 'runs.depot_longitude', 'driven.latitude', 'driven.longitude'
            ) }}
    end as miles_back_to_depot,
    -- the run's direct cost, in equal shares over the stops reached, to the cent
    case
        when driven.is_reached
            then (
                (runs.cost_cents * driven.stop_number) / runs.reached_stops
                - (runs.cost_cents * (driven.stop_number - 1)) / runs.reached_stops
            ) * 0.01
    end::numeric(14, 2) as cost_share_usd
from driven
left join runs on runs.route_run_id = driven.route_run_id and runs.service_date = driven.service_date
left join routes on routes.route_id = driven.route_id
left join containers on containers.container_id = driven.container_id
