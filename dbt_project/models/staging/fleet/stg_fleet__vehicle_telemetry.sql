-- One row per vehicle and day of sensor readings.
select
    -- primary key
    vehicle_telemetry_id,
    -- foreign keys
    vehicle_id,
    depot_id,
    -- facts
    engine_hours,
    odometer_miles,
    miles,
    fuel_gallons,
    idle_minutes,
    hydraulic_cycles,
    hydraulic_pressure_psi,
    engine_temperature_f,
    oil_pressure_psi,
    vibration_mm_s,
    fault_codes,
    -- times
    telemetry_date,
    updated_at,
    -- arrival
    _batch_id as batch_id,
    _extracted_at as extracted_at,
    _flags as rule_flags
from {{ source('fleet', 'vehicle_telemetry') }}
where _deleted_at is null
