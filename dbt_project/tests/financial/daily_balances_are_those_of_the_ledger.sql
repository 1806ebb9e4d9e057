-- Days on which receivables, payables or cash of all depots are not what the ledger adds up to.
with ledger as (
    select
        entry_date as business_date,
        sum(sum(debit_usd - credit_usd) filter (where account = 'receivable')) over (order by entry_date) as receivable_usd,
        sum(sum(credit_usd - debit_usd) filter (where account = 'payable')) over (order by entry_date) as payable_usd,
        sum(sum(debit_usd - credit_usd) filter (where account = 'cash')) over (order by entry_date) as cash_usd
    from {{ ref('int_financial__ledger_day') }}
    group by entry_date
),

daily as (
    select
        business_date,
        sum(receivable_usd) as receivable_usd,
        sum(payable_usd) as payable_usd,
        sum(cash_position_usd) as cash_usd
    from {{ ref('financial_daily') }}
    group by business_date
)

select
    daily.business_date,
    daily.receivable_usd,
    ledger.receivable_usd as expected_receivable_usd,
    daily.payable_usd,
    ledger.payable_usd as expected_payable_usd,
    daily.cash_usd,
    ledger.cash_usd as expected_cash_usd
from daily
inner join ledger on ledger.business_date = daily.business_date
where
    daily.receivable_usd <> coalesce(ledger.receivable_usd, 0)
    or daily.payable_usd <> coalesce(ledger.payable_usd, 0)
    or daily.cash_usd <> coalesce(ledger.cash_usd, 0)
