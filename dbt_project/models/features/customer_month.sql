-- One row per customer and first day of a month on which an agreement of it runs, and one for the data clock's day.
{{
    config(
        materialized='business_days',
        day='month',
        sources=[
            'route_stops', 'service_tickets', 'surveys', 'portal_sessions', 'portal_events', 'service_orders', 'invoices',
            'payments', 'service_agreements', 'service_agreement_prices', 'loads', 'vehicle_telemetry', 'expenses',
            'intermediate.int_customer__feature_day',
        ],
        reach={
            'route_stops': [], 'service_tickets': [], 'surveys': [], 'portal_sessions': [],
            'portal_events': [], 'service_orders': [], 'invoices': [], 'payments': [],
            'service_agreements': [], 'service_agreement_prices': [], 'loads': [],
            'vehicle_telemetry': [], 'expenses': [],
        },
        pre_hook='set local enable_nestloop = off',
    )
}}
-- An empty reach is no day at all: int_customer__feature_day works out which months these tables change.
-- Features rest on rows dated before the day, whatever became of them later; only the label looks ahead.
{% set first_read_day = first_rebuilt_day() ~ ' - 366' %}
with feature_day as (
    select as_of, is_current from {{ ref('int_customer__feature_day') }} where {{ in_rebuilt_days('as_of') }}
),

history as (
    select first_day from {{ ref('int_customer__history') }}
),

customers as (
    select customer_id, customer_type, payment_terms_days from {{ ref('int_customer__account') }}
),

agreement_period as (
    select * from {{ ref('int_customer__agreement_period') }}
),

agreements as (
    select * from {{ ref('stg_crm__service_agreements') }}
),

prices as (
    select * from {{ ref('stg_crm__service_agreement_prices') }}
),

invoices as (
    select * from {{ ref('stg_billing__invoices') }} where invoice_date >= {{ first_read_day }}
),

payments as (
    select * from {{ ref('stg_billing__payments') }} where payment_date >= {{ first_read_day }}
),

receivable_change as (
    select * from {{ ref('int_financial__receivable_change') }}
),

service_tickets as (
    select * from {{ ref('stg_crm__service_tickets') }} where opened_date >= {{ first_read_day }}
),

surveys as (
    select * from {{ ref('stg_crm__surveys') }} where responded_date >= {{ first_read_day }}
),

service_orders as (
    select * from {{ ref('stg_crm__service_orders') }} where delivery_date >= {{ first_read_day }}
),

service_day as (
    select * from {{ ref('int_customer__service_day') }} where service_date >= {{ first_rebuilt_day() }} - 180
),

contact_day as (
    select * from {{ ref('int_customer__contact_day') }} where business_date >= {{ first_read_day }}
),

spine as (
    select * from {{ ref('int_customer__feature_spine') }} where {{ in_rebuilt_days('as_of') }}
),

revenue_before as (
    select spine.customer_id, spine.as_of, agreement_period.mrr_usd
    from spine
    inner join agreement_period
        on
            agreement_period.customer_id = spine.customer_id
            and agreement_period.valid_from <= spine.as_of - 91
            and coalesce(agreement_period.valid_to, date 'infinity') >= spine.as_of - 91
),

-- when the present term of each agreement ends, told from its start and length: the column in the source is of today
term as (
    select
        spine.customer_id,
        spine.as_of,
        min(
            (
                agreements.start_date
                + make_interval(
                    months => agreements.term_months
                    * (
                        (
                            extract(year from age(spine.as_of, agreements.start_date)) * 12
                            + extract(month from age(spine.as_of, agreements.start_date))
                        )::integer / agreements.term_months + 1
                    )
                )
            )::date - 1 - spine.as_of
        ) as days_to_agreement_end
    from spine
    inner join agreements
        on
            agreements.customer_id = spine.customer_id
            and agreements.start_date < spine.as_of
            and coalesce(agreements.end_date, date 'infinity') >= spine.as_of
            -- a term of more than 50 years is mistyped
            and agreements.term_months between 1 and 600
    group by spine.customer_id, spine.as_of
),

