-- Customers with days missing between two of theirs, other than between having left and coming back; of the last 90 days, and
-- of all after a full build.
with day as (
    select
        customer_id,
        business_date,
        active_agreements,
        lead(business_date) over customer_days as next_date,
        lead(active_agreements) over customer_days as next_active_agreements
    from {{ ref('customer_daily') }}
    where business_date >= {{ first_day_to_check('customer_daily') }}
    window customer_days as (partition by customer_id order by business_date)
)

select
    customer_id,
    business_date,
    next_date
from day
where
    next_date > business_date + 1
    and (active_agreements > 0 or next_active_agreements = 0)
