-- One row per service order: a one-off booking, mostly a roll-off container.
select
    -- primary key
    service_order_id,
    -- foreign keys
    customer_id,
    service_location_id,
    depot_id,
    -- facts
    container_type,
    waste_stream,
    price_usd,
    status,
    -- times
    requested_at,
    {{ business_day('requested_at') }} as requested_date,
    delivery_date,
    pickup_date,
    updated_at,
    -- arrival
    _batch_id as batch_id,
    _extracted_at as extracted_at,
    _flags as rule_flags
from {{ source('crm', 'service_orders') }}
where _deleted_at is null
