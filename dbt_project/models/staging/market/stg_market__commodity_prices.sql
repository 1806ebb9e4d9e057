-- One row per recycled commodity, region and day quoted.
select
    -- primary key
    commodity,
    region,
    price_date,
    -- facts
    price_usd_per_ton,
    -- times
    updated_at,
    -- arrival
    _batch_id as batch_id,
    _extracted_at as extracted_at,
    _flags as rule_flags
from {{ source('market', 'commodity_prices') }}
where _deleted_at is null
