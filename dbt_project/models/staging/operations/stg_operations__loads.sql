-- One row per load: what a truck tips at a disposal site.
select
    -- primary key
    load_id,
    -- foreign keys
    route_run_id,
    route_id,
    vehicle_id,
    disposal_site_id,
    -- facts
    load_type,
    waste_stream,
    weight_lb,
    tip_fee_usd,
    -- times
    service_date,
    tipped_at,
    updated_at,
    -- arrival
    _batch_id as batch_id,
    _extracted_at as extracted_at,
    _flags as rule_flags
from {{ source('operations', 'loads') }}
where _deleted_at is null
