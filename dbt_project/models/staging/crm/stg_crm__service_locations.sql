-- One row per place where containers stand.
select
    -- primary key
    service_location_id,
    -- foreign keys
    customer_id,
    depot_id,
    -- facts
    address,
    city,
    postal_code,
    region,
    latitude,
    longitude,
    -- times
    updated_at,
    -- arrival
    _batch_id as batch_id,
    _extracted_at as extracted_at,
    _flags as rule_flags
from {{ source('crm', 'service_locations') }}
where _deleted_at is null
