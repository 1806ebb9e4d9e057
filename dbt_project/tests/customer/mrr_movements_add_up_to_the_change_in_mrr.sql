-- Days on which the company's monthly recurring revenue moved by something else than its movements; of the last 90, and of
-- all after a full build. Customers only enter the table with their first agreement, or on its first day, and only leave it
-- without revenue.
with daily as (
    select
        business_date,
        sum(mrr_usd) as mrr_usd,
        sum(mrr_new_usd + mrr_expansion_usd + mrr_contraction_usd + mrr_churned_usd + mrr_reactivated_usd) as movement_usd
    from {{ ref('customer_daily') }}
    where business_date >= {{ first_day_to_check('customer_daily') }}
    group by business_date
),

compared as (
    select
        business_date,
        movement_usd,
        mrr_usd - lag(mrr_usd) over (order by business_date) as change_usd
    from daily
)

select *
from compared
where change_usd <> movement_usd
