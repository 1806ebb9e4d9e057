-- One row per answered customer survey.
select
    -- primary key
    survey_id,
    -- foreign keys
    customer_id,
    -- facts
    survey_type,
    score,
    -- times
    responded_at,
    {{ business_day('responded_at') }} as responded_date,
    updated_at,
    -- arrival
    _batch_id as batch_id,
    _extracted_at as extracted_at,
    _flags as rule_flags
from {{ source('crm', 'surveys') }}
where _deleted_at is null
