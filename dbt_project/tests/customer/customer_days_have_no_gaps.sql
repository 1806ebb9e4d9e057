-- Customers with a day missing between their first and last one.
select
    customer_id,
    count(*) as days,
    max(business_date) - min(business_date) + 1 as expected_days
from {{ ref('customer_daily') }}
group by customer_id
having count(*) <> max(business_date) - min(business_date) + 1
