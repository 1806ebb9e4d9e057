{#- Pre-hook: keeps the table's rows as pg_temp.<kept> for the comparison after the build. One row without a customer says that
    there was no table: then nothing was built from it either, and no day needs naming. -#}
{% macro keep_customer_rows(kept) %}
    do $keep$
    begin
        drop table if exists pg_temp.{{ kept }};
        if to_regclass('{{ this.include(database=false) }}') is not null then
            create temporary table {{ kept }} on commit drop as select * from {{ this }};
        else
            create temporary table {{ kept }} (customer_id text) on commit drop;
            insert into {{ kept }} values (null);
        end if;
    end
    $keep$
{% endmacro %}


{#- Post-hook of int_customer__agreement_period: the days, up to the data clock, on which some customer's agreements or
    prices are not what they were: only stretches that went or came are compared, as JSON, so that the columns of the old
    table may differ. -#}
{% macro register_agreement_days() %}
    {%- set changed_days -%}
        with changed as (
            select false as is_after, to_jsonb(before) as entry
            from pg_temp.agreement_period_before as before
            where before::text not in (select after::text from {{ this }} as after)
            union all
            select true, to_jsonb(after)
            from {{ this }} as after
            where
                after::text not in (select before::text from pg_temp.agreement_period_before as before)
                and not exists (select from pg_temp.agreement_period_before as before where before.customer_id is null)
        ),

        stretch as (
            select
                is_after,
                entry ->> 'customer_id' as customer_id,
                (entry ->> 'valid_from')::date as valid_from,
                coalesce(least((entry ->> 'valid_to')::date, {{ data_clock() }}), {{ data_clock() }}) as valid_to,
                entry - '{valid_from,valid_to,previous_mrr_usd,mrr_movement}'::text[] as state,
                jsonb_build_array(entry -> 'previous_mrr_usd', entry -> 'mrr_movement') as movement
            from changed
        ),

        edge as (
            select customer_id, valid_from as edge_day from stretch
            union
            select customer_id, valid_to + 1 from stretch
        ),

        piece as (
            select customer_id, edge_day as first_day, lead(edge_day) over customer_edges - 1 as last_day
            from edge
            window customer_edges as (partition by customer_id order by edge_day)
        ),

        differing as (
            select piece.first_day, piece.last_day
            from piece
            left join stretch as was
                on
                    not was.is_after
                    and was.customer_id = piece.customer_id
                    and piece.first_day between was.valid_from and was.valid_to
            left join stretch as became
                on
                    became.is_after
                    and became.customer_id = piece.customer_id
                    and piece.first_day between became.valid_from and became.valid_to
            where was.state is distinct from became.state
        )

        select day::date as business_date
        from (select distinct first_day, last_day from differing) as differing
        cross join lateral generate_series(
            differing.first_day::timestamp,
            least(differing.last_day, {{ data_clock() }})::timestamp,
            interval '1 day'
        ) as day
        union
        select valid_from
        from stretch
        where valid_from <= {{ data_clock() }}
        group by customer_id, valid_from, movement
        having count(*) = 1
    {%- endset -%}
    {{ register_changed_days('intermediate.int_customer__agreement_period', changed_days) }}
{% endmacro %}


{#- Post-hook of int_customer__account: the days, up to the data clock, since the first agreement, invoice, payment or
    stop of the customers whose row is not what it was, and the days of those that lie ahead of the clock.

    Nothing is read where no row changed. A job need not have made all of these tables. Stops are looked up by customer where
    the models that group them by customer find them, as it was last built (so it is no ref()): what it has not seen yet is
    dirty for them all. A scan of 2.5 million of raw was 0.3 s. -#}
{% macro register_account_days() %}
    {%- set facts = {
        'raw.service_agreements': 'start_date',
        'raw.invoices': 'invoice_date',
        'raw.payments': 'payment_date',
        this.schema ~ '.int_customer__service_day': 'service_date',
    } -%}
    {%- set there = run_query(
        "select name from unnest('{" ~ facts | join(',') ~ "}'::text[]) as name where to_regclass(name) is not null"
    ).columns[0].values() if execute else [] -%}
    {%- set days -%}
        with changed as (
            select coalesce(before.customer_id, after.customer_id) as customer_id
            from pg_temp.account_before as before
            full join {{ this }} as after on after.customer_id = before.customer_id
            where
                to_jsonb(before) is distinct from to_jsonb(after)
                and not exists (select from pg_temp.account_before where customer_id is null)
        ),

        fact as (
            select null::date as business_date
            where false
            {%- for table, day in facts.items() if table in there %}
            union all
            select {{ day }} from {{ table }}
            where customer_id in (select customer_id from changed)
            {%- endfor %}
        )

        select generate_series(
            greatest(min(business_date), {{ data_clock() }} - 36525), {{ data_clock() }}, interval '1 day'
        )::date as business_date
        from fact
        having min(business_date) is not null
        union
        select business_date from fact where business_date > {{ data_clock() }}
    {%- endset -%}
    {{ register_changed_days('intermediate.int_customer__account', days) }}
{% endmacro %}


{#- Pre-hook of int_customer__history: keeps the first day it held for the comparison after the build. -#}
{% macro keep_history() %}
    do $keep$
    begin
        drop table if exists pg_temp.history_before;
        create temporary table history_before (first_day date) on commit drop;
        if to_regclass('{{ this.include(database=false) }}') is not null then
            insert into history_before select (to_jsonb(history) ->> 'first_day')::date from {{ this }} as history;
        end if;
    end
    $keep$
{% endmacro %}


{#- Post-hook of int_customer__history: days that history has gained or lost at its beginning. -#}
{% macro register_history_days() %}
    {%- set days -%}
        select generate_series(
            least(before.first_day, after.first_day), greatest(before.first_day, after.first_day), interval '1 day'
        )::date as business_date
        from {{ this }} as after
        full join pg_temp.history_before as before on true
        where before.first_day is distinct from after.first_day
    {%- endset -%}
    {{ register_changed_days('intermediate.int_customer__history', days) }}
{% endmacro %}


{#- Pre-hook of int_customer__feature_day: the days whose features, or labels, a batch it has not seen has changed.

    A fact counts for `reach` days after its own, the last day of a price also for the rise on the next; a label is known
    90 days after its day, and tells what happened in them. -#}
{% macro register_feature_days() %}
    {%- set reach = {
        'route_stops': [1, 180],
        'service_tickets': [1, 365],
        'surveys': [1, 365],
        'portal_sessions': [1, 365],
        'service_orders': [1, 180],
        'invoices': [1, 365],
        'payments': [1, 365],
        'service_agreement_prices': [1, 366],
        'intermediate.int_financial__receivable_change': [1, 1],
        'intermediate.int_customer__agreement_period': [0, 367],
        'intermediate.int_customer__history': [1, 180],
        'intermediate.int_customer__account': [0, 0],
        'intermediate.int_data_clock': [0, 0],
    } -%}
    {%- if not execute -%}
        select 1
    {%- else -%}
        {%- set days -%}
            with dirty as (
                select distinct dirty_day.source_table, dirty_day.business_date
                from etl.dirty_day
                inner join {{ visible_batches() }} as visible
                    on visible.source_table = dirty_day.source_table and dirty_day.batch_id <= visible.batch_id
                left join etl.model_state as state
                    on state.source_table = dirty_day.source_table and state.model = '{{ model.name }}'
                where dirty_day.batch_id > coalesce(state.batch_id, 0) and isfinite(dirty_day.business_date)
            ),

            reach (source_table, days_from, days_to) as (
                values
                {%- for source_table, span in reach.items() %}
                    ('{{ source_table }}', {{ span[0] }}, {{ span[1] }}),
                {%- endfor %}
                    -- labels that become known as the clock moves on
                    ('intermediate.int_data_clock', -90, -90)
            ),

            -- features begin with history; where it begins later now, the months it has lost change too
            beginning as (
                select min(first_day) as first_day
                from (
                    select first_day from {{ ref('int_customer__history') }}
                    union all
                    select business_date from dirty where source_table = 'intermediate.int_customer__history'
                ) as days
            ),

            candidate as (
                select generate_series(
                    date_trunc('month', greatest(min(business_date) - 90, (select first_day from beginning))),
                    date_trunc('month', {{ data_clock() }}::timestamp),
                    interval '1 month'
                )::date as as_of
                from dirty
                where business_date >= {{ data_clock() }} - 36525
                union
                select business_date from dirty where source_table = 'intermediate.int_data_clock'
                union
                select {{ data_clock() }}
            ),

            touched as (
                select range_agg(daterange(
                    dirty.business_date + reach.days_from, dirty.business_date + reach.days_to, '[]'
                )) as days
                from dirty
                inner join reach on reach.source_table = dirty.source_table
            ),

            told as (
                select range_agg(daterange(business_date - 90, business_date - 1, '[]')) as days
                from dirty
                where source_table = 'intermediate.int_customer__agreement_period'
            )

            select candidate.as_of as business_date
            from candidate
            cross join touched
            cross join told
            where
                candidate.as_of <@ touched.days
                or (candidate.as_of <@ told.days and candidate.as_of + 90 <= {{ data_clock() }})
        {%- endset -%}
        {{ register_changed_days(this.schema ~ '.' ~ this.identifier, days) }}
    {%- endif -%}
{% endmacro %}
