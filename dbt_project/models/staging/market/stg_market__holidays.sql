-- One row per public holiday.
select
    -- primary key
    holiday_date,
    -- facts
    name as holiday_name,
    is_collection_shifted,
    -- times
    updated_at,
    -- arrival
    _batch_id as batch_id,
    _extracted_at as extracted_at,
    _flags as rule_flags
from {{ source('market', 'holidays') }}
where _deleted_at is null
