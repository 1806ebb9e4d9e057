-- One row per depot and day with money booked: the ledger's revenue and expenses, so that there is one revenue of a depot's day.
with ledger_day as (
    select * from {{ ref('int_financial__ledger_day') }}
)

select
    depot_id,
    entry_date as operating_date,
    coalesce(sum(credit_usd - debit_usd) filter (where account = 'revenue'), 0)::numeric(14, 2) as revenue_usd,
    coalesce(sum(debit_usd - credit_usd) filter (where account = 'expense'), 0)::numeric(14, 2) as expense_usd
from ledger_day
where account in ('revenue', 'expense')
group by depot_id, entry_date
