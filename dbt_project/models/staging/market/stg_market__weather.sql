-- One row per depot and day of weather.
select
    -- primary key
    depot_id,
    weather_date,
    -- facts
    temperature_max_f,
    temperature_min_f,
    precipitation_inches,
    snow_inches,
    wind_mph,
    -- times
    updated_at,
    -- arrival
    _batch_id as batch_id,
    _extracted_at as extracted_at,
    _flags as rule_flags
from {{ source('market', 'weather') }}
where _deleted_at is null
