-- one row per load: as published, duplicates and impossible weights included
select
    -- the city's id stands on more than one route (895578 does), so the route belongs to the key;
    -- files without ids get a key from their values. Repetitions are numbered, so that none vanishes
    case
        when load_id is not null then
            concat_ws('-', load_id, title_key(route_number))
            || case occurrence([load_id, title_key(route_number)], _file, _line)
                when 1 then ''
                else '-' || occurrence([load_id, title_key(route_number)], _file, _line)
            end
        else unique_row_key([report_date, load_time, load_type, load_weight, dropoff_site], _file, _line)
    end as load_id,
    title_key(route_number) || ':' || try_cast(us_date(left(report_date, 10)) as date) as route_run_id,
    title_key(route_number) as route_id,
    title_key(dropoff_site) as disposal_site_id,
    us_date(left(report_date, 10)) as service_date,
    -- times with AM or PM are the city's own; older copies lost it and say UTC: kept as they are, see README.md
    case
        when load_time like '%/%' or load_time like '%T%' then us_timestamp(load_time)
        when regexp_matches(load_time, '[+-][0-9]{2}(:?[0-9]{2})?$') then load_time
        else regexp_replace(load_time, '( UTC)?$', '+00')
    end as tipped_at,
    trim(load_type) as load_type,
    case
        when load_type ilike 'contaminated%' then 'waste'
        when load_type ilike '%recycl%' or load_type in ('TIRES', 'CARDBOARD', 'PAPER', 'MATTRESS') then 'recycling'
        when regexp_matches(load_type, 'organic|brush|yard|mulch|compost|wood', 'i') then 'organics'
        when regexp_matches(load_type, 'garbage|bulk|litter|trash', 'i') then 'waste'
        else 'other'
    end as waste_stream,
    plain_number(load_weight) as weight_lb,
    _file,
    _line,
from loads_file
