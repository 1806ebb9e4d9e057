-- one row per route that a load names; files without routes give none
select
    title_key(route_number) as route_id,
    'austin' as depot_id,
    title_key(route_number) as route_name,
    -- a route that changed its type keeps the one it has most often
    lower(regexp_replace(trim(mode(route_type)), '[^A-Za-z]+', '_', 'g')) as service_type,
    case
        when mode(route_type) ilike '%recycl%' then 'recycling'
        when regexp_matches(mode(route_type), 'organic|brush|yard', 'i') then 'organics'
        else 'waste'
    end as waste_stream,
from loads_file
where title_key(route_number) is not null
group by title_key(route_number)
