-- One row per route run and hour it was on the road, with its share of the run's fuel and emissions.
with runs as (
    select * from {{ ref('route_run') }}
),

-- a return more than a day after the departure is a typing error; a truck still out was there at its last stop
bounded as (
    select
        *,
        coalesce(started_at, planned_start_at) as departed_at,
        case
            when ended_at >= started_at then least(ended_at, started_at + interval '24 hours')
            when status = 'in_progress' and ended_at is null and last_stop_at > started_at
                then least(last_stop_at, started_at + interval '24 hours')
            else coalesce(started_at, planned_start_at)
        end as returned_at
    from runs
    where started_at is not null or fuel_gallons is not null or status in ('in_progress', 'completed')
),

hours as (
    select
        bounded.route_run_id,
        bounded.service_date,
        coalesce(bounded.depot_id, 'unassigned') as depot_id,
        bounded.vehicle_id,
        bounded.fuel_gallons,
        bounded.emissions_kg_co2e,
        road_hour.hour_at,
        extract(
            epoch from least(bounded.returned_at, road_hour.hour_at + interval '1 hour')
            - greatest(bounded.departed_at, road_hour.hour_at)
        ) as road_seconds,
        extract(epoch from bounded.returned_at - bounded.departed_at) as run_seconds
    from bounded
    -- a return on the hour is of the hour before
    left join lateral generate_series(
        date_trunc('hour', bounded.departed_at, '{{ company_time_zone() }}'),
        greatest(bounded.departed_at, bounded.returned_at - interval '1 microsecond'),
        interval '1 hour'
    ) as road_hour (hour_at) on true
),

-- shares of the way so far, so that rounded parts add up to the whole
cumulated as (
    select
        *,
        case when run_seconds > 0 then (sum(road_seconds) over so_far - road_seconds) / run_seconds else 0 end as ratio_before,
        case when run_seconds > 0 then sum(road_seconds) over so_far / run_seconds else 1 end as ratio_after
    from hours
    window so_far as (partition by service_date, route_run_id order by hour_at)
)

select
    route_run_id,
    service_date as operating_date,
    depot_id,
    vehicle_id,
    {{ hour_on_day('service_date', 'hour_at') }} as hour_at,
    coalesce(road_seconds, 0) / 60 as road_minutes,
    round(fuel_gallons * ratio_after, 3) - round(fuel_gallons * ratio_before, 3) as fuel_gallons,
    round(emissions_kg_co2e * ratio_after, 3) - round(emissions_kg_co2e * ratio_before, 3) as emissions_kg_co2e
from cumulated
