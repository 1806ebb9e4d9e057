{#- Great-circle distance in miles between two points in degrees, on a sphere of radius 3,958.8 miles; null if any is.

    Haversine formula (Sinnott, Virtues of the haversine, 1984). -#}
{% macro haversine_miles(latitude_1, longitude_1, latitude_2, longitude_2) -%}
    (
        2 * 3958.8 * asin(
            least(
                1,
                sqrt(
                    power(sind(({{ latitude_2 }} - {{ latitude_1 }}) / 2), 2)
                    + cosd({{ latitude_1 }}) * cosd({{ latitude_2 }})
                    * power(sind(({{ longitude_2 }} - {{ longitude_1 }}) / 2), 2)
                )
            )
        )
    )
{%- endmacro %}
