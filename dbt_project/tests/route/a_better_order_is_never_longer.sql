-- Runs whose saving is negative, or more than there was to drive.
select
    route_run_id,
    service_date,
    optimization_saving_miles,
    driven_order_miles
from {{ ref('route_run') }}
where optimization_saving_miles < 0 or optimization_saving_miles > driven_order_miles
