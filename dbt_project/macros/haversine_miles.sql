{#- Great-circle distance in miles between two points in degrees, on a sphere of radius 3,958.8 miles; null if any is.

    Haversine formula (Sinnott, Virtues of the haversine, 1984). Rounding can lift the argument of asin above 1 for points
    on opposite sides of the Earth; the factor just below 1 keeps it in range (least() would turn a null into 1). -#}
{% macro haversine_miles(latitude_1, longitude_1, latitude_2, longitude_2) -%}
    (
        2 * 3958.8 * asin(
            sqrt(
                0.999999999999999
                * (
                    power(sin(radians({{ latitude_2 }} - {{ latitude_1 }}) / 2), 2)
                    + cos(radians({{ latitude_1 }})) * cos(radians({{ latitude_2 }}))
                    * power(sin(radians({{ longitude_2 }} - {{ longitude_1 }}) / 2), 2)
                )
            )
        )
    )
{%- endmacro %}
