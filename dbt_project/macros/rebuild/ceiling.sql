{#- on-run-start: notes the last batch of every table, so that all models of this invocation see the same ones.

    A batch committed while dbt runs may already be read, but counts as unseen: its days are rebuilt next time. -#}
{% macro remember_ceilings() %}
    {%- if execute %}
        delete from etl.build_ceiling where created_at < now() - interval '7 days';
        insert into etl.build_ceiling (invocation_id, source_table, batch_id)
        select '{{ invocation_id }}', source_table, batch_id
        from etl.table_state
        on conflict (invocation_id, source_table) do nothing
    {%- endif %}
{% endmacro %}


{#- Subquery of (source_table, batch_id): the batches this invocation may see of the model's sources.

    Commands without hooks (compile, show) see the present ones. -#}
{% macro visible_batches() -%}
    (
        select state.source_table, coalesce(ceiling.batch_id, state.batch_id) as batch_id, state.changed_batch_id
        from etl.table_state as state
        left join etl.build_ceiling as ceiling
            on ceiling.source_table = state.source_table and ceiling.invocation_id = '{{ invocation_id }}'
        where
            state.source_table in ({{ "'" ~ model_sources() | join("', '") ~ "'" }})
            and (
                ceiling.batch_id is not null
                or not exists (select from etl.build_ceiling as any_of where any_of.invocation_id = '{{ invocation_id }}')
            )
    )
{%- endmacro %}


{#- The raw tables named in config(sources=[...]). -#}
{% macro model_sources() %}
    {%- set sources = config.get('sources', []) -%}
    {%- if execute and (sources is string or not sources) -%}
        {%- do exceptions.raise_compiler_error(
            model.name ~ ": config(sources=['table', ...]) must name the raw tables the model depends on, "
            ~ "directly or through other models."
        ) -%}
    {%- endif -%}
    {%- do return(sources) -%}
{% endmacro %}
