-- Depots and months whose figures are not those of their days: flows summed, balances of the last day, and every whole that is
-- not the sum of its parts.
with day_total as (
    select
        depot_id,
        date_trunc('month', business_date)::date as month,
        max(business_date) as last_day,
        sum(revenue_usd) as revenue_usd,
        sum(cost_usd) as cost_usd,
        sum(invoiced_usd) as invoiced_usd,
        sum(cash_flow_usd) as cash_flow_usd,
        sum(revenue_budget_variance_usd) as revenue_budget_variance_usd,
        sum(cost_budget_variance_usd) as cost_budget_variance_usd
    from {{ ref('financial_daily') }}
    group by depot_id, date_trunc('month', business_date)::date
)

select
    coalesce(monthly.depot_id, day_total.depot_id) as depot_id,
    coalesce(monthly.month, day_total.month) as month,
    monthly.revenue_usd,
    day_total.revenue_usd as revenue_of_days_usd,
    monthly.cost_usd,
    day_total.cost_usd as cost_of_days_usd,
    monthly.receivable_usd,
    last_day.receivable_usd as receivable_of_last_day_usd
from {{ ref('financial_monthly') }} as monthly
full join day_total on day_total.depot_id = monthly.depot_id and day_total.month = monthly.month
left join {{ ref('financial_daily') }} as last_day
    on last_day.depot_id = day_total.depot_id and last_day.business_date = day_total.last_day
where
    monthly.revenue_usd is distinct from day_total.revenue_usd
    or monthly.cost_usd is distinct from day_total.cost_usd
    or monthly.invoiced_usd is distinct from day_total.invoiced_usd
    or monthly.cash_flow_usd is distinct from day_total.cash_flow_usd
    or monthly.revenue_budget_variance_usd is distinct from day_total.revenue_budget_variance_usd
    or monthly.cost_budget_variance_usd is distinct from day_total.cost_budget_variance_usd
    or monthly.cash_position_usd is distinct from last_day.cash_position_usd
    or monthly.receivable_usd is distinct from last_day.receivable_usd
    or monthly.margin_usd <> monthly.revenue_usd - monthly.cost_usd
    or monthly.revenue_usd
    <> monthly.revenue_residential_usd + monthly.revenue_commercial_usd + monthly.revenue_roll_off_usd
    + monthly.revenue_recycling_sales_usd + monthly.revenue_organics_usd + monthly.revenue_other_usd
    or monthly.cost_usd
    <> monthly.cost_labor_usd + monthly.cost_fuel_usd + monthly.cost_disposal_usd + monthly.cost_maintenance_usd
    + monthly.cost_container_usd + monthly.cost_insurance_usd + monthly.cost_lease_usd + monthly.cost_overhead_usd
    + monthly.cost_marketing_usd + monthly.cost_other_usd
    or monthly.receivable_usd
    <> monthly.receivable_current_usd + monthly.receivable_late_1_30_usd + monthly.receivable_late_31_60_usd
    + monthly.receivable_late_61_90_usd + monthly.receivable_late_over_90_usd - monthly.receivable_on_account_usd
