{#- Minutes from one timestamp of a working day to another as double precision; negative when reversed. Null if either is, or
    if they are more than a day apart: then one is mistyped, or stands for "none" (9999-12-31). -#}
{% macro minutes_between(earlier, later) -%}
    case
        when {{ later }} - {{ earlier }} between interval '-24 hours' and interval '24 hours'
            then date_part('epoch', {{ later }} - {{ earlier }}) / 60
    end
{%- endmacro %}
