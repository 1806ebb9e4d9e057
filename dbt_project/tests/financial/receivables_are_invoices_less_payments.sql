-- The three ways to know what is owed in all, where they differ by a cent: documents, ledger, aging of each customer.
with document as (
    select
        coalesce((select sum(total_usd) from {{ ref('stg_billing__invoices') }}), 0)
        - coalesce((select sum(amount_usd) from {{ ref('stg_billing__payments') }}), 0) as receivable_usd
),

ledger as (
    select coalesce(sum(debit_usd - credit_usd), 0) as receivable_usd
    from {{ ref('int_financial__ledger_day') }}
    where account = 'receivable'
),

aging as (
    select
        coalesce(
            sum(
                current_change_usd + late_1_30_change_usd + late_31_60_change_usd + late_61_90_change_usd
                + late_over_90_change_usd - on_account_change_usd
            ),
            0
        ) as receivable_usd
    from {{ ref('int_financial__receivable_change') }}
)

select
    document.receivable_usd as document_usd,
    ledger.receivable_usd as ledger_usd,
    aging.receivable_usd as aging_usd
from document
cross join ledger
cross join aging
where document.receivable_usd <> ledger.receivable_usd or document.receivable_usd <> aging.receivable_usd
