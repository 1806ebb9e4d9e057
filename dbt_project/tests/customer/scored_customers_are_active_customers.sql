-- Customers with a lifetime value or a churn probability although no agreement of theirs runs, or without a value although
-- one does and the company has earned anything.
select customer_id, status, churn_probability, lifetime_value_usd
from {{ ref('customer_current') }}
where
    (status <> 'active' and (churn_probability is not null or lifetime_value_usd is not null))
    or (status = 'active' and contribution_ratio is not null and lifetime_value_usd is null)
