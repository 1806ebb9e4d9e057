-- One row per container (bin).
select
    -- primary key
    container_id,
    -- foreign keys
    service_location_id,
    service_agreement_id,
    -- facts
    container_type,
    waste_stream,
    capacity_yd3,
    -- times
    installed_date,
    removed_date,
    updated_at,
    -- arrival
    _batch_id as batch_id,
    _extracted_at as extracted_at,
    _flags as rule_flags
from {{ source('operations', 'containers') }}
where _deleted_at is null
