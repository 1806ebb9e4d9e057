-- One row per service ticket, in the hour it was opened.
with tickets as (
    select * from {{ ref('stg_crm__service_tickets') }}
)

select
    service_ticket_id,
    opened_date as operating_date,
    coalesce(depot_id, 'unassigned') as depot_id,
    {{ hour_on_day('opened_date', 'opened_at') }} as hour_at,
    case when first_response_at >= opened_at then extract(epoch from first_response_at - opened_at) / 60 end::numeric(14, 4)
        as response_minutes,
    case when resolved_at >= opened_at then extract(epoch from resolved_at - opened_at) / 60 end::numeric(14, 4)
        as resolution_minutes,
    case
        when extracted_at >= updated_at and not {{ came_with_history('service_tickets', 'batch_id') }}
            then extract(epoch from extracted_at - updated_at) / 60
    end::numeric(14, 4) as latency_minutes
from tickets
