{#- numerator / denominator as numeric; null where the denominator is zero or null. -#}
{% macro safe_ratio(numerator, denominator) -%}
    (({{ numerator }})::numeric / nullif(({{ denominator }})::numeric, 0))
{%- endmacro %}
