{#- Statement that moves the partitions of a finished build into the table readers know, and drops the build.

    Without such a table the build becomes it. Else the table's columns are altered to those of the build, in place: grants, comments
    and views survive. A user's view on a column that is gone stops the swap with PostgreSQL's own words; nothing is half done. -#}
{% macro put_in_place(build, relation) %}
    do $swap$
    declare
        build regclass := '{{ build }}';
        target regclass := to_regclass('{{ relation }}');
        child record;
        dependent record;
    begin
        {{ drop_target_unless(relation, 'p') }}
        if target is null then
            alter table {{ build }} rename to {{ relation.include(database=false, schema=false) }};
            for child in
                select inhrelid::regclass as name, relname as current_name
                from pg_inherits
                inner join pg_class on pg_class.oid = inhrelid
                where inhparent = to_regclass('{{ relation }}')
            loop
                execute format('alter table %s rename to %I', child.name, regexp_replace(child.current_name, '_new$', ''));
            end loop;
            return;
        end if;
        lock table {{ relation }} in access exclusive mode;
        for child in
            select inhrelid::regclass as name from pg_inherits where inhparent = target
        loop
            execute format('drop table %s', child.name);
        end loop;
        {{ drop_plain_indexes(relation) }}
        {{ align_columns(build, relation) }}
        for child in
            select
                pg_inherits.inhrelid::regclass as name,
                pg_class.relname as current_name,
                pg_get_expr(pg_class.relpartbound, pg_class.oid) as bounds
            from pg_inherits
            inner join pg_class on pg_class.oid = pg_inherits.inhrelid
            where pg_inherits.inhparent = build
            order by pg_class.relname
        loop
            execute format('alter table {{ build }} detach partition %s', child.name);
            execute format('alter table %s rename to %I', child.name, regexp_replace(child.current_name, '_new$', ''));
            execute format(
                'alter table {{ relation }} attach partition {{ relation.include(database=false, identifier=false) }}.%I %s',
                regexp_replace(child.current_name, '_new$', ''),
                child.bounds
            );
        end loop;
        drop table {{ build }};
    end
    $swap$;
{% endmacro %}


{#- PL/pgSQL that drops what bears the table's name but is of another kind (pg_class.relkind), and says in `target` that it is gone. -#}
{% macro drop_target_unless(relation, kind) -%}
        if target is not null and (select relkind <> '{{ kind }}' from pg_class where oid = target) then
            execute format(
                'drop %s {{ relation }}',
                (select case relkind when 'v' then 'view' when 'm' then 'materialized view' else 'table' end
                 from pg_class where oid = target)
            );
            target := null;
        end if;
{%- endmacro %}


{#- PL/pgSQL that drops the indexes of a table, except those of constraints. -#}
{% macro drop_plain_indexes(relation) %}
        for child in
            select pg_index.indexrelid::regclass as name
            from pg_index
            where
                pg_index.indrelid = to_regclass('{{ relation }}')
                and not exists (select from pg_constraint where pg_constraint.conindid = pg_index.indexrelid)
        loop
            execute format('drop index %s', child.name);
        end loop;
{% endmacro %}


{#- PL/pgSQL that gives an empty table the columns (names, types, not null) of another. -#}
{% macro align_columns(wanted, relation) %}
        for child in
            select
                current_column.attname as current_name,
                wanted_column.attname as wanted_name,
                format_type(wanted_column.atttypid, wanted_column.atttypmod) as wanted_type,
                current_column.attnotnull as has_not_null,
                wanted_column.attnotnull as wants_not_null,
                current_column.atttypid is distinct from wanted_column.atttypid
                or current_column.atttypmod is distinct from wanted_column.atttypmod as type_differs
            from (
                select * from pg_attribute
                where attrelid = to_regclass('{{ relation }}') and attnum > 0 and not attisdropped
            ) as current_column
            full join (
                select * from pg_attribute
                where attrelid = to_regclass('{{ wanted }}') and attnum > 0 and not attisdropped
            ) as wanted_column on wanted_column.attname = current_column.attname
            order by wanted_column.attnum
        loop
            if child.wanted_name is null or (child.current_name is not null and child.type_differs) then
                {{ drop_views_of_models(relation) }}
                execute format('alter table {{ relation }} drop column %I', child.current_name);
            end if;
            if child.wanted_name is not null and (child.current_name is null or child.type_differs) then
                execute format('alter table {{ relation }} add column %I %s', child.wanted_name, child.wanted_type);
                child.has_not_null := false;
            end if;
            if child.wants_not_null and not child.has_not_null then
                execute format('alter table {{ relation }} alter column %I set not null', child.wanted_name);
            elsif child.has_not_null and not child.wants_not_null then
                execute format('alter table {{ relation }} alter column %I drop not null', child.wanted_name);
            end if;
        end loop;
{% endmacro %}


{#- PL/pgSQL that drops the views of dbt models over a table. They are built from it: its new code means they are made anew. -#}
{% macro drop_views_of_models(relation) %}
                for dependent in
                    select distinct pg_class.oid::regclass as name
                    from pg_depend
                    inner join pg_rewrite on pg_rewrite.oid = pg_depend.objid
                    inner join pg_class on pg_class.oid = pg_rewrite.ev_class
                    where
                        pg_depend.refobjid = to_regclass('{{ relation }}')
                        and pg_class.relkind = 'v'
                        and pg_class.relnamespace::regnamespace::text in ('staging', 'intermediate', 'features', 'marts')
                        and exists (select from etl.model_build where model = pg_class.relname)
                loop
                    execute format('drop view %s', dependent.name);
                end loop;
{% endmacro %}
