-- One row per service ticket a customer raised.
select
    -- primary key
    service_ticket_id,
    -- foreign keys
    customer_id,
    service_location_id,
    depot_id,
    -- facts
    ticket_type,
    priority,
    channel,
    status,
    -- times
    opened_at,
    {{ business_day('opened_at') }} as opened_date,
    first_response_at,
    resolved_at,
    updated_at,
    -- arrival
    _batch_id as batch_id,
    _extracted_at as extracted_at,
    _flags as rule_flags
from {{ source('crm', 'service_tickets') }}
where _deleted_at is null
