-- One row per service location: where it stands, and its position on a space-filling curve over the map.
{{ config(materialized='tracked_table', sources=['service_locations']) }}

-- Visiting stops in the order of a space-filling curve is a known quick tour, within about 25% of the best one on average
-- (Bartholdi and Platzman, 1982). The curve is Hilbert's, on a grid of 2^22 cells a side (9 m or less).
with recursive locations as (
    select
        service_location_id,
        latitude,
        longitude
    from {{ ref('stg_crm__service_locations') }}
),

cells as (
    select
        service_location_id,
        least(floor((longitude + 180) / 360 * 4194304), 4194303)::bigint as x,
        least(floor((latitude + 90) / 180 * 4194304), 4194303)::bigint as y,
        2097152::bigint as side,
        0::bigint as curve_position
    from locations
    where latitude between -90 and 90 and longitude between -180 and 180

    union all

    select
        cells.service_location_id,
        case when quadrant.is_lower then case when quadrant.is_right then 4194303 - cells.y else cells.y end else cells.x end,
        case when quadrant.is_lower then case when quadrant.is_right then 4194303 - cells.x else cells.x end else cells.y end,
        cells.side / 2,
        cells.curve_position + cells.side * cells.side * (
            case
                when quadrant.is_lower and quadrant.is_right then 3
                when quadrant.is_right then 2
                when quadrant.is_lower then 0
                else 1
            end
        )
    from cells
    cross join
        lateral (
            select (cells.x & cells.side) > 0 as is_right, (cells.y & cells.side) = 0 as is_lower
        ) as quadrant
    where cells.side > 0
)

select
    locations.service_location_id,
    locations.latitude,
    locations.longitude,
    cells.curve_position
from locations
left join cells on cells.service_location_id = locations.service_location_id and cells.side = 0
