-- Customers that stand otherwise in customer_current than on the same day in customer_daily, and active ones who are not there.
select
    today.customer_id,
    today.as_of,
    today.mrr_usd,
    history.mrr_usd as history_mrr_usd,
    today.balance_usd,
    history.balance_usd as history_balance_usd,
    today.overdue_usd,
    history.overdue_usd as history_overdue_usd
from {{ ref('customer_current') }} as today
left join {{ ref('customer_daily') }} as history
    on history.customer_id = today.customer_id and history.business_date = today.as_of
where
    (history.customer_id is null and today.status = 'active')
    or today.mrr_usd <> history.mrr_usd
    or today.active_agreements <> history.active_agreements
    or today.balance_usd <> history.balance_usd
    or today.overdue_usd <> history.overdue_usd
    or today.days_past_due <> history.days_past_due
