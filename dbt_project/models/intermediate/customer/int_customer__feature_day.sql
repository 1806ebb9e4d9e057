-- One row per day that customers' features are of: the first of each month, and the data clock's day.
{{
    config(
        materialized='tracked_table',
        sources=[
            'route_stops', 'service_tickets', 'surveys', 'portal_sessions', 'portal_events', 'service_orders', 'invoices',
            'payments', 'service_agreements', 'service_agreement_prices', 'loads', 'vehicle_telemetry', 'expenses',
            'intermediate.int_data_clock', 'intermediate.int_customer__agreement_period',
            'intermediate.int_customer__history', 'intermediate.int_financial__receivable_change',
            'intermediate.int_customer__account',
        ],
        pre_hook="{{ register_feature_days() }}",
    )
}}
with clock as (
    select clock_day from {{ ref('int_data_clock') }}
),

history as (
    select first_day from {{ ref('int_customer__history') }}
),

-- a month's worth of facts is the least that features are made of
first_of_month as (
    select
        generate_series(
            date_trunc('month', history.first_day + 60), date_trunc('month', clock.clock_day), interval '1 month'
        )::date as as_of
    from history
    cross join clock
)

select
    first_of_month.as_of,
    first_of_month.as_of = clock.clock_day as is_current
from first_of_month
cross join clock
union
select clock_day, true from clock
