-- One row per driver.
select
    -- primary key
    driver_id,
    -- foreign keys
    depot_id,
    -- facts
    name as driver_name,
    license_class,
    -- times
    hired_date,
    left_date,
    updated_at,
    -- arrival
    _batch_id as batch_id,
    _extracted_at as extracted_at,
    _flags as rule_flags
from {{ source('operations', 'drivers') }}
where _deleted_at is null
