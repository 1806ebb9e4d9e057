-- Customers whose agreements running on the data clock's day differ in number from those in customer_daily.
with clock as (
    select clock_day from {{ ref('int_data_clock') }}
),

agreement as (
    select agreements.customer_id, count(*) as active_agreements
    from {{ ref('stg_crm__service_agreements') }} as agreements
    cross join clock
    where
        agreements.start_date <= clock.clock_day
        and coalesce(agreements.end_date, date 'infinity') >= clock.clock_day
    group by agreements.customer_id
),

today as (
    select customer_daily.customer_id, customer_daily.active_agreements
    from {{ ref('customer_daily') }} as customer_daily
    inner join clock on clock.clock_day = customer_daily.business_date
    where customer_daily.active_agreements > 0
)

select
    coalesce(agreement.customer_id, today.customer_id) as customer_id,
    agreement.active_agreements as expected,
    today.active_agreements as found
from agreement
full join today on today.customer_id = agreement.customer_id
where agreement.active_agreements is distinct from today.active_agreements
