-- One row per depot (unassigned for what belongs to none) and day, from its first ledger entry, or the first day budgeted if
-- that is earlier, to the data clock.
{% set lines_of_business = ['residential', 'commercial', 'roll_off', 'recycling_sales', 'organics'] %}
{% set expense_kinds = [
    'labor', 'fuel', 'disposal', 'maintenance', 'container', 'insurance', 'lease', 'overhead', 'marketing'
] %}
{% set buckets = ['current', 'late_1_30', 'late_31_60', 'late_61_90', 'late_over_90'] %}
{{
    config(
        materialized='business_days',
        day='business_date',
        sources=[
            'invoices', 'invoice_lines', 'payments', 'expenses', 'budgets', 'ml.forecast', 'loads', 'route_stops',
            'service_tickets', 'portal_sessions', 'vehicle_telemetry', 'intermediate.int_data_clock',
            'intermediate.int_customer__account',
        ],
        reach={
            'loads': [], 'route_stops': [], 'service_tickets': [],
            'portal_sessions': [], 'vehicle_telemetry': [],
        },
        running=true,
        pre_hook='set local enable_nestloop = off',
    )
}}
-- An empty reach is no day at all: these tables only move the clock.
with clock as (
    select clock_day from {{ ref('int_data_clock') }}
),

ledger_day as (
    select * from {{ ref('int_financial__ledger_day') }}
),

budget_day as (
    select * from {{ ref('int_financial__budget_day') }}
),

depots as (
    select
        depot_id,
        min(first_day) as first_day,
        min(first_entry_date) as first_entry_date,
        min(min(first_entry_date)) over () as books_from
    from (
        select depot_id, min(entry_date) as first_day, min(entry_date) as first_entry_date from ledger_day group by depot_id
        union all
        select depot_id, min(business_date), null from budget_day group by depot_id
    ) as first_days
    group by depot_id
),

customers as (
    select customer_id, depot_id from {{ ref('int_customer__account') }}
),

spine as (
    select depots.depot_id, depots.first_entry_date, depots.books_from, day::date as business_date
    from depots
    cross join clock
    cross join lateral generate_series(
        greatest(depots.first_day, {{ first_rebuilt_day() }})::timestamp, clock.clock_day::timestamp, interval '1 day'
    ) as day
),

flow as (
    select
        depot_id,
        entry_date as business_date,
        {%- for line in lines_of_business %}
        sum(credit_usd - debit_usd) filter (where account = 'revenue' and line = '{{ line }}') as revenue_{{ line }}_usd,
        {%- endfor %}
        sum(credit_usd - debit_usd) filter (where account = 'revenue') as revenue_usd,
        {%- for kind in expense_kinds %}
        sum(debit_usd - credit_usd) filter (where account = 'expense' and line = '{{ kind }}') as cost_{{ kind }}_usd,
        {%- endfor %}
        sum(debit_usd - credit_usd) filter (where account = 'expense') as cost_usd,
        sum(debit_usd - credit_usd) filter (where account = 'receivable' and line = 'invoiced') as invoiced_usd,
        sum(debit_usd) filter (where account = 'cash') as cash_in_usd,
        sum(credit_usd) filter (where account = 'cash') as cash_out_usd,
        sum(credit_usd - debit_usd) filter (where account = 'payable') as payable_change_usd
    from ledger_day
    where {{ in_rebuilt_days('entry_date') }}
    group by depot_id, entry_date
),

-- what was invoiced in the 90 days up to each day, for days sales outstanding
invoiced_day as (
    select
        depot_id,
        entry_date as business_date,
        sum(debit_usd - credit_usd) as invoiced_usd
    from ledger_day
    where account = 'receivable' and line = 'invoiced' and entry_date > {{ first_rebuilt_day() }} - 90
    group by depot_id, entry_date
),

invoiced_90_days as (
    select spine.depot_id, spine.business_date, sum(invoiced_day.invoiced_usd) as invoiced_90_days_usd
    from spine
    inner join invoiced_day
        on
            invoiced_day.depot_id = spine.depot_id
            and invoiced_day.business_date between spine.business_date - 89 and spine.business_date
    group by spine.depot_id, spine.business_date
),

receivable_change as (
    select
        coalesce(customers.depot_id, 'unassigned') as depot_id,
        receivable_change.change_date as business_date,
        {%- for bucket in buckets %}
        sum(receivable_change.{{ bucket }}_change_usd) as {{ bucket }}_usd,
        {%- endfor %}
        sum(receivable_change.on_account_change_usd) as on_account_usd
    from {{ ref('int_financial__receivable_change') }} as receivable_change
    left join customers on customers.customer_id = receivable_change.customer_id
    where {{ in_rebuilt_days('receivable_change.change_date') }}
    group by coalesce(customers.depot_id, 'unassigned'), receivable_change.change_date
),

-- balances at the end of the day before the first rebuilt one
opening as (
    {%- if is_full_build() %}
    select
        null::text as depot_id,
        0.00 as cash_position_usd,
        0.00 as payable_usd,
        {%- for bucket in buckets %}
        0.00 as receivable_{{ bucket }}_usd,
        {%- endfor %}
        0.00 as receivable_on_account_usd
    where false
    {%- else %}
    select
        depot_id,
        cash_position_usd,
        payable_usd,
        {%- for bucket in buckets %}
        receivable_{{ bucket }}_usd,
        {%- endfor %}
        receivable_on_account_usd
    from {{ this }}
    where business_date = {{ first_rebuilt_day() }} - 1
    {%- endif %}
),

forecast as (
    select * from {{ ref('int_financial__forecast') }} where grain = 'day' and {{ in_rebuilt_days('target_date') }}
),

