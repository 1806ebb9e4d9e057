-- Runs that reached their stops in the planned order and whose driven round trip is not as long as the planned one, but for
-- rounding; of the last 90 days, and of all after a full build. Where a reached stop has no place in one of the orders, or
-- shares it, the orders cannot be compared.
with comparable as (
    select
        route_run_id,
        service_date
    from {{ ref('route_stop') }}
    where
        service_date >= {{ first_day_to_check('route_stop') }}
        and (actual_sequence is not null or arrived_at is not null)
    group by route_run_id, service_date
    having
        count(sequence_change) = count(*)
        and count(distinct planned_sequence) = count(*)
        and count(distinct actual_sequence) = count(*)
)

select
    route_run.route_run_id,
    route_run.service_date,
    route_run.driven_order_miles,
    route_run.planned_order_miles
from {{ ref('route_run') }} as route_run
inner join comparable
    on comparable.route_run_id = route_run.route_run_id and comparable.service_date = route_run.service_date
where
    route_run.stops_out_of_sequence = 0
    and abs(route_run.driven_order_miles - route_run.planned_order_miles) > 0.001
