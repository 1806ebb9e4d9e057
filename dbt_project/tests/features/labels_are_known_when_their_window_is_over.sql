-- Customer-months whose label is known too early, unknown too late, or true while an agreement runs through the window.
with clock as (
    select clock_day from {{ ref('int_data_clock') }}
),

customer_month as (
    select * from {{ ref('customer_month') }}
),

served_through as (
    select distinct customer_month.customer_id, customer_month.month
    from customer_month
    inner join {{ ref('stg_crm__service_agreements') }} as agreements
        on
            agreements.customer_id = customer_month.customer_id
            and agreements.start_date <= customer_month.month
            and coalesce(agreements.end_date, date 'infinity') > customer_month.month + 90
    where customer_month.is_churned_90d
)

select
    customer_month.customer_id,
    customer_month.month,
    customer_month.is_churned_90d
from customer_month
cross join clock
left join served_through
    on served_through.customer_id = customer_month.customer_id and served_through.month = customer_month.month
where
    (customer_month.is_churned_90d is null) <> (customer_month.month + 90 > clock.clock_day)
    or served_through.customer_id is not null
