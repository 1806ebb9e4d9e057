-- Depots and days of the last 90, or of all after a full build, whose hours do not add up to the revenue and cost of the day in
-- financial_daily, up to the last day it holds.
with hour_total as (
    select
        depot_id,
        operating_date as business_date,
        sum(revenue_usd) as revenue_usd,
        sum(cost_usd) as cost_usd
    from {{ ref('operational_hourly') }}
    where
        operating_date >= {{ first_day_to_check('operational_hourly') }}
        and operating_date <= (select max(business_date) from {{ ref('financial_daily') }})
    group by depot_id, operating_date
),

day_total as (
    select
        depot_id,
        business_date,
        revenue_usd,
        cost_usd
    from {{ ref('financial_daily') }}
    where business_date >= {{ first_day_to_check('operational_hourly') }}
)

select
    coalesce(hour_total.depot_id, day_total.depot_id) as depot_id,
    coalesce(hour_total.business_date, day_total.business_date) as business_date,
    hour_total.revenue_usd as revenue_of_hours_usd,
    day_total.revenue_usd,
    hour_total.cost_usd as cost_of_hours_usd,
    day_total.cost_usd
from hour_total
full join day_total
    on day_total.depot_id = hour_total.depot_id and day_total.business_date = hour_total.business_date
where
    coalesce(hour_total.revenue_usd, 0) <> coalesce(day_total.revenue_usd, 0)
    or coalesce(hour_total.cost_usd, 0) <> coalesce(day_total.cost_usd, 0)
