-- One row per depot (unassigned for what belongs to none) and month; balances are those of its last day.
{% set sums = [
    'revenue_residential_usd', 'revenue_commercial_usd', 'revenue_roll_off_usd', 'revenue_recycling_sales_usd',
    'revenue_organics_usd', 'revenue_other_usd', 'revenue_usd', 'cost_labor_usd', 'cost_fuel_usd', 'cost_disposal_usd',
    'cost_maintenance_usd', 'cost_container_usd', 'cost_insurance_usd', 'cost_lease_usd', 'cost_overhead_usd',
    'cost_marketing_usd', 'cost_other_usd', 'cost_usd', 'margin_usd', 'invoiced_usd', 'cash_in_usd', 'cash_out_usd',
    'cash_flow_usd'
] %}
{% set balances = [
    'cash_position_usd', 'payable_usd', 'receivable_current_usd', 'receivable_late_1_30_usd', 'receivable_late_31_60_usd',
    'receivable_late_61_90_usd', 'receivable_late_over_90_usd', 'receivable_on_account_usd', 'receivable_usd',
    'days_sales_outstanding'
] %}
{% set is_complete = "clock.clock_day >= (month_total.month + interval '1 month')::date" %}
{{
    config(
        sources=[
            'invoices', 'invoice_lines', 'payments', 'expenses', 'budgets', 'ml.forecast',
            'intermediate.int_data_clock', 'intermediate.int_customer__account',
        ],
    )
}}
with clock as (
    select clock_day from {{ ref('int_data_clock') }}
),

financial_daily as (
    select *, date_trunc('month', business_date)::date as month
    from {{ ref('financial_daily') }}
),

forecast as (
    select * from {{ ref('int_financial__forecast') }} where grain = 'month'
),

month_total as (
    select
        depot_id,
        month,
        max(business_date) as last_day,
        {%- for column in sums %}
        sum({{ column }}) as {{ column }},
        {%- endfor %}
        sum(revenue_budget_usd) as revenue_budget_usd,
        sum(cost_budget_usd) as cost_budget_usd,
        sum(revenue_budget_variance_usd) as revenue_budget_variance_usd,
        sum(cost_budget_variance_usd) as cost_budget_variance_usd
    from financial_daily
    group by depot_id, month
)

select
    -- keys
    month_total.depot_id,
    month_total.month,
    -- times
    month_total.last_day,
    {{ is_complete }} as is_complete,
    -- flows
    {%- for column in sums %}
    month_total.{{ column }}::numeric(14, 2) as {{ column }},
    {%- endfor %}
    (month_total.margin_usd / nullif(greatest(month_total.revenue_usd, 0), 0))::numeric(18, 4) as margin_ratio,
    -- balances
    {%- for column in balances %}
    month_end.{{ column }},
    {%- endfor %}
    -- budget
    month_total.revenue_budget_usd::numeric(14, 2) as revenue_budget_usd,
    month_total.revenue_budget_variance_usd::numeric(14, 2) as revenue_budget_variance_usd,
    month_total.cost_budget_usd::numeric(14, 2) as cost_budget_usd,
    month_total.cost_budget_variance_usd::numeric(14, 2) as cost_budget_variance_usd,
    -- forecast against actual
    forecast.revenue_forecast_usd,
    case when {{ is_complete }} then month_total.revenue_usd - forecast.revenue_forecast_usd end::numeric(14, 2)
        as revenue_forecast_error_usd,
    forecast.cost_forecast_usd,
    case when {{ is_complete }} then month_total.cost_usd - forecast.cost_forecast_usd end::numeric(14, 2)
        as cost_forecast_error_usd
from month_total
cross join clock
inner join financial_daily as month_end
    on month_end.depot_id = month_total.depot_id and month_end.business_date = month_total.last_day
left join forecast on forecast.depot_id = month_total.depot_id and forecast.target_date = month_total.month
