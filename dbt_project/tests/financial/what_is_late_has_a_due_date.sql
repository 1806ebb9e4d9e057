-- Days after which a customer owes a late amount without a due date behind it, or the other way round.
select
    customer_id,
    change_date,
    overdue_usd,
    oldest_due_date
from {{ ref('int_financial__receivable_change') }}
where
    (overdue_usd > 0) <> (oldest_due_date is not null)
    or oldest_due_date >= change_date
