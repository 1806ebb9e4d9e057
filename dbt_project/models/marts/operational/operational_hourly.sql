-- One row per depot and hour in which something happened.
{{
    config(
        materialized='business_days',
        day='operating_date',
        sources=[
            'route_stops', 'route_runs', 'routes', 'depots', 'vehicles', 'shifts', 'loads', 'service_locations',
            'containers', 'weather', 'surveys', 'service_tickets', 'invoices', 'invoice_lines', 'payments', 'expenses',
            'vehicle_telemetry', 'intermediate.int_customer__account', 'ml.forecast',
        ],
        reach={'surveys': [-7, 0], 'payments': [], 'ml.forecast': [-1, -1]},
        indexes=[{'columns': ['depot_id', 'hour_at'], 'unique': false}],
    )
}}
-- An empty reach is no day at all: of the ledger, revenue and expenses count here, and payments are neither.
with stop_hours as (
    select *
    from {{ ref('int_operational__stop_hours') }}
    where {{ in_rebuilt_days('operating_date') }}
),

run_hours as (
    select
        depot_id,
        operating_date,
        hour_at,
        count(distinct route_run_id) as routes,
        sum(road_minutes) as road_minutes,
        sum(fuel_gallons) as fuel_gallons,
        sum(emissions_kg_co2e) as emissions_kg_co2e
    from {{ ref('int_operational__run_hours') }}
    where {{ in_rebuilt_days('operating_date') }}
    group by depot_id, operating_date, hour_at
),

shift_hours as (
    select
        depot_id,
        operating_date,
        hour_at,
        sum(clocked_minutes) as clocked_minutes,
        sum(paid_minutes) as paid_minutes
    from {{ ref('int_operational__shift_hours') }}
    where {{ in_rebuilt_days('operating_date') }}
    group by depot_id, operating_date, hour_at
),

load_hours as (
    select
        depot_id,
        operating_date,
        hour_at,
        count(*) as loads,
        sum(tons) as tons,
        sum(tons) filter (where waste_stream = 'recycling') as recycling_tons,
        sum(tons) filter (where waste_stream = 'organics') as organics_tons,
        count(latency_minutes) as arrivals,
        sum(latency_minutes) as latency_minutes
    from {{ ref('int_operational__load_hours') }}
    where {{ in_rebuilt_days('operating_date') }}
    group by depot_id, operating_date, hour_at
),

ticket_hours as (
    select
        depot_id,
        operating_date,
        hour_at,
        count(*) as tickets,
        avg(response_minutes) as response_minutes,
        avg(resolution_minutes) as resolution_minutes,
        count(latency_minutes) as arrivals,
        sum(latency_minutes) as latency_minutes
    from {{ ref('int_operational__ticket_hours') }}
    where {{ in_rebuilt_days('operating_date') }}
    group by depot_id, operating_date, hour_at
),

daily_money as (
    select
        depot_id,
        operating_date,
        revenue_usd,
        expense_usd,
        {{ hour_on_day('operating_date', 'null::timestamptz') }} as noon_at
    from {{ ref('int_operational__daily_money') }}
    where {{ in_rebuilt_days('operating_date') }}
),

telemetry as (
    select
        coalesce(depot_id, 'unassigned') as depot_id,
        telemetry_date as operating_date,
        vehicle_id
    from {{ ref('stg_fleet__vehicle_telemetry') }}
    where {{ in_rebuilt_days('telemetry_date') }}
),

runs as (
    select
        coalesce(depot_id, 'unassigned') as depot_id,
        service_date as operating_date,
        vehicle_id
    from {{ ref('route_run') }}
    where {{ in_rebuilt_days('service_date') }} and vehicle_id is not null
),

forecasts as (
    -- the newest forecast that knew no more than the day itself
    select distinct on (entity_id, metric, target_date)
        entity_id as depot_id,
        target_date - 1 as operating_date,
        metric,
        forecast
    from {{ ref('stg_ml__forecast') }}
    where
        level = 'depot'
        and grain = 'day'
        and origin_date < target_date
        and {{ in_rebuilt_days('(target_date - 1)') }}
    order by entity_id, metric, target_date, origin_date desc
),

