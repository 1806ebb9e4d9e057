-- One row per depot.
select
    -- primary key
    depot_id,
    -- facts
    name as depot_name,
    region,
    latitude,
    longitude,
    -- times
    opened_date,
    updated_at,
    -- arrival
    _batch_id as batch_id,
    _extracted_at as extracted_at,
    _flags as rule_flags
from {{ source('operations', 'depots') }}
where _deleted_at is null
