-- One row per price of an agreement and period: the price history.
select
    -- primary key
    service_agreement_price_id,
    -- foreign keys
    service_agreement_id,
    -- facts
    monthly_rate_usd,
    change_reason,
    -- times
    effective_from,
    effective_to,
    updated_at,
    -- arrival
    _batch_id as batch_id,
    _extracted_at as extracted_at,
    _flags as rule_flags
from {{ source('crm', 'service_agreement_prices') }}
where _deleted_at is null
