{#- Moves etl.model_state to the batches this invocation may see and notes the code, with `sql` also that; part of the build's
    transaction. -#}
{% macro save_model_state(sql=none) %}
    {%- if config.get('sources') %}
        insert into etl.model_state (model, source_table, batch_id)
        select '{{ model.name }}', visible.source_table, visible.batch_id
        from {{ visible_batches() }} as visible
        on conflict (model, source_table)
        do update set batch_id = greatest(model_state.batch_id, excluded.batch_id);
    {%- endif %}
    insert into etl.model_state (model, source_table, batch_id)
    values
        {%- if sql is not none %}
        ('{{ model.name }}', 'dbt:sql', {{ sql_version(sql) }}),
        {%- endif %}
        ('{{ model.name }}', 'dbt:code', {{ code_version() }})
    on conflict (model, source_table) do update set batch_id = excluded.batch_id
{% endmacro %}


{#- Condition: was the last build of the model one of this code and this compiled SQL? The SQL also tells a macro or a variable
    that has changed; it is of no use to models whose SQL differs from build to build. -#}
{% macro is_built_from(sql) -%}
    exists (
        select
        from etl.model_state
        where model = '{{ model.name }}' and source_table = 'dbt:code' and batch_id = {{ code_version() }}
    )
    and exists (
        select
        from etl.model_state
        where model = '{{ model.name }}' and source_table = 'dbt:sql' and batch_id = {{ sql_version(sql) }}
    )
{%- endmacro %}


{% macro sql_version(sql) %}
    {%- do return(local_md5(sql)[:15] | int(base=16)) -%}
{% endmacro %}


{#- Notes the build in etl.model_build: `written` (a number, or SQL for it) are all its rows, or with `days`, the number of days
    rebuilt, those added to the ones that stayed. -#}
{% macro save_model_build(written, days=none) %}
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
        rows = {{ 'excluded.rows' if days is none else 'model_build.rows + excluded.rows' }},
        seconds = excluded.seconds,
        days_rebuilt = excluded.days_rebuilt
{% endmacro %}


{#- One number for the model's own code, the code of every model it is made from, and the time zone.

    The first 15 hex digits of md5 over the sorted entries `name=checksum`, comma separated. A change in a view
    upstream changes it, which the model's own checksum would not tell. Macros are not in it. -#}
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
{% macro lock_statement() -%}
    select pg_advisory_xact_lock(hashtextextended('dbt model {{ model.name }}', 0))
{%- endmacro %}