running as (
    select
        spine.depot_id,
        spine.business_date,
        spine.first_entry_date,
        spine.books_from,
        coalesce(opening.cash_position_usd, 0)
        + sum(coalesce(flow.cash_in_usd, 0) - coalesce(flow.cash_out_usd, 0)) over so_far as cash_position_usd,
        coalesce(opening.payable_usd, 0) + sum(coalesce(flow.payable_change_usd, 0)) over so_far as payable_usd,
        {%- for bucket in buckets %}
        coalesce(opening.receivable_{{ bucket }}_usd, 0)
        + sum(coalesce(receivable_change.{{ bucket }}_usd, 0)) over so_far as receivable_{{ bucket }}_usd,
        {%- endfor %}
        coalesce(opening.receivable_on_account_usd, 0)
        + sum(coalesce(receivable_change.on_account_usd, 0)) over so_far as receivable_on_account_usd
    from spine
    left join flow on flow.depot_id = spine.depot_id and flow.business_date = spine.business_date
    left join receivable_change
        on
            receivable_change.depot_id = spine.depot_id
            and receivable_change.business_date = spine.business_date
    left join opening on opening.depot_id = spine.depot_id
    window so_far as (partition by spine.depot_id order by spine.business_date)
),

day_total as (
    select
        running.*,
        {%- for line in lines_of_business %}
        coalesce(flow.revenue_{{ line }}_usd, 0) as revenue_{{ line }}_usd,
        {%- endfor %}
        coalesce(flow.revenue_usd, 0) as revenue_usd,
        {%- for kind in expense_kinds %}
        coalesce(flow.cost_{{ kind }}_usd, 0) as cost_{{ kind }}_usd,
        {%- endfor %}
        coalesce(flow.cost_usd, 0) as cost_usd,
        coalesce(flow.invoiced_usd, 0) as invoiced_usd,
        coalesce(flow.cash_in_usd, 0) as cash_in_usd,
        coalesce(flow.cash_out_usd, 0) as cash_out_usd,
        running.receivable_current_usd + running.receivable_late_1_30_usd + running.receivable_late_31_60_usd
        + running.receivable_late_61_90_usd + running.receivable_late_over_90_usd
        - running.receivable_on_account_usd as receivable_usd,
        invoiced_90_days.invoiced_90_days_usd,
        budget_day.revenue_budget_usd,
        budget_day.cost_budget_usd,
        forecast.revenue_forecast_usd,
        forecast.cost_forecast_usd
    from running
    left join flow on flow.depot_id = running.depot_id and flow.business_date = running.business_date
    left join invoiced_90_days
        on invoiced_90_days.depot_id = running.depot_id and invoiced_90_days.business_date = running.business_date
    left join budget_day
        on budget_day.depot_id = running.depot_id and budget_day.business_date = running.business_date
    left join forecast on forecast.depot_id = running.depot_id and forecast.target_date = running.business_date
)

select
    -- keys
    depot_id,
    business_date,
    -- revenue by line of business
    {%- for line in lines_of_business %}
    revenue_{{ line }}_usd::numeric(14, 2) as revenue_{{ line }}_usd,
    {%- endfor %}
    (
        revenue_usd
        {%- for line in lines_of_business %}
        - revenue_{{ line }}_usd
        {%- endfor %}
    )::numeric(14, 2) as revenue_other_usd,
    revenue_usd::numeric(14, 2) as revenue_usd,
    -- cost by kind
    {%- for kind in expense_kinds %}
    cost_{{ kind }}_usd::numeric(14, 2) as cost_{{ kind }}_usd,
    {%- endfor %}
    (
        cost_usd
        {%- for kind in expense_kinds %}
        - cost_{{ kind }}_usd
        {%- endfor %}
    )::numeric(14, 2) as cost_other_usd,
    cost_usd::numeric(14, 2) as cost_usd,
    -- margin
    (revenue_usd - cost_usd)::numeric(14, 2) as margin_usd,
    -- cash
    invoiced_usd::numeric(14, 2) as invoiced_usd,
    cash_in_usd::numeric(14, 2) as cash_in_usd,
    cash_out_usd::numeric(14, 2) as cash_out_usd,
    (cash_in_usd - cash_out_usd)::numeric(14, 2) as cash_flow_usd,
    cash_position_usd::numeric(14, 2) as cash_position_usd,
    payable_usd::numeric(14, 2) as payable_usd,
    -- receivables by age
    {%- for bucket in buckets %}
    receivable_{{ bucket }}_usd::numeric(14, 2) as receivable_{{ bucket }}_usd,
    {%- endfor %}
    receivable_on_account_usd::numeric(14, 2) as receivable_on_account_usd,
    receivable_usd::numeric(14, 2) as receivable_usd,
    (
        receivable_usd * least(90, business_date - first_entry_date + 1) / nullif(greatest(invoiced_90_days_usd, 0), 0)
    )::numeric(18, 1) as days_sales_outstanding,
    -- budget; before the company's books begin nothing is known to compare it with
    revenue_budget_usd::numeric(14, 2) as revenue_budget_usd,
    case when business_date >= books_from then revenue_usd - revenue_budget_usd end::numeric(14, 2)
        as revenue_budget_variance_usd,
    cost_budget_usd::numeric(14, 2) as cost_budget_usd,
    case when business_date >= books_from then cost_usd - cost_budget_usd end::numeric(14, 2) as cost_budget_variance_usd,
    -- forecast against actual, when the day is over
    revenue_forecast_usd,
    case when business_date < clock_day then revenue_usd - revenue_forecast_usd end::numeric(14, 2)
        as revenue_forecast_error_usd,
    cost_forecast_usd,
    case when business_date < clock_day then cost_usd - cost_forecast_usd end::numeric(14, 2) as cost_forecast_error_usd
from day_total
cross join clock
