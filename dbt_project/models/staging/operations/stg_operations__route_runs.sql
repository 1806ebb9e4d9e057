-- One row per route run: a route on a day.
select
    -- primary key
    route_run_id,
    -- foreign keys
    route_id,
    depot_id,
    vehicle_id,
    driver_id,
    -- facts
    status,
    planned_stops,
    planned_miles,
    actual_miles,
    planned_tons,
    fuel_gallons,
    traffic_delay_minutes,
    is_holiday_shifted,
    -- times
    service_date,
    planned_start_at,
    planned_end_at,
    started_at,
    ended_at,
    updated_at,
    -- arrival
    _batch_id as batch_id,
    _extracted_at as extracted_at,
    _flags as rule_flags
from {{ source('operations', 'route_runs') }}
where _deleted_at is null
