-- Days on which revenue or cost of the depots are not the company's (floating point: a cent allowed).
select
    metric,
    ds,
    sum(y) filter (where level = 'company') as company_usd,
    sum(y) filter (where level = 'depot') as depots_usd
from {{ ref('daily_series') }}
where metric in ('revenue_usd', 'cost_usd')
group by metric, ds
having abs(
    coalesce(sum(y) filter (where level = 'company'), 0) - coalesce(sum(y) filter (where level = 'depot'), 0)
) > 0.01
