-- Totals of operational_hourly that are not those of raw: every load, stop, ticket, cent and plausible gallon is in some hour.
with stops as (
    -- read once: the largest table
    select
        count(*) filter (where status = 'completed') as lifts,
        count(*) filter (where status = 'missed') as missed_pickups
    from {{ ref('stg_operations__route_stops') }}
),

expected as (
    select 'tons' as figure, coalesce(sum(weight_lb), 0) * 0.0005 as amount from {{ ref('stg_operations__loads') }}
    union all
    select 'loads', count(*) from {{ ref('stg_operations__loads') }}
    union all
    select 'lifts', lifts from stops
    union all
    select 'missed_pickups', missed_pickups from stops
    union all
    select 'tickets', count(*) from {{ ref('stg_crm__service_tickets') }}
    union all
    select 'revenue_usd', coalesce(sum(total_usd - coalesce(tax_usd, 0)), 0) from {{ ref('stg_billing__invoices') }}
    union all
    select 'cost_usd', coalesce(sum(amount_usd), 0) from {{ ref('stg_billing__expenses') }}
    union all
    select 'fuel_gallons', coalesce(sum(fuel_gallons), 0)
    from {{ ref('stg_operations__route_runs') }}
    where ('fuel_plausible' = any(rule_flags)) is not true
),

totals as (
    select
        sum(tons) as tons,
        sum(loads) as loads,
        sum(lifts) as lifts,
        sum(missed_pickups) as missed_pickups,
        sum(tickets) as tickets,
        sum(revenue_usd) as revenue_usd,
        sum(cost_usd) as cost_usd,
        sum(fuel_gallons) as fuel_gallons
    from {{ ref('operational_hourly') }}
),

found as (
    select figure.name as figure, coalesce(figure.amount, 0) as amount
    from totals
    cross join lateral (
        values
        ('tons', totals.tons),
        ('loads', totals.loads),
        ('lifts', totals.lifts),
        ('missed_pickups', totals.missed_pickups),
        ('tickets', totals.tickets),
        ('revenue_usd', totals.revenue_usd),
        ('cost_usd', totals.cost_usd),
        ('fuel_gallons', totals.fuel_gallons)
    ) as figure (name, amount)
)

select
    expected.figure,
    expected.amount as raw_amount,
    found.amount as mart_amount
from expected
inner join found on found.figure = expected.figure
where expected.amount <> found.amount
