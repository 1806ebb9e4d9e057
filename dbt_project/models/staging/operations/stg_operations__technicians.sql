-- One row per field technician.
select
    -- primary key
    technician_id,
    -- foreign keys
    depot_id,
    -- facts
    name as technician_name,
    skill,
    -- times
    updated_at,
    -- arrival
    _batch_id as batch_id,
    _extracted_at as extracted_at,
    _flags as rule_flags
from {{ source('operations', 'technicians') }}
where _deleted_at is null
