-- Customer-months whose label is known too early, unknown too late, true while an agreement runs through the window, or false
-- though none outlives it.
with clock as (
    select clock_day from {{ ref('int_data_clock') }}
),

customer_month as (
    select * from {{ ref('customer_month') }}
),

agreements as (
    select customer_id, start_date, coalesce(end_date, date 'infinity') as end_date
    from {{ ref('stg_crm__service_agreements') }}
),

served_through as (
    select distinct customer_month.customer_id, customer_month.month
    from customer_month
    inner join agreements
        on
            agreements.customer_id = customer_month.customer_id
            and agreements.start_date <= customer_month.month
            and agreements.end_date > customer_month.month + 90
    where customer_month.is_churned_90d
),

last_end as (
    select customer_id, max(end_date) as last_date from agreements group by customer_id
)

select
    customer_month.customer_id,
    customer_month.month,
    customer_month.is_churned_90d
from customer_month
cross join clock
left join served_through
    on served_through.customer_id = customer_month.customer_id and served_through.month = customer_month.month
left join last_end on last_end.customer_id = customer_month.customer_id
where
    (customer_month.is_churned_90d is null) <> (customer_month.month + 90 > clock.clock_day)
    or served_through.customer_id is not null
    or (not customer_month.is_churned_90d and last_end.last_date < customer_month.month + 90)
