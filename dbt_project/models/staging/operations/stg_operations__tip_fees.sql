-- One row per tip fee: the price a disposal site asks for a stream in a period.
select
    -- primary key
    tip_fee_id,
    -- foreign keys
    disposal_site_id,
    -- facts
    waste_stream,
    fee_usd_per_ton,
    -- times
    effective_from,
    effective_to,
    updated_at,
    -- arrival
    _batch_id as batch_id,
    _extracted_at as extracted_at,
    _flags as rule_flags
from {{ source('operations', 'tip_fees') }}
where _deleted_at is null
