-- One row per sales lead.
select
    -- primary key
    lead_id,
    -- foreign keys
    depot_id,
    converted_customer_id,
    -- facts
    customer_type,
    lead_source,
    status,
    -- times
    created_at,
    {{ business_day('created_at') }} as created_date,
    updated_at,
    -- arrival
    _batch_id as batch_id,
    _extracted_at as extracted_at,
    _flags as rule_flags
from {{ source('crm', 'leads') }}
where _deleted_at is null
