-- One row, or none before any data: the data clock, the day that means "now".
-- Days the clock passed over count as changed days of this table, also where nothing happened on them.
{{
    config(
        materialized='tracked_table',
        sources=[
            'loads', 'route_stops', 'invoices', 'payments', 'service_tickets', 'portal_sessions', 'vehicle_telemetry', 'expenses'
        ],
        pre_hook="{{ keep_clock() }}",
        post_hook="{{ register_clock_days() }}",
    )
}}
select clock_day
from (select {{ data_clock() }} as clock_day) as clock
where clock_day is not null
