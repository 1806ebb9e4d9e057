-- Days on which the ledger's debits are not its credits.
select
    entry_date,
    sum(debit_usd) as debit_usd,
    sum(credit_usd) as credit_usd
from {{ ref('int_financial__ledger_day') }}
group by entry_date
having sum(debit_usd) <> sum(credit_usd)
