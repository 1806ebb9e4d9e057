-- One row per driver and working day.
select
    -- primary key
    shift_id,
    -- foreign keys
    driver_id,
    depot_id,
    -- facts
    break_minutes,
    hourly_rate_usd,
    -- times
    shift_date,
    clock_in_at,
    clock_out_at,
    updated_at,
    -- arrival
    _batch_id as batch_id,
    _extracted_at as extracted_at,
    _flags as rule_flags
from {{ source('operations', 'shifts') }}
where _deleted_at is null
