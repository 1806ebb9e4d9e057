-- One row per invoice. Immutable once sent: what was paid stands in payments.
select
    -- primary key
    invoice_id,
    -- foreign keys
    customer_id,
    -- facts
    invoice_number,
    subtotal_usd,
    tax_usd,
    total_usd,
    -- times
    invoice_date,
    due_date,
    updated_at,
    -- arrival
    _batch_id as batch_id,
    _extracted_at as extracted_at,
    _flags as rule_flags
from {{ source('billing', 'invoices') }}
where _deleted_at is null
