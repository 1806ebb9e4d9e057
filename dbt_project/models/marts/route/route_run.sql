-- One row per route run: planned against actual, cost, emissions, what weather and traffic did, what a better order saves.
{{
    config(
        materialized='business_days',
        day='service_date',
        sources=[
            'route_stops', 'route_runs', 'routes', 'depots', 'vehicles', 'shifts', 'loads', 'service_locations',
            'containers', 'weather', 'surveys',
        ],
        reach={'surveys': [-7, 0]},
        indexes=[
            {'columns': ['route_run_id', 'service_date'], 'unique': true},
            {'columns': ['route_id', 'service_date']},
        ],
    )
}}
with runs as (
    select *
    from {{ ref('stg_operations__route_runs') }}
    where {{ in_rebuilt_days('service_date') }}
),

costs as (
    select *
    from {{ ref('int_route__run_cost') }}
    where {{ in_rebuilt_days('service_date') }}
),

stops as (
    select *
    from {{ ref('route_stop') }}
    where {{ in_rebuilt_days('service_date') }}
),

orders as (
    select *
    from {{ ref('int_route__run_orders') }}
    where {{ in_rebuilt_days('service_date') }}
),

weather as (
    select *
    from {{ ref('stg_market__weather') }}
    where {{ in_rebuilt_days('weather_date') }}
),

answers as (
    -- an answer speaks for the runs that served the customer on the day it was given and the seven before
    select
        surveys.customer_id,
        served.service_date::date as service_date,
        count(*) as answers,
        sum({{ satisfaction_score('surveys.survey_type', 'surveys.score') }}) as satisfaction_pct
    from {{ ref('stg_crm__surveys') }} as surveys
    cross join
        generate_series(
            surveys.responded_date - interval '7 days', surveys.responded_date, interval '1 day'
        ) as served (service_date)
    where
        surveys.survey_type = 'csat'
        and surveys.score is not null
        and surveys.responded_date between {{ first_rebuilt_day() }} and {{ last_rebuilt_day() }} + 7
        and {{ in_rebuilt_days('served.service_date::date') }}
    group by surveys.customer_id, served.service_date
),

served_customers as (
    select distinct
        stops.route_run_id,
        stops.service_date,
        stops.customer_id
    from stops
    inner join answers on answers.customer_id = stops.customer_id and answers.service_date = stops.service_date
),

satisfaction as (
    select
        served_customers.route_run_id,
        served_customers.service_date,
        sum(answers.answers)::integer as survey_answers,
        sum(answers.satisfaction_pct) / sum(answers.answers) as satisfaction_pct
    from served_customers
    inner join answers
        on answers.customer_id = served_customers.customer_id and answers.service_date = served_customers.service_date
    group by served_customers.route_run_id, served_customers.service_date
),

visited as (
    select
        route_run_id,
        service_date,
        count(*)::integer as stops,
        count(*) filter (where is_lift)::integer as lifts,
        count(*) filter (where is_missed)::integer as missed_pickups,
        count(*) filter (where status = 'skipped')::integer as skipped_stops,
        count(*) filter (where is_contaminated)::integer as contaminated_stops,
        count(*) filter (where is_overage)::integer as overage_stops,
        count(*) filter (where sequence_change <> 0)::integer as stops_out_of_sequence,
        sum(weight_tons) filter (where is_lift) as lifted_tons,
        sum(minutes_at_stop) as minutes_at_stops,
        avg(arrival_delay_minutes) as arrival_delay_minutes,
        sum(miles_from_previous) + coalesce(sum(miles_back_to_depot), 0) as driven_order_miles
    from stops
    group by route_run_id, service_date
),

