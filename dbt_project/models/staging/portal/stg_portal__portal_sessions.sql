-- One row per portal session.
select
    -- primary key
    portal_session_id,
    -- foreign keys
    customer_id,
    -- facts
    device_type,
    entry_page,
    -- times
    started_at,
    {{ business_day('started_at') }} as started_date,
    ended_at,
    updated_at,
    -- arrival
    _batch_id as batch_id,
    _extracted_at as extracted_at,
    _flags as rule_flags
from {{ source('portal', 'portal_sessions') }}
where _deleted_at is null
