{#- A plain table that is rebuilt whole when a table in its `sources`, or the code it is made from, has changed since its
    last build, and left alone otherwise.

    config(sources=['customers', ...], indexes=[...]) as in business_days. The new rows are computed beside the table and
    put into it in a short last step of the same transaction: the table itself stays, with its grants and the views on
    it. -#}
{% materialization tracked_table, adapter='postgres' %}
    {%- set target_relation = this.incorporate(type='table') -%}

    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {#- before the hooks: a hook that has read the table would hold up the build that has the lock, and wait for it -#}
    {%- do lock_model() -%}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}

    {%- if table_is_current() -%}
        {%- call noop_statement('main', 'UNCHANGED', 'UNCHANGED', 0) -%} select 1 {%- endcall -%}
        {%- call statement('state') -%} {{ save_model_state() }} {%- endcall -%}
    {%- else -%}
        {%- do replace_rows(target_relation, sql) -%}
        {%- call statement('state') -%} {{ save_model_state() }} {%- endcall -%}
        {%- call statement('build') -%} {{ save_model_build(load_result('main').response.rows_affected, none) }} {%- endcall -%}
        {%- do persist_docs(target_relation, model) -%}
    {%- endif -%}

    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {{ adapter.commit() }}
    {{ run_hooks(post_hooks, inside_transaction=False) }}

    {{ return({'relations': [target_relation]}) }}
{% endmaterialization %}


{#- Whether the table stands and neither its sources nor its code have changed since it was built. -#}
{% macro table_is_current() %}
    {%- if flags.FULL_REFRESH or forced_days() -%}
        {%- do return(false) -%}
    {%- endif -%}
    {%- set found = run_query(
        "select exists (select from pg_class where oid = to_regclass('" ~ this.include(database=false) ~ "') and relkind = 'r')"
        ~ " and exists (select from etl.model_state where model = '" ~ model.name
        ~ "' and source_table = 'dbt:code' and batch_id = " ~ code_version() ~ ")"
        ~ " and not exists (select from " ~ visible_batches() ~ " as visible"
        ~ " left join etl.model_state as state on state.source_table = visible.source_table and state.model = '"
        ~ model.name ~ "' where visible.changed_batch_id > coalesce(state.batch_id, 0))"
    ) -%}
    {%- do return(found.columns[0].values()[0]) -%}
{% endmacro %}


{% macro replace_rows(relation, sql) %}
    {%- set build = make_intermediate_relation(relation, '__new') -%}
    {%- call statement('create_build') -%} {{ get_create_table_as_sql(False, build, sql) }} {%- endcall -%}
    {%- call statement('prepare') %}
        do $prepare$
        declare
            target regclass := to_regclass('{{ relation }}');
            child record;
        begin
            if target is not null and (select relkind <> 'r' from pg_class where oid = target) then
                execute format(
                    'drop %s {{ relation }}',
                    (select case relkind when 'v' then 'view' when 'm' then 'materialized view' else 'table' end
                     from pg_class where oid = target)
                );
                target := null;
            end if;
            if target is null then
                create table {{ relation }} (like {{ build }} including defaults including constraints);
            else
                truncate {{ relation }};
            end if;
            {{ drop_plain_indexes(relation) }}
            {{ align_columns(build, relation) }}
        end
        $prepare$;
    {%- endcall -%}
    {%- set columns = adapter.get_columns_in_relation(build) | map(attribute='quoted') | join(', ') -%}
    {%- call statement('main') %}
        insert into {{ relation }} ({{ columns }})
        select {{ columns }}
        from {{ build }}
    {%- endcall -%}
    {%- do create_indexes(relation) -%}
    {%- call statement('finish') %}
        drop table {{ build }};
        analyze {{ relation }}
    {%- endcall -%}
{% endmacro %}
