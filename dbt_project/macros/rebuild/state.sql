{#- Moves etl.model_state to the batches this invocation may see and notes the code; part of the build's transaction. -#}
{% macro save_model_state() %}
    {%- if config.get('sources') %}
        insert into etl.model_state (model, source_table, batch_id)
        select '{{ model.name }}', visible.source_table, visible.batch_id
        from {{ visible_batches() }} as visible
        on conflict (model, source_table)
        do update set batch_id = greatest(model_state.batch_id, excluded.batch_id);
    {%- endif %}
    insert into etl.model_state (model, source_table, batch_id)
    values ('{{ model.name }}', 'dbt:code', {{ code_version() }})
    on conflict (model, source_table) do update set batch_id = excluded.batch_id
{% endmacro %}


{#- Notes the build in etl.model_build: rows it has written, in how many days, in place of how many rows; days and replaced
    none for a full build. -#}
{% macro save_model_build(written, days, replaced=none) %}
    insert into etl.model_build (model, checksum, built_at, rows, seconds, days_rebuilt)
    values (
        '{{ model.name }}',
        '{{ model.checksum.checksum }}',
        clock_timestamp(),
        {{ written }},
        extract(epoch from clock_timestamp() - transaction_timestamp()),
        {{ 'null' if days is none else days }}
    )
    on conflict (model) do update set
        checksum = excluded.checksum,
        built_at = excluded.built_at,
        rows = {{ 'excluded.rows' if replaced is none else 'model_build.rows - ' ~ replaced ~ ' + excluded.rows' }},
        seconds = excluded.seconds,
        days_rebuilt = excluded.days_rebuilt
{% endmacro %}


{#- One number for the model's own code, the code of every model it is made from, and the time zone.

    The first 15 hex digits of md5 over the sorted entries `name=checksum`, comma separated. A change in an ephemeral
    model or a view upstream changes it, which the model's own checksum would not tell. Macros are not in it. -#}
{% macro code_version() %}
    {%- set seen = {} -%}
    {%- set waiting = [model.unique_id] -%}
    {%- for _ in range(10000) if waiting -%}
        {%- set unique_id = waiting.pop() -%}
        {%- if unique_id not in seen and unique_id in graph.nodes -%}
            {%- set node = graph.nodes[unique_id] -%}
            {%- do seen.update({unique_id: node.name ~ '=' ~ node.checksum.checksum}) -%}
            {%- do waiting.extend(node.depends_on.nodes) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- set entries = seen.values() | sort | list + ['time_zone=' ~ company_time_zone()] -%}
    {%- do return((local_md5(entries | join(',')))[:15] | int(base=16)) -%}
{% endmacro %}


{#- Waits for other builds of this model; the lock ends with the transaction. -#}
{% macro lock_model() %}
    {%- do run_query("select pg_advisory_xact_lock(hashtextextended('dbt model " ~ model.name ~ "', 0))") -%}
{% endmacro %}
