-- One row per maintenance order.
select
    -- primary key
    maintenance_order_id,
    -- foreign keys
    vehicle_id,
    depot_id,
    -- facts
    order_type,
    component,
    downtime_hours,
    parts_usd,
    labor_usd,
    -- times
    opened_at,
    {{ business_day('opened_at') }} as opened_date,
    closed_at,
    updated_at,
    -- arrival
    _batch_id as batch_id,
    _extracted_at as extracted_at,
    _flags as rule_flags
from {{ source('fleet', 'maintenance_orders') }}
where _deleted_at is null
