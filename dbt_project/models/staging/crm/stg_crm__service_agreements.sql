-- One row per service agreement: a recurring collection or rental sold to a customer at a location.
select
    -- primary key
    service_agreement_id,
    -- foreign keys
    customer_id,
    service_location_id,
    -- facts
    service_type,
    waste_stream,
    container_count,
    lifts_per_week,
    monthly_rate_usd,
    discount_ratio,
    term_months,
    is_auto_renew,
    end_reason,
    -- times
    start_date,
    end_date,
    term_end_date,
    updated_at,
    -- arrival
    _batch_id as batch_id,
    _extracted_at as extracted_at,
    _flags as rule_flags
from {{ source('crm', 'service_agreements') }}
where _deleted_at is null
