{#- The business day of a timestamptz column: its date in the company's time zone.

    Extraction indexes raw tables on exactly this expression; keep the two alike. -#}
{% macro business_day(column) -%}
    ({{ column }} at time zone '{{ company_time_zone() }}')::date
{%- endmacro %}


{#- Name of the company's time zone. A change of it wants `--full-refresh`. -#}
{% macro company_time_zone() -%}
    {{- env_var('WAREHOUSE_TIME_ZONE', 'America/Chicago') -}}
{%- endmacro %}
