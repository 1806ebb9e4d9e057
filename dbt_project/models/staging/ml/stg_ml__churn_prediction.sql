-- One row per customer and day scored.
select
    -- primary key
    customer_id,
    as_of,
    -- facts
    churn_probability,
    churn_score,
    risk_tier,
    factors,
    reasons,
    suggested_action,
    -- times
    created_at
from {{ source('ml', 'churn_prediction') }}
