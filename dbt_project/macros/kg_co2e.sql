{#- Tailpipe emissions in kg CO2e of gallons (diesel equivalent) burnt by a vehicle; none for electric ones.

    Factors: dbt_project.yml; they are of CO2, methane and nitrous oxide are not counted. Without a known fuel type the vehicle
    counts as diesel. -#}
{% macro kg_co2e(gallons, fuel_type) -%}
    (
        {{ gallons }} * case {{ fuel_type }}
            when 'electric' then 0
            when 'cng' then {{ var('kg_co2e_per_gallon_cng') }}
            else {{ var('kg_co2e_per_gallon_diesel') }}
        end
    )
{%- endmacro %}
