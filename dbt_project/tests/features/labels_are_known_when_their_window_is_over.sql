-- Customer-months whose label is known too early, unknown too late, or true while an agreement runs through the window.
with clock as (
    select clock_day from {{ ref('int_data_clock') }}
),

agreements as (
    select * from {{ ref('stg_crm__service_agreements') }}
)

select
    customer_month.customer_id,
    customer_month.month,
    customer_month.is_churned_90d
from {{ ref('customer_month') }} as customer_month
cross join clock
where
    (customer_month.is_churned_90d is null) <> (customer_month.month + 90 > clock.clock_day)
    or (
        customer_month.is_churned_90d
        and exists (
            select
            from agreements
            where
                agreements.customer_id = customer_month.customer_id
                and agreements.start_date <= customer_month.month
                and coalesce(agreements.end_date, date 'infinity') > customer_month.month + 90
        )
    )
