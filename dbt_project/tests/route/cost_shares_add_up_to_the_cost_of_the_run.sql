-- Runs that reached a stop and whose cost is not the sum of its stops' shares, to the cent; of the last 90 days, and of all
-- after a full build.
with shares as (
    select
        route_run_id,
        service_date,
        sum(cost_share_usd) as shares_usd
    from {{ ref('route_stop') }}
    where cost_share_usd is not null and service_date >= {{ first_day_to_check('route_stop') }}
    group by route_run_id, service_date
)

select
    shares.route_run_id,
    shares.service_date,
    shares.shares_usd,
    route_run.cost_usd
from shares
left join {{ ref('route_run') }} as route_run
    on route_run.route_run_id = shares.route_run_id and route_run.service_date = shares.service_date
where shares.shares_usd is distinct from route_run.cost_usd
