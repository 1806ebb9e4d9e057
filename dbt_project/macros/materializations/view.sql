{#- A view that is replaced in place, so that views and grants on it survive, and only when its SQL has changed. -#}
{% materialization view, adapter='postgres' %}
    {%- set target_relation = this.incorporate(type='view') -%}

    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}
    {#- run_query would not begin the transaction that ends below -#}
    {%- call statement('found', fetch_result=True) %}
        {{ lock_statement() }};
        select
            exists (
                select from pg_class where oid = to_regclass('{{ this.include(database=false) }}') and relkind = 'v'
            )
            and {{ is_built_from(sql) }}
    {%- endcall -%}

    {%- if load_result('found').table.columns[0].values()[0] and not flags.FULL_REFRESH -%}
        {%- call noop_statement('main', 'UNCHANGED', 'UNCHANGED', 0) -%} select 1 {%- endcall -%}
    {%- else -%}
        {%- call statement('main') %}
            do $replace$
            begin
                create or replace view {{ this }} as
                {{ sql }}
                ;
            exception
                when invalid_table_definition then  -- a column is gone, renamed or of another type
                    drop view {{ this }};
                    create view {{ this }} as
                    {{ sql }}
                    ;
            end
            $replace$
        {%- endcall -%}
        {%- do persist_docs(target_relation, model) -%}
        {%- call statement('build') -%} {{ save_model_build(0, sql=sql) }} {%- endcall -%}
    {%- endif -%}

    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {{ adapter.commit() }}
    {{ run_hooks(post_hooks, inside_transaction=False) }}

    {{ return({'relations': [target_relation]}) }}
{% endmaterialization %}
