-- one row per route and day on which it tipped a load; files without routes give none
select
    title_key(route_number) || ':' || try_cast(us_date(left(report_date, 10)) as date) as route_run_id,
    title_key(route_number) as route_id,
    'austin' as depot_id,
    us_date(report_date) as service_date,
    'completed' as status,
from loads_file
where title_key(route_number) is not null
group by all
