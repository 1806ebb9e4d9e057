{#- Short tons of a weight in pounds. -#}
{% macro tons(weight_lb) -%}
    ({{ weight_lb }} * 0.0005)
{%- endmacro %}
