-- one row: the city's collection service, which publishes no depots of its own
select
    'austin' as depot_id,
    'City of Austin' as name,
    'Austin' as region,
    30.2672 as latitude,
    -97.7431 as longitude,
