-- One row per customer that ever was served or paid: recency, frequency and monetary value with quintile scores.
with clock as (
    select clock_day from {{ ref('int_data_clock') }}
),

payments as (
    select * from {{ ref('stg_billing__payments') }}
),

customer_profitability as (
    select * from {{ ref('customer_profitability') }}
),

agreement_period as (
    select * from {{ ref('int_customer__agreement_period') }}
),

paid as (
    select
        payments.customer_id,
        max(payments.payment_date) filter (where payments.amount_usd > 0) as last_payment_date,
        sum(payments.amount_usd) filter (where payments.payment_date > clock.clock_day - 365) as paid_usd
    from payments
    cross join clock
    where payments.payment_date <= clock.clock_day
    group by payments.customer_id
),

served as (
    select
        customer_profitability.customer_id,
        sum(customer_profitability.lifts) filter (
            where customer_profitability.month > clock.clock_day - interval '1 year'
        ) as lifts
    from customer_profitability
    cross join clock
    group by customer_profitability.customer_id
),

-- when the customer came, or came back
arrived as (
    select agreement_period.customer_id, max(agreement_period.valid_from) as arrival_date
    from agreement_period
    cross join clock
    where agreement_period.mrr_movement in ('new', 'reactivated') and agreement_period.valid_from <= clock.clock_day
    group by agreement_period.customer_id
),

measured as (
    select
        coalesce(paid.customer_id, served.customer_id) as customer_id,
        clock.clock_day - paid.last_payment_date as recency_days,
        -- the first bill follows the first month of service: until it is paid, the arrival stands for a payment
        clock.clock_day - greatest(paid.last_payment_date, arrived.arrival_date) as days_since_seen,
        coalesce(served.lifts, 0) as lifts_12_months,
        coalesce(paid.paid_usd, 0) as paid_365_days_usd,
        coalesce(arrived.arrival_date > clock.clock_day - 365, false) as has_come_within_a_year
    from paid
    full join served on served.customer_id = paid.customer_id
    left join arrived on arrived.customer_id = coalesce(paid.customer_id, served.customer_id)
    cross join clock
),

-- Equal customers get equal scores, so quintiles may differ in size. Recency counts in whole billing months: most customers
-- pay once a month, and days would only tell where in the month an account is billed.
scored as (
    select
        *,
        ceil(5 * cume_dist() over (order by days_since_seen / 31 desc nulls first))::integer as recency_score,
        ceil(5 * cume_dist() over (order by lifts_12_months))::integer as frequency_score,
        ceil(5 * cume_dist() over (order by paid_365_days_usd))::integer as monetary_score
    from measured
),

combined as (
    select *, (frequency_score + monetary_score + 1) / 2 as value_score from scored
)

select
    -- keys
    customer_id,
    -- facts
    recency_days,
    lifts_12_months::integer as lifts_12_months,
    paid_365_days_usd::numeric(14, 2) as paid_365_days_usd,
    recency_score,
    frequency_score,
    monetary_score,
    case
        when recency_score = 5 and value_score >= 4 then 'Champions'
        when recency_score = 5 and value_score = 3 then 'Loyal'
        when recency_score = 5 and value_score = 2 then 'Potential Loyalists'
        when recency_score = 5 and has_come_within_a_year then 'New'
        when recency_score = 5 then 'Promising'
        when recency_score = 4 and value_score = 5 then 'Champions'
        when recency_score = 4 and value_score = 4 then 'Loyal'
        when recency_score = 4 and value_score >= 2 then 'Potential Loyalists'
        when recency_score = 4 then 'Promising'
        when recency_score = 3 and value_score >= 4 then 'Loyal'
        when recency_score = 3 and value_score = 3 then 'Need Attention'
        when recency_score = 3 then 'About to Sleep'
        when recency_score = 2 and value_score >= 3 then 'At Risk'
        when recency_score = 2 then 'Hibernating'
        when value_score >= 4 then 'Cannot Lose'
        when value_score >= 2 then 'Hibernating'
        else 'Lost'
    end as rfm_segment
from combined