price_step as (
    select
        agreements.customer_id,
        agreements.end_date,
        prices.effective_from,
        prices.change_reason,
        prices.monthly_rate_usd
        / nullif(
            lag(prices.monthly_rate_usd) over (
                partition by prices.service_agreement_id
                order by prices.effective_from, prices.service_agreement_price_id
            ),
            0
        ) - 1 as change_ratio
    from prices
    inner join agreements on agreements.service_agreement_id = prices.service_agreement_id
),

price_increase as (
    select
        spine.customer_id,
        spine.as_of,
        max(price_step.change_ratio) as price_increase_ratio,
        spine.as_of - max(price_step.effective_from) as days_since_price_increase
    from spine
    inner join price_step
        on
            price_step.customer_id = spine.customer_id
            and price_step.effective_from between spine.as_of - 365 and spine.as_of - 1
            and coalesce(price_step.end_date, date 'infinity') >= spine.as_of
    where price_step.change_ratio > 0 and price_step.change_reason is distinct from 'service_change'
    group by spine.customer_id, spine.as_of
),

invoiced as (
    select
        invoices.customer_id,
        feature_day.as_of,
        count(*) as invoices,
        sum(invoices.total_usd) as invoiced_usd
    from feature_day
    inner join invoices on invoices.invoice_date between feature_day.as_of - 90 and feature_day.as_of - 1
    group by invoices.customer_id, feature_day.as_of
),

-- the first day on which an invoice had seen a payment
first_payment as (
    select invoice_id, min(payment_date) as payment_date
    from payments
    where amount_usd > 0
    group by invoice_id
),

-- of the invoices that fell due in half a year: those paid late, and those more than ten days late, paid or not
punctuality as (
    select
        invoices.customer_id,
        feature_day.as_of,
        count(*) filter (
            where
            first_payment.payment_date > invoices.due_date
            and first_payment.payment_date between feature_day.as_of - 180 and feature_day.as_of - 1
        ) as late_payments,
        count(*) filter (
            where invoices.due_date between feature_day.as_of - 180 and feature_day.as_of - 12
        ) as due_invoices,
        count(*) filter (
            where
            invoices.due_date between feature_day.as_of - 180 and feature_day.as_of - 12
            and coalesce(first_payment.payment_date, date 'infinity') > invoices.due_date + 10
        ) as late_invoices
    from feature_day
    inner join invoices
        on
            invoices.invoice_date between feature_day.as_of - 365 and feature_day.as_of - 1
            and invoices.due_date < feature_day.as_of
    left join first_payment on first_payment.invoice_id = invoices.invoice_id
    group by invoices.customer_id, feature_day.as_of
),

receivable as (
    select
        customer_id,
        change_date,
        lead(change_date, 1, date 'infinity') over (partition by customer_id order by change_date) as next_change_date,
        overdue_usd,
        oldest_due_date
    from receivable_change
),

owed as (
    select
        receivable.customer_id,
        feature_day.as_of,
        receivable.overdue_usd,
        case when receivable.overdue_usd > 0 then feature_day.as_of - receivable.oldest_due_date end as days_past_due
    from feature_day
    inner join receivable
        on receivable.change_date < feature_day.as_of and receivable.next_change_date >= feature_day.as_of
),

ticketed as (
    select
        service_tickets.customer_id,
        feature_day.as_of,
        count(*) filter (where opened_date >= feature_day.as_of - 90) as tickets,
        count(*) filter (where opened_date >= feature_day.as_of - 90 and {{ is_complaint('ticket_type') }}) as complaints,
        count(*) filter (
            where
            opened_date between feature_day.as_of - 180 and feature_day.as_of - 91 and {{ is_complaint('ticket_type') }}
        ) as complaints_before,
        count(*) filter (
            where coalesce({{ business_day('resolved_at') }}, date 'infinity') >= feature_day.as_of
        ) as open_tickets,
        avg(date_part('epoch', first_response_at - opened_at) / 3600) filter (
            where
            opened_date >= feature_day.as_of - 90
            and first_response_at >= opened_at
            and {{ business_day('first_response_at') }} < feature_day.as_of
        ) as response_hours
    from feature_day
    inner join service_tickets
        on service_tickets.opened_date between feature_day.as_of - 365 and feature_day.as_of - 1
    where service_tickets.customer_id is not null
    group by service_tickets.customer_id, feature_day.as_of
),

