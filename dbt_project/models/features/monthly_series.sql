-- One row per series (metric, level, entity) and complete month, up to the last one with entries of the company: what has not
-- been billed or booked yet is not 0.
{{
    config(
        sources=[
            'invoices', 'invoice_lines', 'expenses', 'payments', 'intermediate.int_data_clock',
            'intermediate.int_customer__account',
        ],
    )
}}
with clock as (
    select date_trunc('month', clock_day)::date as clock_month from {{ ref('int_data_clock') }}
),

ledger_day as (
    select * from {{ ref('int_financial__ledger_day') }} where account in ('revenue', 'expense')
),

-- the first month is whole if the ledger begins on its first business days
first_month as (
    select
        case
            when extract(day from min(entry_date)) <= 5 then date_trunc('month', min(entry_date))
            else date_trunc('month', min(entry_date)) + interval '1 month'
        end as month
    from ledger_day
),

month_total as (
    select
        case ledger_day.account when 'revenue' then 'revenue_usd' else 'cost_usd' end as metric,
        entity.level,
        entity.entity_id,
        date_trunc('month', ledger_day.entry_date)::date as ds,
        sum(
            case ledger_day.account
                when 'revenue' then ledger_day.credit_usd - ledger_day.debit_usd
                else ledger_day.debit_usd - ledger_day.credit_usd
            end
        ) as y
    from ledger_day
    cross join lateral (values ('company', 'company'), ('depot', ledger_day.depot_id)) as entity (level, entity_id)
    group by 1, 2, 3, 4
),

company_month as (
    select
        month_total.metric,
        month_total.ds,
        month_total.y,
        row_number() over months as month_number,
        avg(month_total.y) over (months rows between 1 following and 3 following) as next_months_y
    from month_total
    inner join first_month on first_month.month <= month_total.ds
    where month_total.level = 'company'
    window months as (partition by month_total.metric order by month_total.ds)
),

-- the first bills of a company may be of some last days of the month before: less than half of what the next months bring
metric_start as (
    select metric, min(ds) as month
    from company_month
    where month_number > 1 or (y < next_months_y / 2) is not true
    group by metric
),

series as (
    select
        metric,
        level,
        entity_id,
        min(ds) as first_month,
        max(max(ds)) over (partition by metric) as last_month
    from month_total
    group by metric, level, entity_id
)

select
    -- keys
    series.metric || '/' || series.level || '/' || series.entity_id || '/month' as series_id,
    series.metric,
    series.level,
    series.entity_id,
    series_month.month::date as ds,
    -- facts
    coalesce(month_total.y, 0)::double precision as y
from series
inner join metric_start on metric_start.metric = series.metric
cross join clock
cross join
    lateral generate_series(
        greatest(series.first_month, metric_start.month)::timestamp,
        least(clock.clock_month - interval '1 month', series.last_month),
        interval '1 month'
    ) as series_month (month)
left join month_total
    on
        month_total.metric = series.metric
        and month_total.level = series.level
        and month_total.entity_id = series.entity_id
        and month_total.ds = series_month.month::date
