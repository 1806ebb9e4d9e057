-- One row per event in a portal session.
select
    -- primary key
    portal_event_id,
    -- foreign keys
    portal_session_id,
    customer_id,
    -- facts
    event_type,
    page,
    properties,
    -- times
    occurred_at,
    {{ business_day('occurred_at') }} as occurred_date,
    updated_at,
    -- arrival
    _batch_id as batch_id,
    _extracted_at as extracted_at,
    _flags as rule_flags
from {{ source('portal', 'portal_events') }}
where _deleted_at is null
