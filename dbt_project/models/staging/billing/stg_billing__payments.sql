-- One row per payment received or returned.
select
    -- primary key
    payment_id,
    -- foreign keys
    customer_id,
    invoice_id,
    -- facts
    method,
    amount_usd,
    status,
    -- times
    payment_date,
    updated_at,
    -- arrival
    _batch_id as batch_id,
    _extracted_at as extracted_at,
    _flags as rule_flags
from {{ source('billing', 'payments') }}
where _deleted_at is null
