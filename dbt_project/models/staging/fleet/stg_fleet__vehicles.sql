-- One row per vehicle.
select
    -- primary key
    vehicle_id,
    -- foreign keys
    depot_id,
    -- facts
    vehicle_type,
    make,
    model_year,
    fuel_type,
    capacity_tons,
    purchase_cost_usd,
    -- times
    in_service_date,
    retired_date,
    updated_at,
    -- arrival
    _batch_id as batch_id,
    _extracted_at as extracted_at,
    _flags as rule_flags
from {{ source('fleet', 'vehicles') }}
where _deleted_at is null
