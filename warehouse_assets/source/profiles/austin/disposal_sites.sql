-- one row per drop-off site that a load names
select
    title_key(dropoff_site) as disposal_site_id,
    any_value(trim(dropoff_site)) as name,
    case
        when title_key(dropoff_site) like '%LANDFILL%' then 'landfill'
        when regexp_matches(title_key(dropoff_site), 'ORGANICS|HORNSBY|WOOD RECYCLING') then 'composting_facility'
        when regexp_matches(title_key(dropoff_site), 'MRF|RECYCLING|METAL') then 'recycling_facility'
        else null
    end as site_type,
    'Austin' as region,
from loads_file
where title_key(dropoff_site) is not null
group by title_key(dropoff_site)
