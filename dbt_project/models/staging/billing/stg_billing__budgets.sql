-- One row per depot, month and budget line.
select
    -- primary key
    budget_id,
    -- foreign keys
    depot_id,
    -- facts
    category,
    amount_usd,
    -- times
    budget_month,
    updated_at,
    -- arrival
    _batch_id as batch_id,
    _extracted_at as extracted_at,
    _flags as rule_flags
from {{ source('billing', 'budgets') }}
where _deleted_at is null
