{#- Statement for a hook: tells models which business days a table made by dbt has changed, as extraction does for raw.

    Models that name `source_table` in their `sources` rebuild these days. For state that dirty days of raw cannot tell
    exactly: an agreement that ends touches all its days there, yet changes only those after its end.
    `days` is a query of one column, business_date; without rows nothing is registered. -#}
{% macro register_changed_days(source_table, days) %}
    with changed as materialized (
        select distinct business_date from ({{ days }}) as days where isfinite(business_date)
    ),

    batch as materialized (
        select nextval('etl.batch_id') as batch_id where exists (select from changed)
    ),

    remembered as (
        insert into etl.dirty_day (source_table, batch_id, business_date)
        select '{{ source_table }}', batch.batch_id, changed.business_date
        from changed
        cross join batch
    ),

    state as (
        insert into etl.table_state as state (
            source_table, profile, batch_id, changed_batch_id, extracted_at, changed_at, latest_day
        )
        select '{{ source_table }}', 'dbt', batch_id, batch_id, now(), now(), {{ data_clock() }}
        from batch
        on conflict (source_table) do update set
            batch_id = excluded.batch_id,
            changed_batch_id = excluded.changed_batch_id,
            extracted_at = excluded.extracted_at,
            changed_at = excluded.changed_at,
            latest_day = excluded.latest_day
    )

    insert into etl.build_ceiling (invocation_id, source_table, batch_id)
    select '{{ invocation_id }}', '{{ source_table }}', batch_id
    from batch
    on conflict (invocation_id, source_table) do update set batch_id = excluded.batch_id
{% endmacro %}


{#- Pre-hook of int_data_clock: notes whether there was a table, be it without a row, from which others were built. -#}
{% macro keep_clock() %}
    do $keep$
    begin
        drop table if exists pg_temp.clock_before;
        create temporary table clock_before on commit drop as
        select to_regclass('{{ this.include(database=false) }}') is not null as was_built;
    end
    $keep$
{% endmacro %}


{#- Post-hook of int_data_clock: when the clock moves, the days from the old to the new one have changed. Where others were built
    before there was a clock, all have since the first day of a century that raw knows: agreements and budgets had no day to
    go to. -#}
{% macro register_clock_days() %}
    {%- set moved_days -%}
        select generate_series(
            least(known.latest_day, clock.clock_day), greatest(known.latest_day, clock.clock_day), interval '1 day'
        )::date as business_date
        from {{ this }} as clock
        cross join
            lateral (
                select
                    coalesce(
                        (select latest_day from etl.table_state where source_table = 'intermediate.int_data_clock'),
                        (
                            select min(business_date)
                            from etl.dirty_day
                            where
                                business_date > clock.clock_day - 36525
                                and (select was_built from pg_temp.clock_before)
                        )
                    ) as latest_day
            ) as known
        where clock.clock_day is distinct from known.latest_day
    {%- endset -%}
    {{ register_changed_days('intermediate.int_data_clock', moved_days) }}
{% endmacro %}


{#- Pre-hook of a running model: every day from the first one it is about to rebuild has changed, up to the data clock. -#}
{% macro register_days_from_first() %}
    {%- set plan = rebuild_plan() if execute else {'kind': 'nothing'} -%}
    {%- if plan.kind == 'nothing' -%}
        select 1
    {%- else -%}
        {%- set first -%}
            {%- if plan.kind == 'full' -%}
                (
                    select min(business_date)
                    from etl.dirty_day
                    where source_table in ({{ "'" ~ model_sources() | join("', '") ~ "'" }})
                )
            {%- else -%}
                date '{{ plan.first }}'
            {%- endif -%}
        {%- endset -%}
        {%- set days -%}
            select generate_series({{ first }}, {{ data_clock() }}, interval '1 day')::date as business_date
        {%- endset -%}
        {{ register_changed_days(this.schema ~ '.' ~ this.identifier, days) }}
    {%- endif -%}
{% endmacro %}
