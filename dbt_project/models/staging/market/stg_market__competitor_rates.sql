-- One row per competitor, service, region and day seen.
select
    -- primary key
    competitor,
    service_type,
    region,
    observed_date,
    -- facts
    monthly_rate_usd,
    -- times
    updated_at,
    -- arrival
    _batch_id as batch_id,
    _extracted_at as extracted_at,
    _flags as rule_flags
from {{ source('market', 'competitor_rates') }}
where _deleted_at is null
