-- Depots and days of the last 90 whose hours do not add up to the route stops and route runs of the day.
with hour_total as (
    select
        depot_id,
        operating_date,
        sum(stops) as stops,
        sum(lifts) as lifts,
        sum(missed_pickups) as missed_pickups,
        sum(route_cost_usd) as route_cost_usd,
        sum(fuel_gallons) as fuel_gallons,
        sum(emissions_kg_co2e) as emissions_kg_co2e
    from {{ ref('operational_hourly') }}
    where operating_date >= {{ data_clock() }} - 90
    group by depot_id, operating_date
),

stop_total as (
    select
        coalesce(depot_id, 'unassigned') as depot_id,
        service_date as operating_date,
        count(*) as stops,
        count(*) filter (where is_lift) as lifts,
        count(*) filter (where is_missed) as missed_pickups,
        coalesce(sum(cost_share_usd), 0) as route_cost_usd
    from {{ ref('route_stop') }}
    where service_date >= {{ data_clock() }} - 90
    group by coalesce(depot_id, 'unassigned'), service_date
),

run_total as (
    select
        coalesce(depot_id, 'unassigned') as depot_id,
        service_date as operating_date,
        coalesce(sum(fuel_gallons), 0) as fuel_gallons,
        coalesce(sum(emissions_kg_co2e), 0) as emissions_kg_co2e
    from {{ ref('route_run') }}
    where service_date >= {{ data_clock() }} - 90
    group by coalesce(depot_id, 'unassigned'), service_date
)

select
    coalesce(hour_total.depot_id, stop_total.depot_id, run_total.depot_id) as depot_id,
    coalesce(hour_total.operating_date, stop_total.operating_date, run_total.operating_date) as operating_date,
    hour_total.lifts,
    stop_total.lifts as lifts_of_stops,
    hour_total.route_cost_usd,
    stop_total.route_cost_usd as cost_of_stops_usd,
    hour_total.fuel_gallons,
    run_total.fuel_gallons as fuel_gallons_of_runs
from hour_total
full join stop_total
    on stop_total.depot_id = hour_total.depot_id and stop_total.operating_date = hour_total.operating_date
full join run_total
    on
        run_total.depot_id = coalesce(hour_total.depot_id, stop_total.depot_id)
        and run_total.operating_date = coalesce(hour_total.operating_date, stop_total.operating_date)
where
    coalesce(hour_total.stops, 0) <> coalesce(stop_total.stops, 0)
    or coalesce(hour_total.lifts, 0) <> coalesce(stop_total.lifts, 0)
    or coalesce(hour_total.missed_pickups, 0) <> coalesce(stop_total.missed_pickups, 0)
    or coalesce(hour_total.route_cost_usd, 0) <> coalesce(stop_total.route_cost_usd, 0)
    or coalesce(hour_total.fuel_gallons, 0) <> coalesce(run_total.fuel_gallons, 0)
    or coalesce(hour_total.emissions_kg_co2e, 0) <> coalesce(run_total.emissions_kg_co2e, 0)