surveyed as (
    select
        surveys.customer_id,
        feature_day.as_of,
        avg(1 + {{ satisfaction_score('survey_type', 'score') }} / 25) filter (
            where responded_date >= feature_day.as_of - 180
        ) as satisfaction,
        (array_agg(score order by responded_at desc, survey_id) filter (where survey_type = 'nps'))[1] as nps_last
    from feature_day
    inner join surveys on surveys.responded_date between feature_day.as_of - 365 and feature_day.as_of - 1
    where surveys.score is not null
    group by surveys.customer_id, feature_day.as_of
),

ordered as (
    select service_orders.customer_id, feature_day.as_of, count(*) as service_orders
    from feature_day
    inner join service_orders
        on service_orders.delivery_date between feature_day.as_of - 180 and feature_day.as_of - 1
    where service_orders.status is distinct from 'cancelled'
    group by service_orders.customer_id, feature_day.as_of
),

-- Windows overlap: each day would count for up to twelve months. Days between two window edges count alike, so they are
-- summed once and their sums added up.
edge as (
    select array_agg(distinct feature_day.as_of - days_back order by feature_day.as_of - days_back) as edge_days
    from feature_day
    cross join (values (0), (90), (180), (365)) as window_edge (days_back)
),

service_stretch as (
    select
        service_day.customer_id,
        edge.edge_days[width_bucket(service_day.service_date, edge.edge_days)] as stretch_day,
        sum(service_day.lifts) as lifts,
        sum(service_day.missed_pickups) as missed_pickups,
        sum(service_day.contaminated_lifts) as contaminated_lifts,
        sum(service_day.overage_lifts) as overage_lifts,
        sum(service_day.collected_tons) as tons
    from service_day
    cross join edge
    where service_day.service_date >= edge.edge_days[1]
    group by 1, 2
),

served as (
    select
        service_stretch.customer_id,
        feature_day.as_of,
        sum(service_stretch.lifts) filter (where stretch_day >= feature_day.as_of - 90) as lifts,
        sum(service_stretch.missed_pickups) filter (where stretch_day >= feature_day.as_of - 90) as missed_pickups,
        sum(service_stretch.contaminated_lifts) filter (where stretch_day >= feature_day.as_of - 90) as contaminated_lifts,
        sum(service_stretch.overage_lifts) filter (where stretch_day >= feature_day.as_of - 90) as overage_lifts,
        sum(service_stretch.tons) filter (where stretch_day >= feature_day.as_of - 90) as tons,
        sum(service_stretch.tons) filter (where stretch_day < feature_day.as_of - 90) as tons_before
    from feature_day
    inner join service_stretch
        on service_stretch.stretch_day between feature_day.as_of - 180 and feature_day.as_of - 1
    group by service_stretch.customer_id, feature_day.as_of
),

portal_stretch as (
    select
        contact_day.customer_id,
        edge.edge_days[width_bucket(contact_day.business_date, edge.edge_days)] as stretch_day,
        sum(contact_day.portal_sessions) as portal_sessions,
        max(contact_day.business_date) as last_session_day
    from contact_day
    cross join edge
    where contact_day.portal_sessions > 0 and contact_day.business_date >= edge.edge_days[1]
    group by 1, 2
),

visited as (
    select
        portal_stretch.customer_id,
        feature_day.as_of,
        sum(portal_stretch.portal_sessions) filter (where stretch_day >= feature_day.as_of - 90) as portal_sessions,
        sum(portal_stretch.portal_sessions) filter (
            where stretch_day between feature_day.as_of - 180 and feature_day.as_of - 91
        ) as portal_sessions_before,
        feature_day.as_of - max(portal_stretch.last_session_day) as days_since_last_session
    from feature_day
    inner join portal_stretch
        on portal_stretch.stretch_day between feature_day.as_of - 365 and feature_day.as_of - 1
    group by portal_stretch.customer_id, feature_day.as_of
),

-- changes are told only where both windows lie in the customer's history
comparable as (
    select
        spine.*,
        spine.as_of - 180 >= greatest(spine.first_start_date, history.first_day) as has_180_days
    from spine
    cross join history
)

