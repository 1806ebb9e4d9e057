-- One row per load, in the hour it was tipped, at the depot of its run of that day, else of its route, else of its truck.
with loads as (
    select * from {{ ref('stg_operations__loads') }}
),

runs as (
    select route_run_id, service_date, depot_id from {{ ref('stg_operations__route_runs') }}
),

routes as (
    select route_id, depot_id from {{ ref('stg_operations__routes') }}
),

vehicles as (
    select vehicle_id, depot_id from {{ ref('stg_fleet__vehicles') }}
)

select
    loads.load_id,
    loads.service_date as operating_date,
    loads.route_id,
    coalesce(runs.depot_id, routes.depot_id, vehicles.depot_id, 'unassigned') as depot_id,
    {{ hour_on_day('loads.service_date', 'loads.tipped_at') }} as hour_at,
    loads.waste_stream,
    {{ tons('loads.weight_lb') }} as tons,
    case
        when loads.extracted_at >= loads.updated_at and not {{ came_with_history('loads', 'loads.batch_id') }}
            then extract(epoch from loads.extracted_at - loads.updated_at) / 60
    end::numeric(14, 4) as latency_minutes
from loads
left join runs on runs.route_run_id = loads.route_run_id and runs.service_date = loads.service_date
left join routes on routes.route_id = loads.route_id
left join vehicles on vehicles.vehicle_id = loads.vehicle_id
