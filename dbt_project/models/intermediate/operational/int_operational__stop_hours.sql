-- One row per depot, day and hour with route stops. A stop not reached counts in the hour it was planned for.
with stops as (
    select * from {{ ref('route_stop') }}
),

-- quarter hours first: time zones cost more than sums
quarters as (
    select
        coalesce(depot_id, 'unassigned') as depot_id,
        service_date,
        date_bin('15 minutes', coalesce(arrived_at, planned_at), timestamptz '2000-01-01 00:00:00+00') as quarter_at,
        count(*) as stops,
        count(*) filter (where actual_sequence is not null or arrived_at is not null) as reached_stops,
        count(*) filter (where is_lift) as lifts,
        count(*) filter (where is_missed) as missed_pickups,
        sum(weight_tons) filter (where is_lift) as lifted_tons,
        sum(cost_share_usd) as route_cost_usd
    from stops
    group by 1, 2, 3
)

select
    depot_id,
    service_date as operating_date,
    {{ hour_on_day('service_date', 'quarter_at') }} as hour_at,
    sum(stops) as stops,
    sum(reached_stops) as reached_stops,
    sum(lifts) as lifts,
    sum(missed_pickups) as missed_pickups,
    sum(lifted_tons) as lifted_tons,
    sum(route_cost_usd) as route_cost_usd
from quarters
group by 1, 2, 3
