-- One row per customer: who it is and how it stands on the data clock's day.
{{
    config(
        sources=[
            'customers', 'service_agreements', 'service_agreement_prices', 'service_orders', 'depots', 'route_stops',
            'service_tickets', 'surveys', 'portal_sessions', 'portal_events', 'invoices', 'invoice_lines', 'payments', 'expenses',
            'ml.churn_prediction', 'intermediate.int_data_clock',
        ],
        indexes=[{'columns': ['rfm_segment']}, {'columns': ['depot_id']}],
        pre_hook='set local enable_nestloop = off',
    )
}}
{% set margin_cap = 0.9 %}
with clock as (
    select clock_day from {{ ref('int_data_clock') }}
),

history as (
    select first_day from {{ ref('int_customer__history') }}
),

customers as (
    select * from {{ ref('stg_crm__customers') }}
),

depots as (
    select * from {{ ref('stg_operations__depots') }}
),

agreement_period as (
    select * from {{ ref('int_customer__agreement_period') }}
),

agreements as (
    select * from {{ ref('stg_crm__service_agreements') }}
),

service_orders as (
    select * from {{ ref('stg_crm__service_orders') }}
),

payments as (
    select * from {{ ref('stg_billing__payments') }}
),

invoices as (
    select * from {{ ref('stg_billing__invoices') }}
),

surveys as (
    select * from {{ ref('stg_crm__surveys') }}
),

receivable_change as (
    select * from {{ ref('int_financial__receivable_change') }}
),

service_days as (
    select * from {{ ref('int_customer__service_day') }}
),

contact_days as (
    select * from {{ ref('int_customer__contact_day') }}
),

customer_profitability as (
    select * from {{ ref('customer_profitability') }}
),

rfm as (
    select * from {{ ref('int_customer__rfm') }}
),

hazard as (
    select monthly_hazard from {{ ref('int_customer__hazard') }}
),

predictions as (
    select * from {{ ref('stg_ml__churn_prediction') }}
),

-- of the last scoring alone: what was said of one that left and came back is out of date
last_scoring as (
    select max(as_of) as as_of from predictions
),

prediction as (
    select predictions.*
    from predictions
    inner join last_scoring on last_scoring.as_of = predictions.as_of
),

-- the stretch that holds the clock's day, else the last one before it, else the first ahead
standing as (
    select distinct on (agreement_period.customer_id)
        agreement_period.*,
        clock.clock_day >= agreement_period.valid_from
        and clock.clock_day <= coalesce(agreement_period.valid_to, date 'infinity') as is_present,
        clock.clock_day >= agreement_period.valid_from as is_begun
    from agreement_period
    cross join clock
    order by
        agreement_period.customer_id,
        agreement_period.valid_from <= clock.clock_day desc,
        abs(clock.clock_day - agreement_period.valid_from)
),

revenue_before as (
    select agreement_period.customer_id, agreement_period.mrr_usd
    from agreement_period
    cross join clock
    where
        agreement_period.valid_from <= clock.clock_day - 90
        and coalesce(agreement_period.valid_to, date 'infinity') >= clock.clock_day - 90
),

departure as (
    select agreement_period.customer_id, max(agreement_period.valid_from) - 1 as ended_date
    from agreement_period
    cross join clock
    where agreement_period.active_agreements = 0 and agreement_period.valid_from <= clock.clock_day
    group by agreement_period.customer_id
),

stream as (
    select
        agreements.customer_id,
        bool_or(agreements.waste_stream = 'recycling') as has_recycling,
        bool_or(agreements.waste_stream = 'organics') as has_organics
    from agreements
    cross join clock
    where
        agreements.start_date <= clock.clock_day
        and coalesce(agreements.end_date, date 'infinity') >= clock.clock_day
    group by agreements.customer_id
),