select
    -- keys
    comparable.customer_id,
    comparable.as_of as month,
    comparable.is_current,
    -- customer
    customers.customer_type,
    comparable.service_type,
    customers.payment_terms_days,
    ((comparable.as_of - comparable.first_start_date) / 30.4375)::double precision as tenure_months,
    -- agreement
    comparable.mrr_usd,
    (comparable.mrr_usd / nullif(revenue_before.mrr_usd, 0) - 1)::double precision as mrr_change_90d_ratio,
    coalesce(price_increase.price_increase_ratio, 0)::double precision as price_increase_365d_ratio,
    price_increase.days_since_price_increase,
    term.days_to_agreement_end,
    comparable.is_auto_renew,
    comparable.discount_ratio::double precision as discount_ratio,
    -- payment
    coalesce(invoiced.invoices, 0)::integer as invoices_90d,
    coalesce(invoiced.invoiced_usd, 0)::numeric(14, 2) as invoiced_90d_usd,
    coalesce(owed.overdue_usd, 0)::numeric(14, 2) as overdue_usd,
    (coalesce(owed.overdue_usd, 0) / nullif(greatest(invoiced.invoiced_usd, 0), 0))::double precision as overdue_ratio,
    coalesce(owed.days_past_due, 0) as days_past_due_max,
    coalesce(punctuality.late_payments, 0)::integer as late_payments_180d,
    (punctuality.late_invoices / nullif(punctuality.due_invoices, 0)::numeric)::double precision
        as late_invoice_ratio_180d,
    -- service
    coalesce(served.lifts, 0)::integer as lifts_90d,
    coalesce(served.missed_pickups, 0)::integer as missed_pickups_90d,
    (served.missed_pickups / nullif(served.lifts + served.missed_pickups, 0)::numeric)::double precision
        as missed_pickup_ratio_90d,
    coalesce(served.contaminated_lifts, 0)::integer as contaminated_90d,
    coalesce(served.overage_lifts, 0)::integer as overage_90d,
    coalesce(served.tons, 0)::double precision as tons_90d,
    case
        when comparable.has_180_days then (coalesce(served.tons, 0) / nullif(served.tons_before, 0) - 1)::double precision
    end as tons_change_90d_ratio,
    coalesce(ordered.service_orders, 0)::integer as service_orders_180d,
    -- contact
    coalesce(ticketed.tickets, 0)::integer as tickets_90d,
    coalesce(ticketed.complaints, 0)::integer as complaints_90d,
    case
        when comparable.has_180_days
            then (
                (coalesce(ticketed.complaints, 0) + 1) / (coalesce(ticketed.complaints_before, 0) + 1)::numeric - 1
            )::double precision
    end as complaints_change_ratio,
    coalesce(ticketed.open_tickets, 0)::integer as open_tickets,
    ticketed.response_hours::double precision as response_hours_avg_90d,
    surveyed.satisfaction::double precision as satisfaction_avg_180d,
    surveyed.nps_last::double precision as nps_last,
    coalesce(visited.portal_sessions, 0)::integer as portal_sessions_90d,
    case
        when comparable.has_180_days
            then (
                coalesce(visited.portal_sessions, 0) / nullif(visited.portal_sessions_before, 0)::numeric - 1
            )::double precision
    end as portal_sessions_change_90d_ratio,
    visited.days_since_last_session as days_since_last_portal_session,
    -- label
    comparable.is_churned_90d
from comparable
left join customers on customers.customer_id = comparable.customer_id
left join revenue_before
    on revenue_before.customer_id = comparable.customer_id and revenue_before.as_of = comparable.as_of
left join term on term.customer_id = comparable.customer_id and term.as_of = comparable.as_of
left join price_increase
    on price_increase.customer_id = comparable.customer_id and price_increase.as_of = comparable.as_of
left join invoiced on invoiced.customer_id = comparable.customer_id and invoiced.as_of = comparable.as_of
left join owed on owed.customer_id = comparable.customer_id and owed.as_of = comparable.as_of
left join punctuality on punctuality.customer_id = comparable.customer_id and punctuality.as_of = comparable.as_of
left join served on served.customer_id = comparable.customer_id and served.as_of = comparable.as_of
left join ordered on ordered.customer_id = comparable.customer_id and ordered.as_of = comparable.as_of
left join ticketed on ticketed.customer_id = comparable.customer_id and ticketed.as_of = comparable.as_of
left join surveyed on surveyed.customer_id = comparable.customer_id and surveyed.as_of = comparable.as_of
left join visited on visited.customer_id = comparable.customer_id and visited.as_of = comparable.as_of
