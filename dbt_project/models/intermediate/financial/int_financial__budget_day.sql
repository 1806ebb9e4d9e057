-- One row per depot and day of a month with a budget; the cents of a month are spread so that its days add up to it.
with budgets as (
    select * from {{ ref('stg_billing__budgets') }}
),

budget_month as (
    select
        coalesce(depot_id, 'unassigned') as depot_id,
        budget_month,
        extract(day from budget_month + interval '1 month' - interval '1 day')::integer as days_in_month,
        sum(amount_usd) filter (where category = 'revenue') as revenue_usd,
        sum(amount_usd) filter (where category <> 'revenue') as cost_usd
    from budgets
    group by coalesce(depot_id, 'unassigned'), budget_month
)

select
    -- keys
    budget_month.depot_id,
    budget_month.budget_month + day_number - 1 as business_date,
    -- facts
    round(budget_month.revenue_usd * day_number / budget_month.days_in_month, 2)
    - round(budget_month.revenue_usd * (day_number - 1) / budget_month.days_in_month, 2) as revenue_budget_usd,
    round(budget_month.cost_usd * day_number / budget_month.days_in_month, 2)
    - round(budget_month.cost_usd * (day_number - 1) / budget_month.days_in_month, 2) as cost_budget_usd
from budget_month
cross join lateral generate_series(1, budget_month.days_in_month) as day_number
