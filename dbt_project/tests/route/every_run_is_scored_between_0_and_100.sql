-- Runs that are over and have no score, or one off the scale.
select
    route_run_id,
    service_date,
    status,
    route_score
from {{ ref('route_run') }}
where
    (route_score is null and (status = 'cancelled' or stops > 0 or actual_minutes is not null))
    or route_score not between 0 and 100
