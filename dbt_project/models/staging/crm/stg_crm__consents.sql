-- One row per consent given or withdrawn.
select
    -- primary key
    consent_id,
    -- foreign keys
    customer_id,
    -- facts
    purpose,
    is_granted,
    -- times
    recorded_at,
    {{ business_day('recorded_at') }} as recorded_date,
    updated_at,
    -- arrival
    _batch_id as batch_id,
    _extracted_at as extracted_at,
    _flags as rule_flags
from {{ source('crm', 'consents') }}
where _deleted_at is null