fleet as (
    select
        depot_id,
        operating_date,
        count(*) as vehicles
    from (select * from telemetry union select * from runs) as seen
    group by depot_id, operating_date
),

next_day as (
    select
        depot_id,
        operating_date,
        max(forecast) filter (where metric = 'tons') as tons,
        max(forecast) filter (where metric = 'lifts') as lifts,
        max(forecast) filter (where metric = 'tickets') as tickets,
        max(forecast) filter (where metric = 'revenue_usd') as revenue_usd,
        max(forecast) filter (where metric = 'cost_usd') as cost_usd
    from forecasts
    group by depot_id, operating_date
),

hours as (
    select depot_id, operating_date, hour_at from stop_hours
    union
    select depot_id, operating_date, hour_at from run_hours
    union
    select depot_id, operating_date, hour_at from shift_hours
    union
    select depot_id, operating_date, hour_at from load_hours
    union
    select depot_id, operating_date, hour_at from ticket_hours
    union
    -- money of a day without a lift stands at noon
    select
        daily_money.depot_id,
        daily_money.operating_date,
        daily_money.noon_at
    from daily_money
    where not exists (
        select 1
        from stop_hours
        where
            stop_hours.depot_id = daily_money.depot_id
            and stop_hours.operating_date = daily_money.operating_date
            and stop_hours.lifts > 0
    )
),

weighted as (
    -- what is booked by the day is spread over its hours by lifts
    select
        hours.depot_id,
        hours.operating_date,
        hours.hour_at,
        coalesce(stop_hours.stops, 0) as stops,
        coalesce(stop_hours.reached_stops, 0) as reached_stops,
        coalesce(stop_hours.lifts, 0) as lifts,
        coalesce(stop_hours.missed_pickups, 0) as missed_pickups,
        stop_hours.lifted_tons,
        coalesce(stop_hours.route_cost_usd, 0) as route_cost_usd,
        coalesce(sum(stop_hours.lifts) over day_so_far, 0) as lifts_so_far,
        coalesce(sum(stop_hours.lifts) over whole_day, 0) as lifts_of_day
    from hours
    left join stop_hours
        on
            stop_hours.depot_id = hours.depot_id
            and stop_hours.operating_date = hours.operating_date
            and stop_hours.hour_at = hours.hour_at
    window
        day_so_far as (partition by hours.depot_id, hours.operating_date order by hours.hour_at),
        whole_day as (partition by hours.depot_id, hours.operating_date)
),

shared as (
    select
        weighted.*,
        case
            when weighted.lifts_of_day > 0 then (weighted.lifts_so_far - weighted.lifts)::numeric / weighted.lifts_of_day
            when weighted.hour_at > daily_money.noon_at then 1
            else 0
        end as ratio_before,
        case
            when weighted.lifts_of_day > 0 then weighted.lifts_so_far::numeric / weighted.lifts_of_day
            when weighted.hour_at >= daily_money.noon_at then 1
            else 0
        end as ratio_after,
        daily_money.revenue_usd,
        daily_money.expense_usd
    from weighted
    left join daily_money
        on daily_money.depot_id = weighted.depot_id and daily_money.operating_date = weighted.operating_date
)

