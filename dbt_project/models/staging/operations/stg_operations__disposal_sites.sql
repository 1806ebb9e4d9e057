-- One row per disposal site: landfill, transfer station, recycling or composting plant.
select
    -- primary key
    disposal_site_id,
    -- facts
    name as disposal_site_name,
    site_type,
    region,
    latitude,
    longitude,
    -- times
    updated_at,
    -- arrival
    _batch_id as batch_id,
    _extracted_at as extracted_at,
    _flags as rule_flags
from {{ source('operations', 'disposal_sites') }}
where _deleted_at is null
