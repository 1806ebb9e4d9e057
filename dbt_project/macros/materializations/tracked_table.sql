{#- A plain table that is computed anew when a table in its `sources`, or its own SQL, has changed since its last build, and
    left alone otherwise.

    config(sources=['customers', ...], indexes=[...]) as in business_days. The new rows are computed beside the table and
    put into it in a short last step of the same transaction: the table itself stays, with its grants and the views on
    it. Its columns, indexes and comments are looked at only when its SQL is new. -#}
{% materialization tracked_table, adapter='postgres' %}
    {%- set target_relation = this.incorporate(type='table') -%}

    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {#- before the hooks: a hook that has read the table would hold up the build that has the lock, and wait for it -#}
    {%- do run_query(lock_statement()) -%}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}

    {%- set stale = stale_part(sql) -%}
    {%- if stale == 'nothing' -%}
        {%- call noop_statement('main', 'UNCHANGED', 'UNCHANGED', 0) -%} select 1 {%- endcall -%}
        {%- call statement('state') -%} {{ save_model_state() }} {%- endcall -%}
    {%- elif stale == 'rows' -%}
        {%- do replace_rows(target_relation, sql) -%}
    {%- else -%}
        {%- do replace_table(target_relation, sql) -%}
        {%- do persist_docs(target_relation, model) -%}
    {%- endif -%}

    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {{ adapter.commit() }}
    {{ run_hooks(post_hooks, inside_transaction=False) }}

    {{ return({'relations': [target_relation]}) }}
{% endmaterialization %}


{#- What of the table is out of date: 'table' when it is not there or was made by other code, 'rows' when only a source has
    changed, else 'nothing'. -#}
{% macro stale_part(sql) %}
    {%- if flags.FULL_REFRESH -%}
        {%- do return('table') -%}
    {%- endif -%}
    {%- set query -%}
        select
            case
                when not exists (
                    select from pg_class where oid = to_regclass('{{ this.include(database=false) }}') and relkind = 'r'
                ) then 'table'
                when not ({{ is_built_from(sql) }}) then 'table'
                when {{ 'true' if forced_days() else 'false' }} then 'rows'
                when exists (
                    select
                    from {{ visible_batches() }} as visible
                    left join etl.model_state as state
                        on state.source_table = visible.source_table and state.model = '{{ model.name }}'
                    where visible.changed_batch_id > coalesce(state.batch_id, 0)
                ) then 'rows'
                else 'nothing'
            end
    {%- endset -%}
    {%- do return(run_query(query).columns[0].values()[0]) -%}
{% endmacro %}


{#- New rows into the table as it stands, in one statement. -#}
{% macro replace_rows(relation, sql) %}
    {%- set fresh = model.name ~ '__fresh' -%}
    {%- set replacement %}
        create temporary table {{ fresh }} on commit drop as
        {{ sql }};
        do $insert$
        declare
            columns text := (
                select string_agg(quote_ident(attname), ', ' order by attnum)
                from pg_attribute
                where attrelid = 'pg_temp.{{ fresh }}'::regclass and attnum > 0
            );
        begin
            truncate {{ relation }};
            execute format('insert into {{ relation }} (%1$s) select %1$s from {{ fresh }}', columns);
        end
        $insert$;
        analyze {{ relation }};
        {{ save_model_state() }};
        {{ save_model_build('(select count(*) from ' ~ fresh ~ ')', sql=sql) }}
        returning rows
    {%- endset -%}
    {%- do run_replacement(replacement) -%}
{% endmacro %}


{#- The table made anew beside the old one, whose columns and indexes are then made like it. -#}
{% macro replace_table(relation, sql) %}
    {%- set build = make_intermediate_relation(relation, '__new') -%}
    {%- call statement('create_build') -%} {{ get_create_table_as_sql(False, build, sql) }} {%- endcall -%}
    {%- call statement('prepare') %}
        do $prepare$
        declare
            target regclass := to_regclass('{{ relation }}');
            child record;
            dependent record;
        begin
            {{ drop_target_unless(relation, 'r') }}
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
    {%- call statement('state') %}
        drop table {{ build }};
        analyze {{ relation }};
        {{ save_model_state() }};
        {{ save_model_build(load_result('main').response.rows_affected, sql=sql) }}
    {%- endcall -%}
{% endmacro %}
