-- One row per customer and day on which what it owes changes: an invoice, a payment, or an open amount growing older.
-- Days ahead are in it too: when what is open today will grow older if nothing is paid.
{{
    config(
        materialized='business_days',
        day='change_date',
        sources=['invoices', 'payments'],
        running=true,
        indexes=[{'columns': ['customer_id', 'change_date'], 'unique': true}],
        pre_hook=["{{ register_days_from_first() }}", "set local enable_nestloop = off"],
    )
}}
with all_payments as (
    select * from {{ ref('stg_billing__payments') }}
),

-- as below, only payments of the invoice's own customer count
paid as (
    select
        invoice_id,
        customer_id,
        sum(amount_usd) as amount_usd,
        max(payment_date) as last_payment_date
    from all_payments
    group by invoice_id, customer_id
),

-- invoices that nothing happens to any more from the first rebuilt day on are left alone
invoices as (
    select
        invoices.invoice_id,
        invoices.customer_id,
        invoices.invoice_date,
        greatest(coalesce(invoices.due_date, invoices.invoice_date + 30), invoices.invoice_date) as due_date,
        invoices.total_usd
    from {{ ref('stg_billing__invoices') }} as invoices
    left join paid on paid.invoice_id = invoices.invoice_id and paid.customer_id = invoices.customer_id
    where
        {{ in_rebuilt_days('invoices.invoice_date') }}
        or {{ in_rebuilt_days('coalesce(invoices.due_date, invoices.invoice_date + 30) + 91') }}
        or {{ in_rebuilt_days('paid.last_payment_date') }}
        or paid.amount_usd is distinct from invoices.total_usd
),

payments as (
    select * from all_payments
    where {{ in_rebuilt_days('payment_date') }} or invoice_id in (select invoice_id from invoices)
),

-- a payment waits on account for its invoice, and for ever if there is none of that customer
matched as (
    select
        payments.payment_id,
        payments.customer_id,
        payments.payment_date,
        payments.amount_usd,
        invoices.invoice_id,
        invoices.due_date,
        invoices.total_usd,
        greatest(payments.payment_date, invoices.invoice_date) as applied_date,
        least(
            greatest(
                sum(payments.amount_usd) over (
                    partition by invoices.invoice_id
                    order by greatest(payments.payment_date, invoices.invoice_date), payments.payment_id
                ),
                0
            ),
            invoices.total_usd
        ) as applied_so_far_usd
    from payments
    left join invoices
        on
            invoices.invoice_id = payments.invoice_id
            and invoices.customer_id = payments.customer_id
            and invoices.total_usd > 0
),

-- what is paid beyond an invoice's total stays on account
applied as (
    select
        *,
        case
            when invoice_id is null then 0
            else
                applied_so_far_usd
                - lag(applied_so_far_usd, 1, 0) over (partition by invoice_id order by applied_date, payment_id)
        end as applied_usd
    from matched
),

-- what was applied to each invoice before the days on which its open amount moves to the next bucket
settlement as (
    select
        invoices.invoice_id,
        invoices.customer_id,
        invoices.due_date,
        invoices.total_usd,
        coalesce(sum(applied.applied_usd), 0) as applied_usd,
        coalesce(sum(applied.applied_usd) filter (where applied.applied_date < invoices.due_date + 1), 0) as applied_1_usd,
        coalesce(sum(applied.applied_usd) filter (where applied.applied_date < invoices.due_date + 31), 0) as applied_2_usd,
        coalesce(sum(applied.applied_usd) filter (where applied.applied_date < invoices.due_date + 61), 0) as applied_3_usd,
        coalesce(sum(applied.applied_usd) filter (where applied.applied_date < invoices.due_date + 91), 0) as applied_4_usd,
        min(applied.applied_date) as first_applied_date
    from invoices
    left join applied on applied.invoice_id = invoices.invoice_id
    where invoices.total_usd > 0
    group by invoices.invoice_id, invoices.customer_id, invoices.due_date, invoices.total_usd
),

aging as (
    select
        settlement.customer_id,
        settlement.due_date + step.days_late as change_date,
        step.bucket,
        step.moved_usd
    from settlement
    cross join
        lateral (
            values
            (1, 1, settlement.total_usd - settlement.applied_1_usd),
            (31, 2, settlement.total_usd - settlement.applied_2_usd),
            (61, 3, settlement.total_usd - settlement.applied_3_usd),
            (91, 4, settlement.total_usd - settlement.applied_4_usd)
        ) as step (days_late, bucket, moved_usd)
    where step.moved_usd <> 0
),

