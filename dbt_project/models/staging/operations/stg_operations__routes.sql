-- One row per route.
select
    -- primary key
    route_id,
    -- foreign keys
    depot_id,
    -- facts
    route_name,
    service_type,
    waste_stream,
    service_weekday,
    -- times
    updated_at,
    -- arrival
    _batch_id as batch_id,
    _extracted_at as extracted_at,
    _flags as rule_flags
from {{ source('operations', 'routes') }}
where _deleted_at is null
