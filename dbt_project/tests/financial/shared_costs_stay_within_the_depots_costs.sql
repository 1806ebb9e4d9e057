-- Depots and months whose customers bear more than the depot's direct costs, a cent of rounding a customer allowed.
with borne as (
    select
        depot_id,
        month,
        count(*) as customers,
        sum(disposal_cost_usd + collection_cost_usd) as cost_usd
    from {{ ref('customer_profitability') }}
    group by depot_id, month
),

booked as (
    select
        depot_id,
        date_trunc('month', expense_date)::date as month,
        sum(amount_usd) as cost_usd
    from {{ ref('stg_billing__expenses') }}
    where expense_kind in ('disposal', 'labor', 'fuel', 'maintenance', 'container', 'lease')
    group by depot_id, date_trunc('month', expense_date)::date
)

select
    borne.depot_id,
    borne.month,
    borne.cost_usd,
    booked.cost_usd as booked_usd
from borne
left join booked on booked.depot_id = borne.depot_id and booked.month = borne.month
where borne.cost_usd > coalesce(booked.cost_usd, 0) + 0.02 * borne.customers
