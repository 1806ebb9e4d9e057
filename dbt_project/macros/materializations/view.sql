{#- A view that is replaced in place, so that views and grants on it survive, and only when its SQL has changed. -#}
{% materialization view, adapter='postgres' %}
    {%- set target_relation = this.incorporate(type='view') -%}

    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}
    {%- do lock_model() -%}
    {%- set definition = local_md5(sql)[:15] | int(base=16) -%}
    {%- set found = run_query(
        "select exists (select from pg_class where oid = to_regclass('" ~ this.include(database=false) ~ "') and relkind = 'v')"
        ~ " and exists (select from etl.model_state where model = '" ~ model.name
        ~ "' and source_table = 'dbt:view' and batch_id = " ~ definition ~ ")"
    ) -%}

    {%- if found.columns[0].values()[0] and not flags.FULL_REFRESH -%}
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
        {%- call statement('state') %}
            insert into etl.model_state (model, source_table, batch_id)
            values ('{{ model.name }}', 'dbt:view', {{ definition }})
            on conflict (model, source_table) do update set batch_id = excluded.batch_id;
            {{ save_model_build(0, none) }}
        {%- endcall -%}
    {%- endif -%}
    {%- call statement('code') -%} {{ save_model_state() }} {%- endcall -%}

    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {{ adapter.commit() }}
    {{ run_hooks(post_hooks, inside_transaction=False) }}

    {{ return({'relations': [target_relation]}) }}
{% endmaterialization %}
