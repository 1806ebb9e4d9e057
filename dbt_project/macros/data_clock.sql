{#- Scalar subquery: the data clock, the latest business day in raw. What "now" means to models; null before any data.

    The day itself may be incomplete. -#}
{% macro data_clock() -%}
    (
        select max(latest_day)
        from etl.table_state
        where
            source_table in (
                'loads', 'route_stops', 'invoices', 'payments', 'service_tickets', 'portal_sessions', 'vehicle_telemetry',
                'expenses'
            )
    )
{%- endmacro %}
