-- One row per feature day and customer with an agreement that ran the day before and had not ended before the day.
-- What it knows is of the day before; only the label looks ahead.
with feature_day as (
    select as_of, is_current from {{ ref('int_customer__feature_day') }}
),

clock as (
    select clock_day from {{ ref('int_data_clock') }}
),

agreement_period as (
    select * from {{ ref('int_customer__agreement_period') }}
)

select
    -- keys
    feature_day.as_of,
    before.customer_id,
    -- facts
    feature_day.is_current,
    before.first_start_date,
    before.service_type,
    before.mrr_usd,
    before.is_auto_renew,
    before.discount_ratio,
    -- label
    case
        when feature_day.as_of + 90 <= clock.clock_day
            then exists (
                select
                from {{ ref('int_customer__agreement_period') }} as after
                where
                    after.customer_id = before.customer_id
                    and after.active_agreements = 0
                    and after.valid_from - 1 between feature_day.as_of and feature_day.as_of + 89
            )
    end as is_churned_90d
from feature_day
cross join clock
inner join agreement_period as before
    on
        before.valid_from < feature_day.as_of
        and coalesce(before.valid_to, date 'infinity') >= feature_day.as_of - 1
        and before.active_agreements > 0
inner join agreement_period as today
    on
        today.customer_id = before.customer_id
        and today.valid_from <= feature_day.as_of
        and coalesce(today.valid_to, date 'infinity') >= feature_day.as_of
        and today.active_agreements > 0
