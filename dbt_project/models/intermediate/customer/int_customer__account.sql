-- One row per customer: the attributes by which its money and its features are grouped, as known today.
-- customers has no business date: this table tells which days a change of these attributes changes, and that others change none.
{{
    config(
        materialized='tracked_table',
        sources=['customers'],
        indexes=[{'columns': ['customer_id'], 'unique': true}],
        pre_hook="{{ keep_customer_rows('account_before') }}",
        post_hook="{{ register_account_days() }}",
    )
}}
select
    customer_id,
    depot_id,
    customer_type,
    payment_terms_days
from {{ ref('stg_crm__customers') }}
