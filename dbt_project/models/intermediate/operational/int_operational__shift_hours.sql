-- One row per shift and hour a driver was clocked in. Breaks are spread over the shift.
with shifts as (
    select * from {{ ref('stg_operations__shifts') }}
),

-- a driver still out was there at the last stop
out as (
    select driver_id, service_date, max(last_stop_at) as last_stop_at
    from {{ ref('route_run') }}
    where status = 'in_progress' and ended_at is null
    group by driver_id, service_date
),

seen as (
    select shifts.*, coalesce(shifts.clock_out_at, out.last_stop_at) as seen_until_at
    from shifts
    left join out on out.driver_id = shifts.driver_id and out.service_date = shifts.shift_date
),

bounded as (
    select
        shift_id,
        shift_date,
        coalesce(depot_id, 'unassigned') as depot_id,
        driver_id,
        clock_in_at,
        least(seen_until_at, clock_in_at + interval '24 hours') as clock_out_at,
        coalesce(break_minutes, 0) as break_minutes
    from seen
    where seen_until_at > clock_in_at
),

clocked as (
    select
        bounded.*,
        clocked_hour.hour_at,
        extract(
            epoch from least(bounded.clock_out_at, clocked_hour.hour_at + interval '1 hour')
            - greatest(bounded.clock_in_at, clocked_hour.hour_at)
        ) / 60 as clocked_minutes
    from bounded
    cross join lateral generate_series(
        date_trunc('hour', bounded.clock_in_at, '{{ company_time_zone() }}'),
        bounded.clock_out_at - interval '1 microsecond',
        interval '1 hour'
    ) as clocked_hour (hour_at)
)

select
    shift_id,
    shift_date as operating_date,
    depot_id,
    driver_id,
    {{ hour_on_day('shift_date', 'hour_at') }} as hour_at,
    clocked_minutes::numeric(14, 4) as clocked_minutes,
    (clocked_minutes * greatest(1 - break_minutes * 60 / extract(epoch from clock_out_at - clock_in_at), 0))::numeric(14, 4)
        as paid_minutes
from clocked
