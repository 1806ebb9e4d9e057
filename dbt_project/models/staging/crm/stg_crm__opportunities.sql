-- One row per sales opportunity.
select
    -- primary key
    opportunity_id,
    -- foreign keys
    lead_id,
    customer_id,
    -- facts
    service_type,
    stage,
    expected_monthly_usd,
    -- times
    opened_at,
    {{ business_day('opened_at') }} as opened_date,
    closed_at,
    {{ business_day('closed_at') }} as closed_date,
    updated_at,
    -- arrival
    _batch_id as batch_id,
    _extracted_at as extracted_at,
    _flags as rule_flags
from {{ source('crm', 'opportunities') }}
where _deleted_at is null
