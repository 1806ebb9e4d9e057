-- One row per customer and month with revenue or service: what it brought in and its share of its depot's direct costs.
{{
    config(
        materialized='business_days',
        day='month',
        sources=['invoices', 'invoice_lines', 'expenses', 'route_stops', 'intermediate.int_customer__account'],
        reach={
            'invoices': [-30, 0], 'invoice_lines': [-30, 0], 'expenses': [-30, 0], 'route_stops': [-30, 0],
            'intermediate.int_customer__account': [-30, 0],
        },
    )
}}
-- A day changes the first of its month, at most 30 days back; days before that month are read and left out again.
{% set month_of = "date_trunc('month', {0})::date" %}
with invoices as (
    select
        customer_id,
        {{ month_of.format('invoice_date') }} as month,
        total_usd - coalesce(tax_usd, 0) as revenue_usd
    from {{ ref('stg_billing__invoices') }}
    where invoice_date >= {{ first_rebuilt_day() }} and {{ in_rebuilt_days(month_of.format('invoice_date')) }}
),

expenses as (
    select
        depot_id,
        {{ month_of.format('expense_date') }} as month,
        expense_kind,
        amount_usd
    from {{ ref('stg_billing__expenses') }}
    where
        depot_id is not null
        and expense_date >= {{ first_rebuilt_day() }}
        and {{ in_rebuilt_days(month_of.format('expense_date')) }}
),

service_days as (
    select
        customer_id,
        {{ month_of.format('service_date') }} as month,
        lifts,
        collected_tons
    from {{ ref('int_customer__service_day') }}
    where service_date >= {{ first_rebuilt_day() }} and {{ in_rebuilt_days(month_of.format('service_date')) }}
),

customers as (
    select customer_id, depot_id from {{ ref('int_customer__account') }}
),

cost_pool as (
    select
        depot_id,
        month,
        coalesce(sum(amount_usd) filter (where expense_kind = 'disposal'), 0) as disposal_usd,
        coalesce(
            sum(amount_usd) filter (where expense_kind in ('labor', 'fuel', 'maintenance', 'container', 'lease')), 0
        ) as collection_usd
    from expenses
    group by depot_id, month
),

revenue as (
    select customer_id, month, sum(revenue_usd) as revenue_usd from invoices group by customer_id, month
),

sales as (
    select
        customer_id,
        {{ month_of.format('invoice_date') }} as month,
        sum(amount_usd) as recycling_sales_usd
    from {{ ref('stg_billing__invoice_lines') }}
    where
        line_of_business = 'recycling_sales'
        and invoice_date >= {{ first_rebuilt_day() }}
        and {{ in_rebuilt_days(month_of.format('invoice_date')) }}
    group by 1, 2
),

service as (
    select customer_id, month, sum(lifts) as lifts, sum(collected_tons) as collected_tons
    from service_days
    group by customer_id, month
),

combined as (
    select
        coalesce(revenue.customer_id, service.customer_id) as customer_id,
        coalesce(revenue.month, service.month) as month,
        coalesce(revenue.revenue_usd, 0) as revenue_usd,
        coalesce(service.lifts, 0) as lifts,
        coalesce(service.collected_tons, 0) as collected_tons
    from revenue
    full join service on service.customer_id = revenue.customer_id and service.month = revenue.month
),

shared as (
    select
        combined.*,
        customers.depot_id,
        combined.lifts / nullif(sum(combined.lifts) over depot_month, 0) as lift_share,
        combined.collected_tons / nullif(sum(combined.collected_tons) over depot_month, 0) as ton_share
    from combined
    left join customers on customers.customer_id = combined.customer_id
    window depot_month as (partition by customers.depot_id, combined.month)
),

costed as (
    select
        shared.*,
        coalesce(sales.recycling_sales_usd, 0) as recycling_sales_usd,
        round(coalesce(shared.ton_share * cost_pool.disposal_usd, 0), 2) as disposal_cost_usd,
        round(coalesce(shared.lift_share * cost_pool.collection_usd, 0), 2) as collection_cost_usd
    from shared
    left join cost_pool on cost_pool.depot_id = shared.depot_id and cost_pool.month = shared.month
    left join sales on sales.customer_id = shared.customer_id and sales.month = shared.month
)

select
    -- keys
    customer_id,
    month,
    coalesce(depot_id, 'unassigned') as depot_id,
    -- facts
    lifts::integer as lifts,
    collected_tons::numeric(12, 4) as collected_tons,
    revenue_usd::numeric(14, 2) as revenue_usd,
    recycling_sales_usd::numeric(14, 2) as recycling_sales_usd,
    disposal_cost_usd::numeric(14, 2) as disposal_cost_usd,
    collection_cost_usd::numeric(14, 2) as collection_cost_usd,
    (revenue_usd - disposal_cost_usd - collection_cost_usd)::numeric(14, 2) as contribution_usd,
    ((revenue_usd - disposal_cost_usd - collection_cost_usd) / nullif(greatest(revenue_usd, 0), 0))::numeric(14, 4)
        as contribution_ratio
from costed
