-- One row per customer account.
select
    -- primary key
    customer_id,
    -- foreign keys
    depot_id,
    -- facts
    account_number,
    name as customer_name,
    customer_type,
    email,
    phone,
    city,
    postal_code,
    acquisition_channel,
    payment_terms_days,
    is_autopay,
    -- times
    created_at,
    {{ business_day('created_at') }} as created_date,
    updated_at,
    -- arrival
    _batch_id as batch_id,
    _extracted_at as extracted_at,
    _flags as rule_flags
from {{ source('crm', 'customers') }}
where _deleted_at is null
