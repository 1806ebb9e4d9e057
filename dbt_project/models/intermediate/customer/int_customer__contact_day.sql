-- One row per customer and day with a service ticket, a survey answer or a portal visit.
{{
    config(
        materialized='business_days',
        day='business_date',
        sources=['service_tickets', 'surveys', 'portal_sessions', 'portal_events'],
        indexes=[{'columns': ['customer_id', 'business_date']}],
    )
}}
with service_tickets as (
    select * from {{ ref('stg_crm__service_tickets') }} where {{ in_rebuilt_days('opened_date') }}
),

surveys as (
    select * from {{ ref('stg_crm__surveys') }} where {{ in_rebuilt_days('responded_date') }}
),

portal_sessions as (
    select * from {{ ref('stg_portal__portal_sessions') }} where {{ in_rebuilt_days('started_date') }}
),

portal_events as (
    select * from {{ ref('stg_portal__portal_events') }} where {{ in_rebuilt_days('occurred_date') }}
),

ticket_day as (
    select
        customer_id,
        opened_date as business_date,
        count(*) as tickets,
        count(*) filter (where {{ is_complaint('ticket_type') }}) as complaints,
        count(*) filter (where first_response_at >= opened_at) as first_responses,
        sum(extract(epoch from first_response_at - opened_at) / 3600)
        filter (where first_response_at >= opened_at) as response_hours
    from service_tickets
    group by customer_id, opened_date
),

survey_day as (
    select
        customer_id,
        responded_date as business_date,
        count(*) as survey_responses,
        sum({{ satisfaction_score('survey_type', 'score') }}) as satisfaction_points
    from surveys
    where score is not null
    group by customer_id, responded_date
),

session_day as (
    select customer_id, started_date as business_date, count(*) as portal_sessions
    from portal_sessions
    group by customer_id, started_date
),

event_day as (
    select customer_id, occurred_date as business_date, count(*) as portal_events
    from portal_events
    group by customer_id, occurred_date
),

stacked as (
    select
        customer_id,
        business_date,
        tickets,
        complaints,
        first_responses,
        response_hours,
        0::bigint as survey_responses,
        0::numeric as satisfaction_points,
        0::bigint as portal_sessions,
        0::bigint as portal_events
    from ticket_day
    union all
    select customer_id, business_date, 0, 0, 0, 0, survey_responses, satisfaction_points, 0, 0 from survey_day
    union all
    select customer_id, business_date, 0, 0, 0, 0, 0, 0, portal_sessions, 0 from session_day
    union all
    select customer_id, business_date, 0, 0, 0, 0, 0, 0, 0, portal_events from event_day
)

select
    -- keys
    customer_id,
    business_date,
    -- facts
    sum(tickets)::integer as tickets,
    sum(complaints)::integer as complaints,
    sum(first_responses)::integer as first_responses,
    coalesce(sum(response_hours), 0)::numeric(12, 2) as response_hours,
    sum(survey_responses)::integer as survey_responses,
    sum(satisfaction_points)::numeric(10, 2) as satisfaction_points,
    sum(portal_sessions)::integer as portal_sessions,
    sum(portal_events)::integer as portal_events
from stacked
where customer_id is not null
group by customer_id, business_date
