{#- Minutes from one timestamp to another as double precision; negative when reversed, null if either is. -#}
{% macro minutes_between(earlier, later) -%}
    (date_part('epoch', {{ later }} - {{ earlier }}) / 60)
{%- endmacro %}
