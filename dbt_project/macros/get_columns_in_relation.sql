{#- Columns of a relation, from the system catalog in place of information_schema, which calls every array `ARRAY` and leaves
    materialized views out. A temporary relation has no schema: to_regclass finds it by its name alone. -#}
{% macro postgres__get_columns_in_relation(relation) -%}
    {%- call statement('get_columns_in_relation', fetch_result=True) %}
        select
            attname as column_name,
            format_type(atttypid, null) as data_type,
            case when atttypid = 'varchar'::regtype and atttypmod > 0 then atttypmod - 4 end as character_maximum_length,
            case when atttypid = 'numeric'::regtype and atttypmod > 0 then ((atttypmod - 4) >> 16) & 65535 end
                as numeric_precision,
            case when atttypid = 'numeric'::regtype and atttypmod > 0 then (atttypmod - 4) & 2047 end as numeric_scale
        from pg_attribute
        where
            attrelid = to_regclass('{{ relation.include(database=false, schema=relation.schema is not none) }}')
            and attnum > 0
            and not attisdropped
        order by attnum
    {%- endcall -%}
    {%- do return(sql_convert_columns_in_relation(load_result('get_columns_in_relation').table)) -%}
{%- endmacro %}
