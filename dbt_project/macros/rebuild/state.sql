{#- Moves etl.model_state to the batches this invocation may see; part of the build's transaction. -#}
{% macro save_model_state() %}
    insert into etl.model_state (model, source_table, batch_id)
    select '{{ model.name }}', visible.source_table, visible.batch_id
    from {{ visible_batches() }} as visible
    on conflict (model, source_table)
    do update set batch_id = greatest(model_state.batch_id, excluded.batch_id)
{% endmacro %}


{#- Condition: was the last build of the model one of this code and this compiled SQL? The SQL also tells a macro or a variable
    that has changed; it is of no use to models whose SQL differs from build to build. -#}
{% macro is_built_from(sql) -%}
    exists (
        select
        from etl.model_build
        where
            model = '{{ model.name }}'
            and code_version = {{ code_version() }}
            and sql_version = {{ sql_version(sql) }}
    )
{%- endmacro %}


{% macro sql_version(sql) %}
    {%- do return(local_md5(sql)[:15] | int(base=16)) -%}
{% endmacro %}


{#- Notes the build in etl.model_build: `written` (a number, or SQL for it) are all its rows, or with `days`, the number of days
    rebuilt, those added to the ones that stayed. `sql` is given by models that ask `is_built_from`. -#}
{% macro save_model_build(written, days=none, sql=none) %}
    insert into etl.model_build (model, batch_id, code_version, sql_version, built_at, rows, seconds, days_rebuilt)
    values (
        '{{ model.name }}',
        nextval('etl.batch_id'),
        {{ code_version() }},
        {{ 'null' if sql is none else sql_version(sql) }},
        clock_timestamp(),
        {{ written }},
        extract(epoch from clock_timestamp() - transaction_timestamp()),
        {{ 'null' if days is none else days }}
    )
    on conflict (model) do update set
        batch_id = excluded.batch_id,
        code_version = excluded.code_version,
        sql_version = excluded.sql_version,
        built_at = excluded.built_at,
        rows = {{ 'excluded.rows' if days is none else 'model_build.rows + excluded.rows' }},
        seconds = excluded.seconds,
        days_rebuilt = excluded.days_rebuilt
{% endmacro %}


{#- One number for the model's own code and contract, those of every model it is made from, the time zone, and the macros.

    The first 15 hex digits of md5 over the sorted entries `name=checksum=shape`, comma separated. A change in a view
    upstream changes it, which the model's own checksum would not tell. Which macros a model uses is not asked: a change
    in one builds every model anew. Asked for several times a model: kept in dbt's graph, as rebuild_plan is. -#}
{% macro code_version() %}
    {%- set versions = graph.setdefault('code_versions', {}) -%}
    {%- if model.unique_id not in versions -%}
        {%- do versions.update({model.unique_id: find_code_version()}) -%}
    {%- endif -%}
    {%- do return(versions[model.unique_id]) -%}
{% endmacro %}


{% macro find_code_version() %}
    {%- set known = graph.setdefault('code_entries', {}) -%}
    {%- set seen = {} -%}
    {%- set waiting = [model.unique_id] -%}
    {%- for _ in range(10000) if waiting -%}
        {%- set unique_id = waiting.pop() -%}
        {%- if unique_id not in seen and unique_id in graph.nodes -%}
            {%- set node = graph.nodes[unique_id] -%}
            {%- if unique_id not in known -%}
                {%- do known.update({unique_id: node.name ~ '=' ~ node.checksum.checksum ~ '=' ~ model_shape(node)}) -%}
            {%- endif -%}
            {%- do seen.update({unique_id: known[unique_id]}) -%}
            {%- do waiting.extend(node.depends_on.nodes) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- set entries = seen.values() | sort | list + [
        'time_zone=' ~ company_time_zone(), 'macros=' ~ env_var('WAREHOUSE_DBT_MACROS', '')
    ] -%}
    {%- do return((local_md5(entries | join(',')))[:15] | int(base=16)) -%}
{% endmacro %}


{#- What YAML says of a model's table, as JSON: its contract, constraints and settings. -#}
{% macro model_shape(node) %}
    {%- set constraints, columns, settings = [], [], [] -%}
    {%- for each in node.constraints -%}
        {%- do constraints.append([each.type, each.columns]) -%}
    {%- endfor -%}
    {%- for column in node.columns.values() -%}
        {%- do columns.append([column.name, column.constraints | map(attribute='type') | list]) -%}
    {%- endfor -%}
    {%- for key in ['materialized', 'day', 'sources', 'reach', 'running', 'indexes'] -%}
        {%- do settings.append(node.config.get(key)) -%}
    {%- endfor -%}
    {%- do return(tojson([node.contract.get('checksum'), constraints, columns, settings], sort_keys=true)) -%}
{% endmacro %}


{#- Waits for other builds of this model; the lock ends with the transaction. -#}
{% macro lock_statement() -%}
    select pg_advisory_xact_lock(hashtextextended('dbt model {{ model.name }}', 0))
{%- endmacro %}
