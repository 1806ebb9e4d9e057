-- One row per invoice line.
select
    -- primary key
    invoice_line_id,
    -- foreign keys
    invoice_id,
    customer_id,
    service_agreement_id,
    service_order_id,
    depot_id,
    -- facts
    line_of_business,
    line_type,
    quantity,
    unit_price_usd,
    amount_usd,
    -- times
    invoice_date,
    updated_at,
    -- arrival
    _batch_id as batch_id,
    _extracted_at as extracted_at,
    _flags as rule_flags
from {{ source('billing', 'invoice_lines') }}
where _deleted_at is null
