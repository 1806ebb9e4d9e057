-- One row per series (metric, level, entity) and complete day since the series' first fact, 0 on days without one.
{{
    config(
        materialized='business_days',
        day='ds',
        sources=[
            'loads', 'route_stops', 'invoices', 'invoice_lines', 'expenses', 'service_tickets', 'payments',
            'portal_sessions', 'vehicle_telemetry', 'route_runs', 'routes', 'vehicles', 'intermediate.int_data_clock',
            'intermediate.int_customer__account',
        ],
        reach={'payments': [], 'portal_sessions': [], 'vehicle_telemetry': []},
        running=true,
        pre_hook='set local enable_nestloop = off',
    )
}}
-- An empty reach is no day at all: these tables only move the clock.
with clock as (
    select clock_day from {{ ref('int_data_clock') }}
),

loads as (
    select * from {{ ref('int_operational__load_hours') }} where {{ in_rebuilt_days('operating_date') }}
),

routes as (
    select route_id, depot_id from {{ ref('stg_operations__routes') }}
),

runs as (
    select route_run_id, service_date, depot_id from {{ ref('stg_operations__route_runs') }}
    where {{ in_rebuilt_days('service_date') }}
),

route_stops as (
    select * from {{ ref('stg_operations__route_stops') }} where {{ in_rebuilt_days('service_date') }}
),

service_tickets as (
    select * from {{ ref('stg_crm__service_tickets') }} where {{ in_rebuilt_days('opened_date') }}
),

ledger_day as (
    select * from {{ ref('int_financial__ledger_day') }} where {{ in_rebuilt_days('entry_date') }}
),

load_day as (
    select
        operating_date as ds,
        route_id,
        nullif(depot_id, 'unassigned') as depot_id,
        sum(tons) as y
    from loads
    group by operating_date, route_id, depot_id
),

lift_day as (
    select service_date as ds, route_run_id, route_id, count(*) as y
    from route_stops
    where status = 'completed'
    group by service_date, route_run_id, route_id
),

ticket_day as (
    select opened_date as ds, depot_id, count(*) as y
    from service_tickets
    group by opened_date, depot_id
),

fact as (
    select 'tons' as metric, ds, depot_id, route_id, y from load_day
    union all
    select 'lifts', lift_day.ds, coalesce(runs.depot_id, routes.depot_id), lift_day.route_id, lift_day.y
    from lift_day
    left join runs on runs.route_run_id = lift_day.route_run_id and runs.service_date = lift_day.ds
    left join routes on routes.route_id = lift_day.route_id
    union all
    select
        case account when 'revenue' then 'revenue_usd' else 'cost_usd' end,
        entry_date,
        depot_id,
        null,
        case account when 'revenue' then credit_usd - debit_usd else debit_usd - credit_usd end
    from ledger_day
    where account in ('revenue', 'expense')
    union all
    select 'tickets', ds, depot_id, null, y from ticket_day
),

observed as (
    select fact.metric, entity.level, entity.entity_id, fact.ds, sum(fact.y) as y
    from fact
    cross join clock
    cross join
        lateral (
            values
            ('company', 'company'),
            ('depot', fact.depot_id),
            ('route', fact.route_id)
        ) as entity (level, entity_id)
    where entity.entity_id is not null and fact.ds < clock.clock_day
    group by fact.metric, entity.level, entity.entity_id, fact.ds
),

-- series that ran on the day before the first rebuilt one go on; others begin with their first fact
series as (
    select metric, level, entity_id, min(first_day) as first_day
    from (
        select metric, level, entity_id, min(ds) as first_day
        from observed
        group by metric, level, entity_id
        {%- if not is_full_build() %}
        union all
        select metric, level, entity_id, {{ first_rebuilt_day() }}
        from {{ this }}
        where ds = {{ first_rebuilt_day() }} - 1
        {%- endif %}
    ) as known
    group by metric, level, entity_id
),

-- added up rather than joined: the planner cannot know how many days a series has
stacked as (
    select metric, level, entity_id, ds, y from observed
    union all
    select series.metric, series.level, series.entity_id, day::date, 0
    from series
    cross join clock
    cross join lateral generate_series(
        series.first_day::timestamp, (clock.clock_day - 1)::timestamp, interval '1 day'
    ) as day
)

select
    -- keys
    metric || '/' || level || '/' || entity_id as series_id,
    metric,
    level,
    entity_id,
    ds,
    -- facts
    sum(y)::double precision as y
from stacked
group by metric, level, entity_id, ds
