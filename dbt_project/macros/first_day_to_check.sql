{#- Scalar subquery: the first day that a test of a business_days model looks at: 90 days before the data clock, or the first of
    all after a full build. For what a build does right or wrong day by day; totals are compared over all days. -#}
{% macro first_day_to_check(model_name) -%}
    (
        select case when count(days_rebuilt) = 0 then date '-infinity' else {{ data_clock() }} - 90 end
        from etl.model_build
        where model = '{{ model_name }}'
    )
{%- endmacro %}
