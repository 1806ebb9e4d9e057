-- One row per depot and day with money booked: what was invoiced before tax, and what was spent.
with booked as (
    select
        depot_id,
        invoice_date as operating_date,
        amount_usd as revenue_usd,
        null::numeric as expense_usd
    from {{ ref('stg_billing__invoice_lines') }}

    union all

    select
        depot_id,
        expense_date as operating_date,
        null::numeric as revenue_usd,
        amount_usd as expense_usd
    from {{ ref('stg_billing__expenses') }}
)

select
    coalesce(depot_id, 'unassigned') as depot_id,
    operating_date,
    coalesce(sum(revenue_usd), 0) as revenue_usd,
    coalesce(sum(expense_usd), 0) as expense_usd
from booked
group by 1, 2