service as (
    select
        service_days.customer_id,
        sum(service_days.lifts) as lifts,
        sum(service_days.missed_pickups) as missed_pickups,
        sum(service_days.contaminated_lifts) as contaminated_lifts,
        sum(service_days.overage_lifts) as overage_lifts,
        sum(service_days.collected_tons) as tons
    from service_days
    cross join clock
    where service_days.service_date > clock.clock_day - 90 and service_days.service_date <= clock.clock_day
    group by service_days.customer_id
),

contact as (
    select
        contact_days.customer_id,
        sum(contact_days.tickets) as tickets,
        sum(contact_days.complaints) as complaints,
        sum(contact_days.response_hours) / nullif(sum(contact_days.first_responses), 0) as response_hours,
        sum(contact_days.portal_sessions) as portal_sessions,
        sum(contact_days.portal_events) as portal_events,
        max(contact_days.business_date) filter (where contact_days.portal_sessions > 0) as last_session_date
    from contact_days
    cross join clock
    where contact_days.business_date > clock.clock_day - 90 and contact_days.business_date <= clock.clock_day
    group by contact_days.customer_id
),

opinion as (
    select
        surveys.customer_id,
        avg({{ satisfaction_score('survey_type', 'score') }}) as satisfaction_score,
        (
            array_agg(surveys.score order by surveys.responded_at desc, surveys.survey_id)
            filter (where surveys.survey_type = 'nps')
        )[1] as nps_last
    from surveys
    cross join clock
    where surveys.score is not null and surveys.responded_date between clock.clock_day - 364 and clock.clock_day
    group by surveys.customer_id
),

owed as (
    select distinct on (receivable_change.customer_id)
        receivable_change.customer_id,
        receivable_change.balance_usd,
        receivable_change.overdue_usd,
        case
            when receivable_change.overdue_usd > 0 then clock.clock_day - receivable_change.oldest_due_date
        end as days_past_due
    from receivable_change
    cross join clock
    where receivable_change.change_date <= clock.clock_day
    order by receivable_change.customer_id, receivable_change.change_date desc
),

paying as (
    select
        payments.customer_id,
        avg(payments.payment_date - invoices.invoice_date) as days_to_pay,
        count(*) filter (where payments.payment_date > invoices.due_date) as late_payments
    from payments
    inner join invoices
        on invoices.invoice_id = payments.invoice_id and invoices.customer_id = payments.customer_id
    cross join clock
    where payments.amount_usd > 0 and payments.payment_date between clock.clock_day - 364 and clock.clock_day
    group by payments.customer_id
),

ordered as (
    select service_orders.customer_id, count(*) as service_orders
    from service_orders
    cross join clock
    where
        service_orders.status is distinct from 'cancelled'
        and service_orders.delivery_date between clock.clock_day - 364 and clock.clock_day
    group by service_orders.customer_id
),

-- of service, not of recyclables sold to the customer
-- bills follow the service by a month and the present month is not billed yet: the twelve whole months before it, less those
-- whose service history does not hold, or holds without the bills of the month before
earned as (
    select
        customer_profitability.customer_id,
        sum(customer_profitability.revenue_usd - customer_profitability.recycling_sales_usd) as revenue_usd,
        sum(customer_profitability.contribution_usd - customer_profitability.recycling_sales_usd) as contribution_usd
    from customer_profitability
    cross join clock
    left join history on true
    where
        customer_profitability.month >= greatest(
            date_trunc('month', clock.clock_day) - interval '12 months',
            date_trunc('month', history.first_day + interval '1 month' - interval '1 day') + interval '1 month'
        )
        and customer_profitability.month < date_trunc('month', clock.clock_day)
    group by customer_profitability.customer_id
),

company as (
    select sum(contribution_usd) / nullif(greatest(sum(revenue_usd), 0), 0) as contribution_ratio from earned
),

type_margin as (
    select
        customers.customer_type,
        sum(earned.contribution_usd) / nullif(greatest(sum(earned.revenue_usd), 0), 0) as contribution_ratio
    from earned
    inner join customers on customers.customer_id = earned.customer_id
    group by customers.customer_type
),