joined as (
    select
        runs.*,
        costs.waste_stream,
        costs.fuel_type,
        costs.plausible_gallons,
        costs.planned_minutes,
        costs.actual_minutes,
        costs.last_stop_at,
        costs.loads,
        costs.tipped_tons,
        costs.unweighed_loads,
        costs.labor_usd,
        costs.fuel_usd,
        costs.tip_fee_usd,
        costs.cost_usd,
        coalesce(visited.stops, 0) as stops,
        coalesce(visited.lifts, 0) as lifts,
        coalesce(visited.missed_pickups, 0) as missed_pickups,
        coalesce(visited.skipped_stops, 0) as skipped_stops,
        coalesce(visited.contaminated_stops, 0) as contaminated_stops,
        coalesce(visited.overage_stops, 0) as overage_stops,
        coalesce(visited.stops_out_of_sequence, 0) as stops_out_of_sequence,
        visited.lifted_tons,
        visited.minutes_at_stops::numeric(10, 2) as minutes_at_stops,
        visited.arrival_delay_minutes::numeric(10, 2) as arrival_delay_minutes,
        -- orders can be compared when the place of every stop reached is known
        case when orders.located_stops = orders.reached_stops then round(visited.driven_order_miles::numeric, 3) end
            as driven_order_miles,
        case when orders.located_stops = orders.reached_stops then orders.planned_order_miles end as planned_order_miles,
        case when orders.located_stops = orders.reached_stops then orders.curve_order_miles end as curve_order_miles,
        weather.temperature_max_f,
        weather.precipitation_inches,
        weather.snow_inches,
        coalesce(
            weather.precipitation_inches >= 0.5 or weather.snow_inches >= 0.5 or weather.temperature_max_f >= 100, false
        ) as is_adverse_weather,
        coalesce(satisfaction.survey_answers, 0) as survey_answers,
        satisfaction.satisfaction_pct::numeric(5, 2) as satisfaction_pct
    from runs
    left join costs on costs.route_run_id = runs.route_run_id and costs.service_date = runs.service_date
    left join visited on visited.route_run_id = runs.route_run_id and visited.service_date = runs.service_date
    left join orders on orders.route_run_id = runs.route_run_id and orders.service_date = runs.service_date
    left join satisfaction on satisfaction.route_run_id = runs.route_run_id and satisfaction.service_date = runs.service_date
    left join weather on weather.depot_id = runs.depot_id and weather.weather_date = runs.service_date
),

measured as (
    select
        *,
        case
            when unweighed_loads > 0 then greatest(tipped_tons, lifted_tons)
            else coalesce(tipped_tons, lifted_tons)
        end as tons,
        {{ kg_co2e('plausible_gallons', 'fuel_type') }} as emissions_kg_co2e,
        case
            when actual_minutes is null or planned_minutes is null then null
            -- the plan holds the usual traffic; only what is above it explains an overrun
            when is_adverse_weather
                then greatest(
                    actual_minutes - planned_minutes
                    - greatest(coalesce(traffic_delay_minutes, 0) - planned_minutes * {{ var('usual_traffic_ratio') }}, 0),
                    0
                )
            else 0
        end as weather_effect_minutes,
        -- the ratio is to all that was driven, the ways to disposal sites included
        driven_order_miles - least(driven_order_miles, planned_order_miles, curve_order_miles)
            as optimization_saving_miles,
        {{ safe_ratio(
            'driven_order_miles - least(driven_order_miles, planned_order_miles, curve_order_miles)',
            'greatest(actual_miles, driven_order_miles)'
        ) }} as saving_of_way_ratio
    from joined
),

scored as (
    -- each component is 0-100; null where the run has nothing to judge it by
    select
        *,
        case
            when status = 'cancelled' then 0
            when lifts + missed_pickups > 0
                then 100 * greatest(1 - missed_pickups::numeric / (lifts + missed_pickups) / 0.10, 0)
        end as completion_score,
        case
            when planned_minutes > 0 and actual_minutes is not null
                then 100 * (1 - least(greatest(actual_minutes / planned_minutes - 1, 0) / 0.50, 1))
        end as punctuality_score,
        case when actual_miles > 0 and planned_miles >= 0 then 100 * least(planned_miles / actual_miles, 1) end
            as distance_score,
        -- a truck still out is not full yet
        case
            when planned_tons > 0 and tons is not null and coalesce(status, '') <> 'in_progress'
                then 100 * least(tons / planned_tons, 1)
        end as load_score
    from measured
)

