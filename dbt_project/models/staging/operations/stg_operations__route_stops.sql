-- One row per route stop: one container visited on a route run.
select
    -- primary key
    route_stop_id,
    -- foreign keys
    route_run_id,
    route_id,
    customer_id,
    service_location_id,
    container_id,
    -- facts
    planned_sequence,
    actual_sequence,
    status,
    missed_reason,
    is_contaminated,
    is_overage,
    fill_ratio,
    weight_lb,
    -- times
    service_date,
    planned_at,
    arrived_at,
    departed_at,
    updated_at,
    -- arrival
    _batch_id as batch_id,
    _extracted_at as extracted_at,
    _flags as rule_flags
from {{ source('operations', 'route_stops') }}
where _deleted_at is null