-- of one that came, or came back, within these months or the one before, costs stand there without their revenue
settled as (
    select agreement_period.customer_id
    from agreement_period
    cross join clock
    where agreement_period.mrr_movement in ('new', 'reactivated') and agreement_period.valid_from <= clock.clock_day
    group by agreement_period.customer_id
    having max(agreement_period.valid_from) <= date_trunc('month', max(clock.clock_day)) - interval '13 months'
),

margin as (
    select
        customers.customer_id,
        coalesce(
            case
                when settled.customer_id is not null
                    then earned.contribution_usd / nullif(greatest(earned.revenue_usd, 0), 0)
            end,
            type_margin.contribution_ratio,
            company.contribution_ratio
        ) as contribution_ratio
    from customers
    cross join company
    left join earned on earned.customer_id = customers.customer_id
    left join settled on settled.customer_id = customers.customer_id
    left join type_margin on type_margin.customer_type = customers.customer_type
),

-- no more is kept than nine tenths; least() alone would make nine tenths of what is not known
capped as (
    select
        customer_id,
        case when contribution_ratio is not null then least(contribution_ratio, {{ margin_cap }}) end as contribution_ratio
    from margin
),

described as (
    select
        customers.customer_id,
        customers.account_number,
        customers.customer_name,
        customers.customer_type,
        coalesce(customers.depot_id, 'unassigned') as depot_id,
        depots.depot_name,
        depots.region,
        customers.city,
        customers.postal_code,
        customers.acquisition_channel,
        customers.is_autopay,
        case
            when standing.customer_id is null or not standing.is_begun then 'prospect'
            when standing.is_present and standing.active_agreements > 0 then 'active'
            else 'churned'
        end as status,
        standing.first_start_date,
        case
            when standing.is_present and standing.active_agreements > 0 then null else departure.ended_date
        end as ended_date,
        case when standing.is_present then standing.active_agreements else 0 end as active_agreements,
        case when standing.is_present then standing.service_type end as service_type,
        case when standing.is_present then standing.mrr_usd else 0 end as mrr_usd,
        coalesce(revenue_before.mrr_usd, 0) as mrr_before_usd,
        stream.has_recycling,
        stream.has_organics,
        clock.clock_day
    from customers
    cross join clock
    left join depots on depots.depot_id = customers.depot_id
    left join standing on standing.customer_id = customers.customer_id
    left join revenue_before on revenue_before.customer_id = customers.customer_id
    left join departure on departure.customer_id = customers.customer_id
    left join stream on stream.customer_id = customers.customer_id
),

-- three months at the customer's own hazard, as predicted, then the company's, five years in all
survival as (
    select
        described.customer_id,
        1 - power(1 - coalesce(prediction.churn_probability, 1 - power(1 - hazard.monthly_hazard, 3)), 1.0 / 3)
            as own_hazard,
        hazard.monthly_hazard
    from described
    cross join hazard
    left join prediction on prediction.customer_id = described.customer_id
    where described.status = 'active'
),

remaining as (
    select
        customer_id,
        (
            (1 - own_hazard) + power(1 - own_hazard, 2) + power(1 - own_hazard, 3)
            + power(1 - own_hazard, 3) * (1 - monthly_hazard) * (1 - power(1 - monthly_hazard, 57)) / monthly_hazard
        ) as expected_months
    from survival
)

