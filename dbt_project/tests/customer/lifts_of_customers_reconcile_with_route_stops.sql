-- Days of the last 90 on which the lifts and missed pickups of all customers are not those of their route stops.
with clock as (
    select clock_day from {{ ref('int_data_clock') }}
),

stop_day as (
    select
        service_date,
        count(*) filter (where status = 'completed') as lifts,
        count(*) filter (where status = 'missed') as missed_pickups
    from {{ ref('stg_operations__route_stops') }}
    where customer_id is not null and service_date > (select clock_day - 90 from clock)
    group by service_date
),

customer_day as (
    select
        service_date,
        sum(lifts) as lifts,
        sum(missed_pickups) as missed_pickups
    from {{ ref('int_customer__service_day') }}
    where service_date > (select clock_day - 90 from clock)
    group by service_date
)

select
    coalesce(stop_day.service_date, customer_day.service_date) as service_date,
    stop_day.lifts as expected_lifts,
    customer_day.lifts,
    stop_day.missed_pickups as expected_missed_pickups,
    customer_day.missed_pickups
from stop_day
full join customer_day on customer_day.service_date = stop_day.service_date
where
    stop_day.lifts is distinct from customer_day.lifts
    or stop_day.missed_pickups is distinct from customer_day.missed_pickups