-- an amount in a bucket, or on account (bucket -1, which lessens what is owed)
movement as (
    select
        customer_id,
        invoice_date as change_date,
        total_usd as invoiced_usd,
        0.00 as paid_usd,
        case when total_usd > 0 then 0 else -1 end as bucket,
        abs(total_usd) as amount_usd
    from invoices
    union all
    select customer_id, payment_date, 0, amount_usd, -1, amount_usd from applied
    union all
    select customer_id, applied_date, 0, 0, -1, -applied_usd from applied where applied_usd <> 0
    union all
    select customer_id, applied_date, 0, 0, {{ aging_bucket('applied_date', 'due_date') }}, -applied_usd
    from applied
    where applied_usd <> 0
    union all
    select customer_id, change_date, 0, 0, bucket, moved_usd from aging
    union all
    select customer_id, change_date, 0, 0, bucket - 1, -moved_usd from aging
),

change as (
    select
        customer_id,
        change_date,
        sum(invoiced_usd) as invoiced_usd,
        sum(paid_usd) as paid_usd,
        coalesce(sum(amount_usd) filter (where bucket = 0), 0) as current_change_usd,
        coalesce(sum(amount_usd) filter (where bucket = 1), 0) as late_1_30_change_usd,
        coalesce(sum(amount_usd) filter (where bucket = 2), 0) as late_31_60_change_usd,
        coalesce(sum(amount_usd) filter (where bucket = 3), 0) as late_61_90_change_usd,
        coalesce(sum(amount_usd) filter (where bucket = 4), 0) as late_over_90_change_usd,
        coalesce(sum(amount_usd) filter (where bucket = -1), 0) as on_account_change_usd
    from movement
    where {{ in_rebuilt_days('change_date') }}
    group by customer_id, change_date
),

-- what each customer owed when the first rebuilt day began
opening as (
    {%- if is_full_build() %}
    select null::text as customer_id, 0.00 as balance_usd, 0.00 as overdue_usd where false
    {%- else %}
    select distinct on (customer_id) customer_id, balance_usd, overdue_usd
    from {{ this }}
    where change_date < {{ first_rebuilt_day() }}
    order by customer_id, change_date desc
    {%- endif %}
),

state as (
    select
        change.*,
        coalesce(opening.balance_usd, 0)
        + sum(change.invoiced_usd - change.paid_usd) over customer_changes as balance_usd,
        coalesce(opening.overdue_usd, 0) + sum(
            change.late_1_30_change_usd + change.late_31_60_change_usd + change.late_61_90_change_usd
            + change.late_over_90_change_usd
        ) over customer_changes as overdue_usd
    from change
    left join opening on opening.customer_id = change.customer_id
    window customer_changes as (partition by change.customer_id order by change.change_date)
),

-- the days on which each invoice is open and late: until the first payment, and after each that leaves something open; one
-- that was returned opens its invoice again
late_stretch as (
    select customer_id, due_date, due_date + 1 as late_from, coalesce(first_applied_date, date 'infinity') as late_until
    from settlement
    union all
    select
        customer_id,
        due_date,
        case when applied_so_far_usd < total_usd then greatest(applied_date, due_date + 1) end,
        lead(applied_date, 1, date 'infinity') over (partition by invoice_id order by applied_date, payment_id)
    from applied
    where invoice_id is not null
),

oldest as (
    select
        state.customer_id,
        state.change_date,
        min(late_stretch.due_date) as oldest_due_date
    from state
    inner join late_stretch
        on
            late_stretch.customer_id = state.customer_id
            and late_stretch.late_from <= state.change_date
            and late_stretch.late_until > state.change_date
    where state.overdue_usd > 0
    group by state.customer_id, state.change_date
)

select
    -- keys
    state.customer_id,
    state.change_date,
    -- facts of the day
    state.invoiced_usd::numeric(14, 2) as invoiced_usd,
    state.paid_usd::numeric(14, 2) as paid_usd,
    state.current_change_usd::numeric(14, 2) as current_change_usd,
    state.late_1_30_change_usd::numeric(14, 2) as late_1_30_change_usd,
    state.late_31_60_change_usd::numeric(14, 2) as late_31_60_change_usd,
    state.late_61_90_change_usd::numeric(14, 2) as late_61_90_change_usd,
    state.late_over_90_change_usd::numeric(14, 2) as late_over_90_change_usd,
    state.on_account_change_usd::numeric(14, 2) as on_account_change_usd,
    -- state after it
    state.balance_usd::numeric(14, 2) as balance_usd,
    state.overdue_usd::numeric(14, 2) as overdue_usd,
    oldest.oldest_due_date
from state
left join oldest on oldest.customer_id = state.customer_id and oldest.change_date = state.change_date
