-- Months of a depot whose days do not add up to its budget.
with day_total as (
    select
        depot_id,
        date_trunc('month', business_date)::date as month,
        sum(revenue_budget_usd) as revenue_usd,
        sum(cost_budget_usd) as cost_usd
    from {{ ref('int_financial__budget_day') }}
    group by depot_id, date_trunc('month', business_date)::date
),

budget as (
    select
        coalesce(depot_id, 'unassigned') as depot_id,
        budget_month as month,
        sum(amount_usd) filter (where category = 'revenue') as revenue_usd,
        sum(amount_usd) filter (where category <> 'revenue') as cost_usd
    from {{ ref('stg_billing__budgets') }}
    group by coalesce(depot_id, 'unassigned'), budget_month
)

select
    coalesce(budget.depot_id, day_total.depot_id) as depot_id,
    coalesce(budget.month, day_total.month) as month,
    budget.revenue_usd as expected_revenue_usd,
    day_total.revenue_usd,
    budget.cost_usd as expected_cost_usd,
    day_total.cost_usd
from budget
full join day_total on day_total.depot_id = budget.depot_id and day_total.month = budget.month
where budget.revenue_usd is distinct from day_total.revenue_usd or budget.cost_usd is distinct from day_total.cost_usd