select
    -- keys
    shared.depot_id,
    shared.hour_at,
    shared.operating_date,
    extract(hour from shared.hour_at at time zone '{{ company_time_zone() }}')::integer as hour_of_day,
    -- collection
    coalesce(run_hours.routes, 0)::integer as routes,
    shared.stops::integer as stops,
    shared.lifts::integer as lifts,
    shared.missed_pickups::integer as missed_pickups,
    shared.lifted_tons::numeric(14, 6) as lifted_tons,
    coalesce(load_hours.loads, 0)::integer as loads,
    coalesce(load_hours.tons, 0)::numeric(14, 6) as tons,
    coalesce(load_hours.recycling_tons, 0)::numeric(14, 6) as recycling_tons,
    coalesce(load_hours.organics_tons, 0)::numeric(14, 6) as organics_tons,
    -- vehicles and drivers
    coalesce(run_hours.road_minutes, 0)::numeric(12, 2) as road_minutes,
    coalesce(shift_hours.paid_minutes, 0)::numeric(12, 2) as paid_minutes,
    {{ safe_ratio('shared.reached_stops * 60', 'run_hours.road_minutes') }}::numeric(12, 2) as stops_per_hour,
    coalesce(fleet.vehicles, 0)::integer as vehicles,
    -- minutes after midnight stand in the last hour of the day they began on, and would make it longer than it is
    case
        when fleet.vehicles > 0
            then least({{ safe_ratio('coalesce(run_hours.road_minutes, 0)', 'fleet.vehicles * 60') }}, 1)
    end::numeric(8, 4) as vehicle_utilization_ratio,
    -- breaks are taken on the road: to paid minutes alone the ratio would stand above 1 in most hours
    case
        when run_hours.road_minutes is not null and shift_hours.clocked_minutes > 0
            then least({{ safe_ratio('run_hours.road_minutes', 'shift_hours.clocked_minutes') }}, 1)
    end::numeric(12, 4) as driver_efficiency_ratio,
    {{ safe_ratio('shared.lifts * 60', 'shift_hours.paid_minutes') }}::numeric(12, 2) as lifts_per_driver_hour,
    -- tickets
    coalesce(ticket_hours.tickets, 0)::integer as tickets,
    ticket_hours.response_minutes::numeric(12, 2) as response_minutes,
    ticket_hours.resolution_minutes::numeric(12, 2) as resolution_minutes,
    -- money
    (
        round(coalesce(shared.revenue_usd, 0) * shared.ratio_after, 2)
        - round(coalesce(shared.revenue_usd, 0) * shared.ratio_before, 2)
    )::numeric(14, 2) as revenue_usd,
    (
        round(coalesce(shared.expense_usd, 0) * shared.ratio_after, 2)
        - round(coalesce(shared.expense_usd, 0) * shared.ratio_before, 2)
    )::numeric(14, 2) as cost_usd,
    shared.route_cost_usd::numeric(14, 2) as route_cost_usd,
    -- fuel and emissions
    coalesce(run_hours.fuel_gallons, 0)::numeric(12, 3) as fuel_gallons,
    coalesce(run_hours.emissions_kg_co2e, 0)::numeric(14, 3) as emissions_kg_co2e,
    -- data
    {{ safe_ratio(
        'coalesce(load_hours.latency_minutes, 0) + coalesce(ticket_hours.latency_minutes, 0)',
        'coalesce(load_hours.arrivals, 0) + coalesce(ticket_hours.arrivals, 0)'
    ) }}::numeric(14, 2) as data_latency_minutes,
    -- what the day after was expected to bring
    next_day.tons::numeric(14, 3) as next_day_forecast_tons,
    next_day.lifts::numeric(14, 2) as next_day_forecast_lifts,
    next_day.tickets::numeric(14, 2) as next_day_forecast_tickets,
    next_day.revenue_usd::numeric(14, 2) as next_day_forecast_revenue_usd,
    next_day.cost_usd::numeric(14, 2) as next_day_forecast_cost_usd
from shared
left join run_hours
    on
        run_hours.depot_id = shared.depot_id
        and run_hours.operating_date = shared.operating_date
        and run_hours.hour_at = shared.hour_at
left join shift_hours
    on
        shift_hours.depot_id = shared.depot_id
        and shift_hours.operating_date = shared.operating_date
        and shift_hours.hour_at = shared.hour_at
left join load_hours
    on
        load_hours.depot_id = shared.depot_id
        and load_hours.operating_date = shared.operating_date
        and load_hours.hour_at = shared.hour_at
left join ticket_hours
    on
        ticket_hours.depot_id = shared.depot_id
        and ticket_hours.operating_date = shared.operating_date
        and ticket_hours.hour_at = shared.hour_at
left join fleet on fleet.depot_id = shared.depot_id and fleet.operating_date = shared.operating_date
left join next_day on next_day.depot_id = shared.depot_id and next_day.operating_date = shared.operating_date
