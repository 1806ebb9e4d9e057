-- One row per route run: who drove what from where, its stops, and its direct cost: labor, fuel and tip fees.
{{
    config(
        materialized='business_days',
        day='service_date',
        sources=['route_runs', 'route_stops', 'routes', 'depots', 'vehicles', 'shifts', 'loads'],
    )
}}
with runs as (
    select *
    from {{ ref('stg_operations__route_runs') }}
    where {{ in_rebuilt_days('service_date') }}
),

shifts as (
    select *
    from {{ ref('stg_operations__shifts') }}
    where {{ in_rebuilt_days('shift_date') }}
),

loads as (
    select *
    from {{ ref('stg_operations__loads') }}
    where {{ in_rebuilt_days('service_date') }}
),

routes as (
    select route_id, waste_stream
    from {{ ref('stg_operations__routes') }}
),

depots as (
    select depot_id, latitude, longitude
    from {{ ref('stg_operations__depots') }}
),

vehicles as (
    select vehicle_id, fuel_type
    from {{ ref('stg_fleet__vehicles') }}
),

reached as (
    select
        route_run_id,
        service_date,
        count(*) as reached_stops,
        max(coalesce(departed_at, arrived_at)) as last_stop_at
    from {{ ref('stg_operations__route_stops') }}
    where {{ in_rebuilt_days('service_date') }} and (actual_sequence is not null or arrived_at is not null)
    group by route_run_id, service_date
),

-- a driver's paid hours and wages of a day, breaks unpaid; a day has 24 hours
wages as (
    select
        driver_id,
        shift_date,
        sum(
            greatest(
                extract(epoch from least(clock_out_at, clock_in_at + interval '24 hours') - clock_in_at) / 60
                - coalesce(break_minutes, 0),
                0
            ) / 60 * hourly_rate_usd
        ) as wages_usd
    from shifts
    where clock_out_at is not null and clock_in_at is not null and hourly_rate_usd is not null
    group by driver_id, shift_date
),

tipped as (
    select
        route_run_id,
        service_date,
        count(*) as loads,
        count(*) filter (where (weight_lb > 0) is not true) as unweighed_loads,
        {{ tons('sum(weight_lb)') }} as tipped_tons,
        sum(tip_fee_usd) as tip_fee_usd
    from loads
    where route_run_id is not null
    group by route_run_id, service_date
),

timed as (
    select
        *,
        coalesce(status = 'in_progress', false) and ended_at is null as is_under_way,
        case when 'fuel_plausible' = any(rule_flags) then null else fuel_gallons end as plausible_gallons,
        case when planned_end_at >= planned_start_at then {{ minutes_between('planned_start_at', 'planned_end_at') }} end::numeric
            as planned_minutes,
        case when ended_at >= started_at then {{ minutes_between('started_at', 'ended_at') }} end::numeric as actual_minutes
    from runs
),

-- what a run under way will cost is not known before it has ended
-- a driver's wages go to the runs of the day by their time on the road, equally where no time is known
shared as (
    select
        *,
        case
            when sum(actual_minutes) over driver_day > 0
                then coalesce(actual_minutes, 0) / sum(actual_minutes) over driver_day
            else 1.0 / count(*) over driver_day
        end as share_of_day_ratio
    from timed
    window driver_day as (partition by driver_id, service_date)
),

costed as (
    select
        shared.*,
        coalesce(tipped.loads, 0)::integer as loads,
        coalesce(tipped.unweighed_loads, 0)::integer as unweighed_loads,
        tipped.tipped_tons,
        case
            when shared.is_under_way then null
            when wages.wages_usd is not null then wages.wages_usd * shared.share_of_day_ratio
            else coalesce(shared.actual_minutes, 0) / 60 * {{ var('driver_usd_per_hour') }}
        end::numeric(14, 2) as labor_usd,
        case
            when not shared.is_under_way or shared.plausible_gallons is not null
                then
                    coalesce(shared.plausible_gallons, shared.actual_miles / {{ var('miles_per_gallon') }}, 0)
                    * {{ var('fuel_usd_per_gallon') }}
        end::numeric(14, 2) as fuel_usd,
        coalesce(tipped.tip_fee_usd, 0)::numeric(14, 2) as tip_fee_usd
    from shared
    left join wages on wages.driver_id = shared.driver_id and wages.shift_date = shared.service_date
    left join tipped on tipped.route_run_id = shared.route_run_id and tipped.service_date = shared.service_date
)

select
    costed.route_run_id,
    costed.service_date,
    costed.route_id,
    costed.depot_id,
    costed.vehicle_id,
    costed.driver_id,
    routes.waste_stream,
    vehicles.fuel_type,
    depots.latitude as depot_latitude,
    depots.longitude as depot_longitude,
    costed.planned_minutes::numeric(10, 2) as planned_minutes,
    costed.actual_minutes::numeric(10, 2) as actual_minutes,
    coalesce(reached.reached_stops, 0)::integer as reached_stops,
    reached.last_stop_at,
    costed.loads,
    costed.unweighed_loads,
    costed.tipped_tons::numeric(14, 6) as tipped_tons,
    costed.plausible_gallons::numeric(10, 2) as plausible_gallons,
    costed.labor_usd,
    costed.fuel_usd,
    costed.tip_fee_usd,
    (costed.labor_usd + costed.fuel_usd + costed.tip_fee_usd)::numeric(14, 2) as cost_usd,
    ((costed.labor_usd + costed.fuel_usd + costed.tip_fee_usd) * 100)::bigint as cost_cents
from costed
left join reached on reached.route_run_id = costed.route_run_id and reached.service_date = costed.service_date
left join routes on routes.route_id = costed.route_id
left join depots on depots.depot_id = costed.depot_id
left join vehicles on vehicles.vehicle_id = costed.vehicle_id
