{#- Condition: did the row come with a reading of its whole table that found no row as it was, such as the first?

    Such a reading brings history: what lies between the last change of a row and its extraction is the row's age, not the delay
    of the data. The job log's row of a batch never changes, so the answer is the same whenever a day is rebuilt. -#}
{% macro came_with_history(source_table, batch_id) -%}
    {{ batch_id }} in (
        select batch_id
        from etl.job_log
        where source_table = '{{ source_table }}' and status = 'succeeded' and watermark_from is null and rows_unchanged = 0
    )
{%- endmacro %}
