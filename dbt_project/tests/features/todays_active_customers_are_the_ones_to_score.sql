-- Customers that are active on the data clock's day, and were the day before, without a row to score, or the other way round.
with clock as (
    select clock_day from {{ ref('int_data_clock') }}
),

active as (
    select agreements.customer_id
    from {{ ref('stg_crm__service_agreements') }} as agreements
    cross join clock
    where
        agreements.start_date < clock.clock_day
        and coalesce(agreements.end_date, date 'infinity') >= clock.clock_day
    group by agreements.customer_id
),

scored as (
    select customer_id from {{ ref('customer_month') }} where is_current
)

select
    coalesce(active.customer_id, scored.customer_id) as customer_id,
    active.customer_id is not null as is_active,
    scored.customer_id is not null as is_scored
from active
full join scored on scored.customer_id = active.customer_id
cross join (select max(as_of) as latest_day from {{ ref('int_customer__feature_day') }}) as feature_day
where
    feature_day.latest_day is not null
    and (active.customer_id is null or scored.customer_id is null)
