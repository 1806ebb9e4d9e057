-- One row per customer and day on which an agreement runs, and for 90 days after none is left, from the first day with facts
-- in raw to the data clock.
{{
    config(
        materialized='business_days',
        day='business_date',
        sources=[
            'route_stops', 'service_tickets', 'surveys', 'portal_sessions', 'portal_events', 'invoices', 'payments',
            'service_agreements', 'service_agreement_prices', 'loads', 'vehicle_telemetry', 'expenses',
            'intermediate.int_data_clock', 'intermediate.int_customer__agreement_period',
            'intermediate.int_customer__history', 'intermediate.int_financial__receivable_change',
        ],
        reach={
            'invoices': [], 'payments': [], 'service_agreements': [], 'service_agreement_prices': [],
            'loads': [], 'vehicle_telemetry': [], 'expenses': [],
        },
        pre_hook='set local enable_nestloop = off',
    )
}}
-- An empty reach is no day at all: the intermediate models say more exactly which days these tables change.
-- Nested loops are off as in all models that join CTEs: the planner takes them for one row each, and 1,600 stretches
-- joined to 1,400 receivables that way took 1.3 s of 1.6 s.
with clock as (
    select clock_day from {{ ref('int_data_clock') }}
),

history as (
    select first_day from {{ ref('int_customer__history') }}
),

agreement_period as (
    select
        agreement_period.*,
        greatest(agreement_period.valid_from, history.first_day, {{ first_rebuilt_day() }}) as first_day,
        least(agreement_period.valid_to, clock.clock_day) as last_day
    from {{ ref('int_customer__agreement_period') }} as agreement_period
    cross join clock
    cross join history
    where
        agreement_period.valid_from <= clock.clock_day
        and coalesce(agreement_period.valid_to, clock.clock_day)
        >= greatest(history.first_day, {{ first_rebuilt_day() }})
),

-- what each customer owed when the first rebuilt day began
opening as (
    select distinct on (customer_id) *
    from {{ ref('int_financial__receivable_change') }}
    where change_date < {{ first_rebuilt_day() }}
    order by customer_id, change_date desc
),

receivable as (
    select receivable_change.*
    from {{ ref('int_financial__receivable_change') }} as receivable_change
    cross join clock
    where
        receivable_change.change_date >= {{ first_rebuilt_day() }}
        and receivable_change.change_date <= clock.clock_day
    union all
    select * from opening
),

-- stretches on which neither agreements nor receivables change: the days of one are then written out at once
turning_point as (
    select customer_id, valid_from as turn_date, valid_from, null::date as change_date from agreement_period
    union all
    select customer_id, change_date, null, change_date from receivable
),

turn as (
    select
        customer_id,
        turn_date,
        max(valid_from) as valid_from,
        max(change_date) as change_date
    from turning_point
    group by customer_id, turn_date
),

stretch as (
    select
        customer_id,
        turn_date,
        lead(turn_date) over customer_turns - 1 as until_date,
        max(valid_from) over customer_turns as valid_from,
        max(change_date) over customer_turns as change_date
    from turn
    window customer_turns as (partition by customer_id order by turn_date)
),

spine as (
    select
        agreement_period.customer_id,
        day.business_date::date as business_date,
        agreement_period.valid_from,
        agreement_period.first_start_date,
        agreement_period.active_agreements,
        agreement_period.mrr_usd,
        agreement_period.previous_mrr_usd,
        case when day.business_date = agreement_period.valid_from then agreement_period.mrr_movement end as mrr_movement,
        case when day.business_date = receivable.change_date then receivable.invoiced_usd end as invoiced_usd,
        case when day.business_date = receivable.change_date then receivable.paid_usd end as paid_usd,
        receivable.balance_usd,
        receivable.overdue_usd,
        receivable.oldest_due_date
    from stretch
    inner join agreement_period
        on agreement_period.customer_id = stretch.customer_id and agreement_period.valid_from = stretch.valid_from
    left join receivable
        on receivable.customer_id = stretch.customer_id and receivable.change_date = stretch.change_date
    cross join lateral generate_series(
        greatest(stretch.turn_date, agreement_period.first_day)::timestamp,
        least(stretch.until_date, agreement_period.last_day)::timestamp,
        interval '1 day'
    ) as day (business_date)
),

service_day as (
    select * from {{ ref('int_customer__service_day') }} where {{ in_rebuilt_days('service_date') }}
),

contact_day as (
    select * from {{ ref('int_customer__contact_day') }} where {{ in_rebuilt_days('business_date') }}
)

select
    -- keys
    spine.customer_id,
    spine.business_date,
    -- agreements and recurring revenue
    spine.business_date - spine.first_start_date as tenure_days,
    spine.active_agreements,
    spine.mrr_usd,
    case when spine.mrr_movement = 'new' then spine.mrr_usd else 0 end::numeric(14, 2) as mrr_new_usd,
    case when spine.mrr_movement = 'expansion' then spine.mrr_usd - spine.previous_mrr_usd else 0 end::numeric(14, 2)
        as mrr_expansion_usd,
    case when spine.mrr_movement = 'contraction' then spine.mrr_usd - spine.previous_mrr_usd else 0 end::numeric(14, 2)
        as mrr_contraction_usd,
    case when spine.mrr_movement = 'churned' then -spine.previous_mrr_usd else 0 end::numeric(14, 2) as mrr_churned_usd,
    case when spine.mrr_movement = 'reactivated' then spine.mrr_usd else 0 end::numeric(14, 2) as mrr_reactivated_usd,
    -- service
    coalesce(service_day.lifts, 0) as lifts,
    coalesce(service_day.missed_pickups, 0) as missed_pickups,
    coalesce(service_day.contaminated_lifts, 0) as contaminated_lifts,
    coalesce(service_day.overage_lifts, 0) as overage_lifts,
    coalesce(service_day.collected_tons, 0)::numeric(12, 4) as collected_tons,
    -- contact
    coalesce(contact_day.tickets, 0) as tickets,
    coalesce(contact_day.complaints, 0) as complaints,
    coalesce(contact_day.first_responses, 0) as first_responses,
    coalesce(contact_day.response_hours, 0)::numeric(12, 2) as response_hours,
    coalesce(contact_day.survey_responses, 0) as survey_responses,
    (contact_day.satisfaction_points / nullif(contact_day.survey_responses, 0))::numeric(6, 2) as satisfaction_score,
    coalesce(contact_day.portal_sessions, 0) as portal_sessions,
    coalesce(contact_day.portal_events, 0) as portal_events,
    -- money
    coalesce(spine.invoiced_usd, 0)::numeric(14, 2) as invoiced_usd,
    coalesce(spine.paid_usd, 0)::numeric(14, 2) as paid_usd,
    coalesce(spine.balance_usd, 0)::numeric(14, 2) as balance_usd,
    coalesce(spine.overdue_usd, 0)::numeric(14, 2) as overdue_usd,
    case when spine.overdue_usd > 0 then coalesce(spine.business_date - spine.oldest_due_date, 0) else 0 end
        as days_past_due
from spine
left join service_day
    on service_day.customer_id = spine.customer_id and service_day.service_date = spine.business_date
left join contact_day
    on contact_day.customer_id = spine.customer_id and contact_day.business_date = spine.business_date
where {{ in_rebuilt_days('spine.business_date') }}
