-- Runs that have something to judge them by and no score, or one off the scale.
select
    route_run_id,
    service_date,
    status,
    route_score
from {{ ref('route_run') }}
where
    (
        route_score is null
        and (
            status = 'cancelled'
            or lifts + missed_pickups > 0
            or (planned_minutes > 0 and actual_minutes is not null)
        )
    )
    or route_score not between 0 and 100
