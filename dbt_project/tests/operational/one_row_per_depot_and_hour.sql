-- Hours that operational_hourly holds twice for a depot, or on another day than their own.
select
    depot_id,
    hour_at,
    count(*) as hours
from {{ ref('operational_hourly') }}
group by depot_id, hour_at
having count(*) > 1 or bool_or({{ business_day('hour_at') }} <> operating_date)
