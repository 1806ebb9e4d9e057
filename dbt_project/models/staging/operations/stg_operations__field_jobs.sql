-- One row per field job: a container delivered, repaired, swapped or removed.
select
    -- primary key
    field_job_id,
    -- foreign keys
    depot_id,
    technician_id,
    customer_id,
    service_location_id,
    service_ticket_id,
    -- facts
    job_type,
    status,
    -- times
    scheduled_date,
    started_at,
    completed_at,
    updated_at,
    -- arrival
    _batch_id as batch_id,
    _extracted_at as extracted_at,
    _flags as rule_flags
from {{ source('operations', 'field_jobs') }}
where _deleted_at is null
