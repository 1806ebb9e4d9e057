-- One row per failure of a vehicle in service.
select
    -- primary key
    vehicle_failure_id,
    -- foreign keys
    vehicle_id,
    route_run_id,
    maintenance_order_id,
    -- facts
    component,
    severity,
    downtime_hours,
    -- times
    failed_at,
    {{ business_day('failed_at') }} as failed_date,
    updated_at,
    -- arrival
    _batch_id as batch_id,
    _extracted_at as extracted_at,
    _flags as rule_flags
from {{ source('fleet', 'vehicle_failures') }}
where _deleted_at is null
