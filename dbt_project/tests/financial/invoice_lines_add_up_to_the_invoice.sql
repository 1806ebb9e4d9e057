-- Invoices whose lines do not make their subtotal, where lines are given at all: the ledger books the difference to `other`.
{{ config(severity='warn') }}
with line_totals as (
    select
        invoice_id,
        sum(amount_usd) as amount_usd
    from {{ ref('stg_billing__invoice_lines') }}
    group by invoice_id
)

select
    invoices.invoice_id,
    invoices.subtotal_usd,
    line_totals.amount_usd
from {{ ref('stg_billing__invoices') }} as invoices
left join line_totals on line_totals.invoice_id = invoices.invoice_id
where
    exists (select from {{ ref('stg_billing__invoice_lines') }})
    and invoices.subtotal_usd is distinct from coalesce(line_totals.amount_usd, 0)
