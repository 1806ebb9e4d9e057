-- One row per shift and hour a driver was clocked in. Breaks are spread over the shift.
with shifts as (
    select * from {{ ref('stg_operations__shifts') }}
),

bounded as (
    select
        shift_id,
        shift_date,
        coalesce(depot_id, 'unassigned') as depot_id,
        driver_id,
        clock_in_at,
        least(clock_out_at, clock_in_at + interval '24 hours') as clock_out_at,
        coalesce(break_minutes, 0) as break_minutes
    from shifts
    where clock_out_at > clock_in_at
)

select
    bounded.shift_id,
    bounded.shift_date as operating_date,
    bounded.depot_id,
    bounded.driver_id,
    {{ hour_on_day('bounded.shift_date', 'paid_hour.hour_at') }} as hour_at,
    (
        extract(
            epoch from least(bounded.clock_out_at, paid_hour.hour_at + interval '1 hour')
            - greatest(bounded.clock_in_at, paid_hour.hour_at)
        ) / 60
        * greatest(1 - bounded.break_minutes * 60 / extract(epoch from bounded.clock_out_at - bounded.clock_in_at), 0)
    )::numeric(14, 4) as paid_minutes
from bounded
cross join lateral generate_series(
    date_trunc('hour', bounded.clock_in_at, '{{ company_time_zone() }}'), bounded.clock_out_at, interval '1 hour'
) as paid_hour (hour_at)
