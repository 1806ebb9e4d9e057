"""Who is about to leave, why, and what to do about it.

Here belong the churn model (any table of customers in, calibrated probabilities out), the eight-factor score, the
reasons and actions, and the thin assets and checks around them. The features themselves are SQL in the dbt
project; the registry that keeps model versions is `warehouse_assets.lifecycle`.
"""
