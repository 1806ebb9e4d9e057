{#- Start of the hour of a timestamp, kept within the business day the row is reported on: what happened after midnight
    counts in the day's last hour, what has no time at noon. Hours are those of the company's time zone. -#}
{% macro hour_on_day(day, moment) -%}
    least(
        greatest(
            date_trunc('hour', coalesce({{ moment }}, {{ at_local_time(day, '12 hours') }}), '{{ company_time_zone() }}'),
            {{ at_local_time(day, '0 hours') }}
        ),
        {{ at_local_time(day ~ ' + 1', '0 hours') }} - interval '1 hour'
    )
{%- endmacro %}


{#- The moment so many hours by the clock after midnight of a business day. -#}
{% macro at_local_time(day, hours) -%}
    ((({{ day }})::timestamp + interval '{{ hours }}') at time zone '{{ company_time_zone() }}')
{%- endmacro %}
