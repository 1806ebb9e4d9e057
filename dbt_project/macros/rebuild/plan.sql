{#- What the build of the current model has to do:
    {kind: 'full' | 'days' | 'nothing', days: [date text, ...], first: date text, rows: those the table has}.

    Asked for often while the model's SQL is rendered, and by its materialization: found out once and kept in dbt's graph, which
    lives as long as the invocation. The lock taken with it is held to the end of the build's transaction. -#}
{% macro rebuild_plan() %}
    {%- if not execute or model.resource_type == 'unit_test' -%}
        {%- do return({'kind': 'full', 'days': [], 'first': none}) -%}
    {%- endif -%}
    {%- set plans = graph.setdefault('rebuild_plans', {}) -%}
    {%- if model.unique_id not in plans -%}
        {%- do plans.update({model.unique_id: find_rebuild_plan()}) -%}
    {%- endif -%}
    {%- do return(plans[model.unique_id]) -%}
{% endmacro %}


{% macro find_rebuild_plan() %}
    {%- set found = fromjson(run_query(lock_statement() ~ ';' ~ rebuild_plan_query()).columns[0].values()[0]) -%}
    {%- set days = found.days -%}
    {%- if flags.FULL_REFRESH or not found.is_built or found.code != code_version() -%}
        {%- do return({'kind': 'full', 'days': [], 'first': none}) -%}
    {%- elif not days -%}
        {%- do return({'kind': 'nothing', 'days': [], 'first': none}) -%}
    {%- endif -%}
    {%- set days_to_write = found.days_from_first if config.get('running', false) else days | length -%}
    {%- if days_to_write > 31 and days_to_write > found.months * 30 * var('full_build_above_ratio') -%}
        {%- do return({'kind': 'full', 'days': [], 'first': none}) -%}
    {%- endif -%}
    {%- do return({'kind': 'days', 'days': days, 'first': days[0], 'rows': found.rows}) -%}
{% endmacro %}


{% macro rebuild_plan_query() %}
    with visible as (
        select * from {{ visible_batches() }} as batches
    ),

    reach (source_table, days_from, days_to) as (
        values
        {%- for source_table in model_sources() %}
            {%- set reach = config.get('reach', {}).get(source_table, [0, 0]) or [1, 0] %}
            ('{{ source_table }}', {{ reach[0] }}, {{ reach[1] }}){{ ',' if not loop.last }}
        {%- endfor %}
    ),

    dirty as (
        select distinct dirty_day.business_date + offset_days as business_date
        from etl.dirty_day
        inner join visible on visible.source_table = dirty_day.source_table and dirty_day.batch_id <= visible.batch_id
        inner join reach on reach.source_table = dirty_day.source_table
        left join etl.model_state as state
            on state.source_table = dirty_day.source_table and state.model = '{{ model.name }}'
        cross join generate_series(reach.days_from, reach.days_to) as offset_days
        where dirty_day.batch_id > coalesce(state.batch_id, 0) and isfinite(dirty_day.business_date)
        {%- set forced = forced_days() %}
        {%- if forced %}
        union
        select generate_series(
            date '{{ forced[0] }}' + min(days_from), date '{{ forced[1] }}' + max(days_to), interval '1 day'
        )::date
        from (select days_from, days_to from reach where days_from <= days_to union select 0, 0) as reaches
        {%- endif %}
    ),

    built as (
        select
            count(*) as months,
            max(to_date(substring(pg_inherits.inhrelid::regclass::text from 'y\d{4}m\d{2}'), '"y"YYYY"m"MM')) as last_month
        from pg_inherits
        where pg_inherits.inhparent = to_regclass('{{ this.include(database=false) }}')
    )

    select json_build_object(
        'is_built', exists (
            select from pg_class where oid = to_regclass('{{ this.include(database=false) }}') and relkind = 'p'
        ),
        'code', (select code_version from etl.model_build where model = '{{ model.name }}'),
        'days', (select coalesce(json_agg(business_date order by business_date), '[]') from dirty),
        'days_from_first', (
            select coalesce(greatest(built.last_month + 30 - min(dirty.business_date), 0), 0)
            from dirty, built
            group by built.last_month
        ),
        'months', (select months from built),
        'rows', (select coalesce(rows, 0) from etl.model_build where model = '{{ model.name }}')
    )::text
{% endmacro %}


{#- [first, last] day that WAREHOUSE_REBUILD_FROM and WAREHOUSE_REBUILD_TO force to be rebuilt, as if something had changed on
    them in every source; none without them.

    Environment rather than dbt vars: changed vars would cost a full parse. -#}
{% macro forced_days() %}
    {%- set first = env_var('WAREHOUSE_REBUILD_FROM', '') -%}
    {%- set last = env_var('WAREHOUSE_REBUILD_TO', '') -%}
    {%- if not first and not last -%}
        {%- do return(none) -%}
    {%- endif -%}
    {%- for value in [first, last] if not modules.re.match('^[0-9]{4}-[0-9]{2}-[0-9]{2}$', value) -%}
        {%- do exceptions.raise_compiler_error(
            "WAREHOUSE_REBUILD_FROM and WAREHOUSE_REBUILD_TO are '" ~ first ~ "' and '" ~ last
            ~ "'; give both as dates such as 2024-01-31."
        ) -%}
    {%- endfor -%}
    {%- if first > last -%}
        {%- do exceptions.raise_compiler_error(
            'WAREHOUSE_REBUILD_FROM (' ~ first ~ ') is after WAREHOUSE_REBUILD_TO (' ~ last ~ '); swap them.'
        ) -%}
    {%- endif -%}
    {%- do return([first, last]) -%}
{% endmacro %}
