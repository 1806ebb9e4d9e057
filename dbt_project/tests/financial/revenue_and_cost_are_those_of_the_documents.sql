-- Months whose revenue is not that of their invoices before tax, or whose cost is not that of their expenses.
with clock as (
    select clock_day from {{ ref('int_data_clock') }}
),

document as (
    select
        date_trunc('month', invoices.invoice_date)::date as month,
        invoices.total_usd - coalesce(invoices.tax_usd, 0) as revenue_usd,
        0 as cost_usd
    from {{ ref('stg_billing__invoices') }} as invoices
    inner join clock on invoices.invoice_date <= clock.clock_day
    union all
    select date_trunc('month', expenses.expense_date)::date, 0, expenses.amount_usd
    from {{ ref('stg_billing__expenses') }} as expenses
    inner join clock on expenses.expense_date <= clock.clock_day
),

expected as (
    select month, sum(revenue_usd) as revenue_usd, sum(cost_usd) as cost_usd from document group by month
),

monthly as (
    select month, sum(revenue_usd) as revenue_usd, sum(cost_usd) as cost_usd
    from {{ ref('financial_monthly') }}
    group by month
)

select
    coalesce(expected.month, monthly.month) as month,
    expected.revenue_usd as expected_revenue_usd,
    monthly.revenue_usd,
    expected.cost_usd as expected_cost_usd,
    monthly.cost_usd
from expected
full join monthly on monthly.month = expected.month
where
    coalesce(expected.revenue_usd, 0) <> coalesce(monthly.revenue_usd, 0)
    or coalesce(expected.cost_usd, 0) <> coalesce(monthly.cost_usd, 0)
