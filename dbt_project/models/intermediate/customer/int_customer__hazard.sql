-- One row: how many of the company's customers leave in a month, over the last year.
with clock as (
    select clock_day from {{ ref('int_data_clock') }}
),

history as (
    select first_day from {{ ref('int_customer__history') }}
),

agreement_period as (
    select * from {{ ref('int_customer__agreement_period') }}
),

year_window as (
    select greatest(clock.clock_day - 365, history.first_day) as first_day, clock.clock_day
    from clock
    cross join history
),

counted as (
    select
        count(*) filter (
            where
            agreement_period.active_agreements = 0
            and agreement_period.valid_from between year_window.first_day and year_window.clock_day
        ) as departures,
        sum(
            greatest(
                least(coalesce(agreement_period.valid_to, year_window.clock_day), year_window.clock_day)
                - greatest(agreement_period.valid_from, year_window.first_day) + 1,
                0
            )
        ) filter (where agreement_period.active_agreements > 0) / 30.4375 as customer_months
    from agreement_period
    cross join year_window
)

-- one departure in ten customer-years more: a young company without departures is not immortal; nor do all leave at once,
-- even if all agreements of a young company were ended and signed anew
select least((departures + 1) / (coalesce(customer_months, 0) + 120), 0.99)::double precision as monthly_hazard
from counted