select
    -- keys
    route_run_id,
    service_date,
    route_id,
    depot_id,
    vehicle_id,
    driver_id,
    waste_stream,
    status,
    is_holiday_shifted,
    -- time
    planned_start_at,
    planned_end_at,
    started_at,
    ended_at,
    last_stop_at,
    planned_minutes,
    actual_minutes,
    (actual_minutes - planned_minutes)::numeric(10, 2) as overrun_minutes,
    ({{ minutes_between('planned_start_at', 'started_at') }})::numeric(10, 2) as start_delay_minutes,
    minutes_at_stops,
    arrival_delay_minutes,
    -- stops
    planned_stops,
    stops,
    lifts,
    missed_pickups,
    skipped_stops,
    contaminated_stops,
    overage_stops,
    stops_out_of_sequence,
    {{ safe_ratio('missed_pickups', 'lifts + missed_pickups') }}::numeric(6, 4) as missed_ratio,
    {{ safe_ratio('contaminated_stops', 'lifts') }}::numeric(8, 4) as contamination_ratio,
    {{ safe_ratio('lifts * 60', 'actual_minutes') }}::numeric(14, 2) as lifts_per_hour,
    -- distance
    planned_miles,
    actual_miles,
    (actual_miles - planned_miles)::numeric(12, 2) as extra_miles,
    -- weight
    planned_tons,
    lifted_tons::numeric(14, 6) as lifted_tons,
    loads,
    tipped_tons,
    -- fuel and emissions
    plausible_gallons as fuel_gallons,
    {{ safe_ratio('actual_miles', 'plausible_gallons') }}::numeric(10, 2) as miles_per_gallon,
    emissions_kg_co2e::numeric(12, 3) as emissions_kg_co2e,
    -- direct cost
    labor_usd,
    fuel_usd,
    tip_fee_usd,
    cost_usd,
    {{ safe_ratio('cost_usd', 'tons') }}::numeric(14, 2) as cost_per_ton_usd,
    {{ safe_ratio('cost_usd', 'lifts') }}::numeric(14, 2) as cost_per_lift_usd,
    {{ safe_ratio('cost_usd', 'stops') }}::numeric(14, 2) as cost_per_stop_usd,
    -- weather and traffic
    temperature_max_f,
    precipitation_inches,
    snow_inches,
    is_adverse_weather,
    weather_effect_minutes::numeric(10, 2) as weather_effect_minutes,
    traffic_delay_minutes as traffic_effect_minutes,
    (100 * {{ safe_ratio('traffic_delay_minutes', 'actual_minutes') }})::numeric(14, 2) as traffic_effect_pct,
    -- satisfaction
    survey_answers,
    satisfaction_pct,
    -- what a better order saves
    driven_order_miles::numeric(10, 3) as driven_order_miles,
    planned_order_miles::numeric(10, 3) as planned_order_miles,
    curve_order_miles::numeric(10, 3) as curve_order_miles,
    optimization_saving_miles::numeric(10, 3) as optimization_saving_miles,
    (100 * {{ safe_ratio('optimization_saving_miles', 'driven_order_miles') }})::numeric(5, 2) as optimization_saving_pct,
    -- a run that was closed before its stops were done has no way left to save
    (saving_of_way_ratio * (actual_minutes - least(coalesce(minutes_at_stops, 0), actual_minutes)))::numeric(10, 2)
        as optimization_saving_minutes,
    (saving_of_way_ratio * plausible_gallons)::numeric(10, 3) as optimization_saving_gallons,
    (saving_of_way_ratio * emissions_kg_co2e)::numeric(12, 3) as optimization_saving_kg_co2e,
    -- score
    completion_score::numeric(5, 2) as completion_score,
    punctuality_score::numeric(5, 2) as punctuality_score,
    distance_score::numeric(5, 2) as distance_score,
    load_score::numeric(5, 2) as load_score,
    -- weights 40, 25, 20, 10 and 5, shared out among the components that are known
    (
        (
            coalesce(completion_score * 40, 0) + coalesce(punctuality_score * 25, 0) + coalesce(distance_score * 20, 0)
            + coalesce(load_score * 10, 0) + coalesce(satisfaction_pct * 5, 0)
        )
        / nullif(
            case when completion_score is not null then 40 else 0 end
            + case when punctuality_score is not null then 25 else 0 end
            + case when distance_score is not null then 20 else 0 end
            + case when load_score is not null then 10 else 0 end
            + case when satisfaction_pct is not null then 5 else 0 end,
            0
        )
    )::numeric(5, 2) as route_score
from scored
