-- One row per customer and stretch of days on which its agreements and their prices stay the same, and for the 90 days
-- after none was left running. A customer who comes back later leaves the days between as they were.
{{
    config(
        materialized='tracked_table',
        sources=['service_agreements', 'service_agreement_prices'],
        indexes=[{'columns': ['customer_id', 'valid_from'], 'unique': true}],
        pre_hook="{{ keep_customer_rows('agreement_period_before') }}",
        post_hook="{{ register_agreement_days() }}",
    )
}}
with agreements as (
    select * from {{ ref('stg_crm__service_agreements') }}
),

prices as (
    select * from {{ ref('stg_crm__service_agreement_prices') }}
),

price_step as (
    select
        service_agreement_id,
        effective_from,
        monthly_rate_usd,
        row_number() over agreement_prices as price_number,
        lead(effective_from, 1, date 'infinity') over agreement_prices as effective_until
    from prices
    window agreement_prices as (
        partition by service_agreement_id order by effective_from, service_agreement_price_id
    )
),

-- a price holds until the next one; before the first of them the rate signed holds
rate_step as (
    select
        agreements.customer_id,
        agreements.service_agreement_id,
        greatest(agreements.start_date, price_step.effective_from) as step_from,
        least(agreements.end_date + 1, price_step.effective_until, date 'infinity') as step_until,
        price_step.monthly_rate_usd
    from agreements
    inner join price_step on price_step.service_agreement_id = agreements.service_agreement_id
    union all
    select
        agreements.customer_id,
        agreements.service_agreement_id,
        agreements.start_date as step_from,
        least(agreements.end_date + 1, first_price.effective_from, date 'infinity') as step_until,
        coalesce(agreements.monthly_rate_usd, 0) as monthly_rate_usd
    from agreements
    left join price_step as first_price
        on first_price.service_agreement_id = agreements.service_agreement_id and first_price.price_number = 1
),

valid_step as (
    select * from rate_step where step_from < step_until
),

agreement_span as (
    select
        customer_id,
        service_agreement_id,
        min(step_from) as span_from,
        max(step_until) as span_until
    from valid_step
    group by customer_id, service_agreement_id
),

change as (
    select customer_id, step_from as change_date, monthly_rate_usd as mrr_usd, 0 as agreements from valid_step
    union all
    select customer_id, step_until, -monthly_rate_usd, 0 from valid_step where isfinite(step_until)
    union all
    select customer_id, span_from, 0, 1 from agreement_span
    union all
    select customer_id, span_until, 0, -1 from agreement_span where isfinite(span_until)
),

change_day as (
    select
        customer_id,
        change_date,
        sum(mrr_usd) as mrr_usd,
        sum(agreements) as agreements
    from change
    group by customer_id, change_date
),

state as (
    select
        customer_id,
        change_date as valid_from,
        lead(change_date) over customer_changes - 1 as valid_to,
        min(change_date) over customer_changes as first_start_date,
        sum(mrr_usd) over customer_changes as mrr_usd,
        sum(agreements) over customer_changes as active_agreements
    from change_day
    window customer_changes as (partition by customer_id order by change_date)
),

compared as (
    select
        *,
        lag(mrr_usd, 1, 0.00) over customer_states as previous_mrr_usd,
        max(mrr_usd) over (customer_states rows between unbounded preceding and 1 preceding) as highest_mrr_before_usd
    from state
    window customer_states as (partition by customer_id order by valid_from)
),

-- what kind of agreements run in the stretch: the dearest one speaks for the customer
active as (
    select
        compared.customer_id,
        compared.valid_from,
        agreements.service_type,
        agreements.is_auto_renew,
        jsonb_object_agg(
            agreements.service_agreement_id, jsonb_build_array(agreements.start_date, agreements.term_months)
        ) over stretch as agreement_terms,
        -- a discount that is no ratio is flagged in raw, and counts as unknown here
        sum(valid_step.monthly_rate_usd * agreements.discount_ratio)
        filter (where agreements.discount_ratio between 0 and 1) over stretch as discounted_usd,
        sum(valid_step.monthly_rate_usd)
        filter (where agreements.discount_ratio between 0 and 1) over stretch as rated_usd,
        row_number() over (
            partition by compared.customer_id, compared.valid_from
            order by valid_step.monthly_rate_usd desc, agreements.start_date, agreements.service_agreement_id
        ) as agreement_rank
    from compared
    inner join valid_step
        on
            valid_step.customer_id = compared.customer_id
            and compared.valid_from >= valid_step.step_from
            and compared.valid_from < valid_step.step_until
    inner join agreements on agreements.service_agreement_id = valid_step.service_agreement_id
    window stretch as (partition by compared.customer_id, compared.valid_from)
),

main_agreement as (
    select * from active where agreement_rank = 1
)

select
    -- keys
    compared.customer_id,
    compared.valid_from,
    -- times
    case
        when compared.active_agreements = 0 then least(compared.valid_to, compared.valid_from + 89)
        else compared.valid_to
    end as valid_to,
    compared.first_start_date,
    -- facts
    compared.active_agreements::integer as active_agreements,
    compared.mrr_usd::numeric(14, 2) as mrr_usd,
    compared.previous_mrr_usd::numeric(14, 2) as previous_mrr_usd,
    case
        when compared.mrr_usd = compared.previous_mrr_usd then null
        when compared.previous_mrr_usd = 0 and coalesce(compared.highest_mrr_before_usd, 0) = 0 then 'new'
        when compared.previous_mrr_usd = 0 then 'reactivated'
        when compared.mrr_usd = 0 then 'churned'
        when compared.mrr_usd > compared.previous_mrr_usd then 'expansion'
        else 'contraction'
    end as mrr_movement,
    main_agreement.service_type,
    main_agreement.is_auto_renew,
    main_agreement.agreement_terms,
    (main_agreement.discounted_usd / nullif(main_agreement.rated_usd, 0))::numeric(6, 4) as discount_ratio
from compared
left join main_agreement
    on main_agreement.customer_id = compared.customer_id and main_agreement.valid_from = compared.valid_from
