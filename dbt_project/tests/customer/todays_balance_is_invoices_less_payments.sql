-- Customers whose balance on the data clock's day is not all they were invoiced less all they paid.
with clock as (
    select clock_day from {{ ref('int_data_clock') }}
),

entry as (
    select invoices.customer_id, invoices.total_usd as amount_usd
    from {{ ref('stg_billing__invoices') }} as invoices
    inner join clock on invoices.invoice_date <= clock.clock_day
    union all
    select payments.customer_id, -payments.amount_usd
    from {{ ref('stg_billing__payments') }} as payments
    inner join clock on payments.payment_date <= clock.clock_day
),

owed as (
    select customer_id, sum(amount_usd) as balance_usd from entry group by customer_id
),

today as (
    select customer_daily.customer_id, customer_daily.balance_usd
    from {{ ref('customer_daily') }} as customer_daily
    inner join clock on clock.clock_day = customer_daily.business_date
)

select
    today.customer_id,
    today.balance_usd,
    owed.balance_usd as expected_usd
from today
left join owed on owed.customer_id = today.customer_id
where today.balance_usd <> coalesce(owed.balance_usd, 0)
