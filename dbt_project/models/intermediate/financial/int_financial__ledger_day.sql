-- One row per day, depot, account and line (line of business or expense kind) with entries.
{{
    config(
        materialized='business_days',
        day='entry_date',
        sources=['invoices', 'invoice_lines', 'payments', 'expenses', 'intermediate.int_customer__account'],
        running=true,
    )
}}
-- An expense is dated by the day it was booked and paid on a later one, hence running; one paid before counts as paid on
-- the day it was booked.
with invoices as (
    select * from {{ ref('stg_billing__invoices') }} where {{ in_rebuilt_days('invoice_date') }}
),

invoice_lines as (
    select * from {{ ref('stg_billing__invoice_lines') }} where {{ in_rebuilt_days('invoice_date') }}
),

payments as (
    select * from {{ ref('stg_billing__payments') }} where {{ in_rebuilt_days('payment_date') }}
),

expenses as (
    select
        expense_id,
        depot_id,
        expense_kind,
        amount_usd,
        expense_date,
        paid_date is not null as is_paid,
        greatest(paid_date, expense_date) as paid_date
    from {{ ref('stg_billing__expenses') }}
    where {{ in_rebuilt_days('expense_date') }} or {{ in_rebuilt_days('paid_date') }}
),

customers as (
    select customer_id, depot_id from {{ ref('int_customer__account') }}
),

invoice as (
    select
        invoices.invoice_id,
        invoices.invoice_date,
        coalesce(customers.depot_id, 'unassigned') as depot_id,
        invoices.total_usd,
        coalesce(invoices.tax_usd, 0) as tax_usd,
        invoices.total_usd - coalesce(invoices.tax_usd, 0) as revenue_usd
    from invoices
    left join customers on customers.customer_id = invoices.customer_id
),

-- lines of another day than their invoice, or without one, earn nothing: what the invoice says counts
invoice_line as (
    select
        invoice.invoice_id,
        invoice.invoice_date,
        coalesce(invoice_lines.depot_id, invoice.depot_id) as depot_id,
        coalesce(invoice_lines.line_of_business, 'other') as line,
        invoice_lines.amount_usd
    from invoice_lines
    inner join invoice
        on invoice.invoice_id = invoice_lines.invoice_id and invoice.invoice_date = invoice_lines.invoice_date
),

line_total as (
    select invoice_id, sum(amount_usd) as amount_usd from invoice_line group by invoice_id
),

-- one posting a row; positive amounts are debits
posting as (
    select invoice_date as entry_date, depot_id, 'receivable' as account, 'invoiced' as line, total_usd as amount_usd
    from invoice
    union all
    select invoice_date, depot_id, 'sales_tax', 'invoiced', -tax_usd from invoice
    union all
    select invoice_date, depot_id, 'revenue', line, -amount_usd from invoice_line
    union all
    select
        invoice.invoice_date,
        invoice.depot_id,
        'revenue',
        'other',
        coalesce(line_total.amount_usd, 0) - invoice.revenue_usd
    from invoice
    left join line_total on line_total.invoice_id = invoice.invoice_id
    union all
    select
        payments.payment_date,
        coalesce(customers.depot_id, 'unassigned'),
        entry.account,
        'customers',
        entry.sign * payments.amount_usd
    from payments
    left join customers on customers.customer_id = payments.customer_id
    cross join (values ('cash', 1), ('receivable', -1)) as entry (account, sign)
    union all
    select
        expenses.expense_date,
        coalesce(expenses.depot_id, 'unassigned'),
        entry.account,
        expenses.expense_kind,
        entry.sign * expenses.amount_usd
    from expenses
    cross join (values ('expense', 1), ('payable', -1)) as entry (account, sign)
    union all
    select
        expenses.paid_date,
        coalesce(expenses.depot_id, 'unassigned'),
        entry.account,
        expenses.expense_kind,
        entry.sign * expenses.amount_usd
    from expenses
    cross join (values ('payable', 1), ('cash', -1)) as entry (account, sign)
    where expenses.is_paid
)

select
    -- keys
    entry_date,
    depot_id,
    account,
    line,
    -- facts
    coalesce(sum(amount_usd) filter (where amount_usd > 0), 0)::numeric(14, 2) as debit_usd,
    coalesce(-sum(amount_usd) filter (where amount_usd < 0), 0)::numeric(14, 2) as credit_usd
from posting
where amount_usd <> 0 and {{ in_rebuilt_days('entry_date') }}
group by entry_date, depot_id, account, line