select
    -- keys
    described.customer_id,
    -- identity
    described.account_number,
    described.customer_name,
    described.customer_type,
    described.depot_id,
    described.depot_name,
    described.region,
    described.city,
    described.postal_code,
    described.acquisition_channel,
    described.is_autopay,
    -- standing
    described.clock_day as as_of,
    described.status,
    described.first_start_date,
    described.ended_date,
    case
        when described.status <> 'prospect'
            then (least(described.ended_date, described.clock_day) - described.first_start_date) / 30.4375
    end::numeric(10, 2) as tenure_months,
    described.active_agreements,
    described.service_type,
    described.mrr_usd::numeric(14, 2) as mrr_usd,
    (described.mrr_usd - described.mrr_before_usd)::numeric(14, 2) as mrr_change_90d_usd,
    -- recency, frequency, monetary
    rfm.recency_days,
    rfm.lifts_12_months,
    rfm.paid_365_days_usd,
    rfm.recency_score,
    rfm.frequency_score,
    rfm.monetary_score,
    case when described.status = 'churned' then 'Lost' else rfm.rfm_segment end as rfm_segment,
    -- behaviour
    coalesce(service.lifts, 0)::integer as lifts_90d,
    coalesce(service.tons, 0)::numeric(12, 4) as tons_90d,
    coalesce(service.contaminated_lifts, 0)::integer as contaminated_lifts_90d,
    coalesce(service.overage_lifts, 0)::integer as overage_lifts_90d,
    coalesce(ordered.service_orders, 0)::integer as service_orders_365d,
    -- engagement
    coalesce(contact.portal_sessions, 0)::integer as portal_sessions_90d,
    coalesce(contact.portal_events, 0)::integer as portal_events_90d,
    described.clock_day - contact.last_session_date as days_since_last_portal_session,
    -- service quality
    coalesce(service.missed_pickups, 0)::integer as missed_pickups_90d,
    (service.missed_pickups / nullif(service.lifts + service.missed_pickups, 0)::numeric)::numeric(6, 4)
        as missed_pickup_ratio_90d,
    coalesce(contact.tickets, 0)::integer as tickets_90d,
    coalesce(contact.complaints, 0)::integer as complaints_90d,
    contact.response_hours::numeric(12, 2) as response_hours_avg_90d,
    -- satisfaction
    opinion.satisfaction_score::numeric(6, 2) as satisfaction_score_365d,
    opinion.nps_last::numeric(4, 1) as nps_last,
    -- payment
    coalesce(owed.balance_usd, 0)::numeric(14, 2) as balance_usd,
    coalesce(owed.overdue_usd, 0)::numeric(14, 2) as overdue_usd,
    coalesce(owed.days_past_due, 0) as days_past_due,
    coalesce(paying.late_payments, 0)::integer as late_payments_365d,
    paying.days_to_pay::numeric(8, 1) as days_to_pay_avg_365d,
    -- churn
    prediction.as_of as scored_as_of,
    prediction.churn_probability,
    prediction.churn_score,
    prediction.risk_tier,
    prediction.reasons as churn_reasons,
    prediction.suggested_action,
    -- value
    remaining.expected_months::numeric(6, 1) as expected_remaining_months,
    capped.contribution_ratio::numeric(14, 4) as contribution_ratio,
    (remaining.expected_months::numeric * described.mrr_usd * capped.contribution_ratio)::numeric(14, 2) as lifetime_value_usd,
    case
        when described.status <> 'active' or owed.days_past_due > 60 or prediction.churn_probability > 0.3 then null
        when service.overage_lifts >= 3 and service.overage_lifts >= 0.1 * service.lifts
            then 'larger container or one more lift a week'
        when ordered.service_orders >= 3 then 'standing roll-off agreement'
        when not described.has_recycling then 'recycling collection'
        when described.customer_type in ('commercial', 'industrial') and not described.has_organics
            then 'organics collection'
    end as upsell_suggestion
from described
left join rfm on rfm.customer_id = described.customer_id
left join service on service.customer_id = described.customer_id
left join contact on contact.customer_id = described.customer_id
left join opinion on opinion.customer_id = described.customer_id
left join owed on owed.customer_id = described.customer_id
left join paying on paying.customer_id = described.customer_id
left join ordered on ordered.customer_id = described.customer_id
left join capped on capped.customer_id = described.customer_id
left join prediction on prediction.customer_id = described.customer_id and described.status = 'active'
left join remaining on remaining.customer_id = described.customer_id
