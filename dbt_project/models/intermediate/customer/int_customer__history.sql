-- One row, or none before any data: the first day of which raw holds facts about customers.
-- Agreements may be years older; daily history and features begin here.
{{
    config(
        materialized='tracked_table',
        sources=[
            'route_stops', 'service_tickets', 'surveys', 'portal_sessions', 'portal_events', 'invoices', 'payments',
            'service_agreements', 'service_agreement_prices',
        ],
        pre_hook="{{ keep_history() }}",
        post_hook="{{ register_history_days() }}",
    )
}}
with service as (
    select min(service_date) as first_day from {{ ref('int_customer__service_day') }}
),

contact as (
    select min(business_date) as first_day from {{ ref('int_customer__contact_day') }}
),

receivable as (
    select min(change_date) as first_day from {{ ref('int_financial__receivable_change') }}
),

agreement as (
    select min(valid_from) as first_day from {{ ref('int_customer__agreement_period') }}
),

facts as (
    select least(service.first_day, contact.first_day, receivable.first_day) as first_day
    from service
    cross join contact
    cross join receivable
)

select coalesce(facts.first_day, agreement.first_day) as first_day
from facts
cross join agreement
where coalesce(facts.first_day, agreement.first_day) is not null
