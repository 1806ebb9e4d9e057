-- One row per booked expense.
select
    -- primary key
    expense_id,
    -- foreign keys
    depot_id,
    -- facts
    expense_kind,
    vendor,
    amount_usd,
    -- times
    expense_date,
    paid_date,
    updated_at,
    -- arrival
    _batch_id as batch_id,
    _extracted_at as extracted_at,
    _flags as rule_flags
from {{ source('billing', 'expenses') }}
where _deleted_at is null
