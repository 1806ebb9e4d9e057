-- One row per customer and day with route stops.
{{
    config(
        materialized='business_days',
        day='service_date',
        sources=['route_stops'],
        indexes=[{'columns': ['customer_id', 'service_date']}],
    )
}}
with route_stops as (
    select * from {{ ref('stg_operations__route_stops') }} where {{ in_rebuilt_days('service_date') }}
)

select
    -- keys
    customer_id,
    service_date,
    -- facts
    count(*)::integer as stops,
    (count(*) filter (where status = 'completed'))::integer as lifts,
    (count(*) filter (where status = 'missed'))::integer as missed_pickups,
    (count(*) filter (where is_contaminated))::integer as contaminated_lifts,
    (count(*) filter (where is_overage))::integer as overage_lifts,
    coalesce({{ tons("sum(weight_lb) filter (where status = 'completed')") }}, 0)::numeric(12, 4) as collected_tons
from route_stops
where customer_id is not null
group by customer_id, service_date
