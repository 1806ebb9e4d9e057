"""The raw and quarantine tables of the contract: made, kept in step with it, indexed. No rows are read or written here.

A contract that grows is followed (a new column, a wider type); anything else that would lose or reinterpret what raw
holds is refused until the user asks for a full refresh, which makes the table anew.
"""

import json
from dataclasses import asdict

import psycopg
from psycopg import sql

from warehouse_assets.errors import UserError
from warehouse_assets.extract import names
from warehouse_assets.extract.days import business_day
from warehouse_assets.source.contract import Column, Table
from warehouse_assets.source.profiles.profile import fingerprint

#: Free space left in each page, in percent of it kept for new versions of its rows. An updated row then stays on its
#: page and its index entries stay as they are: 1% of 5 million rows changed at random cost half as much as without.
FILLFACTOR = 95

#: The schemas whose views dbt makes.
_DBT_SCHEMAS = frozenset({"staging", "intermediate", "features", "marts"})

_FULL_NAMES = {"timestamptz": "timestamp with time zone"}


def contract_hash(table: Table, time_zone: str) -> str:
    """Fingerprint of what raw is made by: the contract entry, without its descriptions, and the company's zone."""
    entry = asdict(table)
    entry.pop("description")
    for column in entry["columns"]:
        column.pop("description")
    return fingerprint(json.dumps([entry, time_zone], sort_keys=True))


def exists(connection: psycopg.Connection, table: Table) -> bool:
    """Tell whether the raw table has been made."""
    row = connection.execute("select to_regclass(%s) is not null", (names.raw(table.name).as_string(),)).fetchone()
    return bool(row and row[0])


def create(connection: psycopg.Connection, table: Table) -> None:
    """Make the raw and the quarantine table where they are missing, without key and indexes.

    Raises:
        UserError: the contract uses a name that the product's own columns have.
    """
    reserved = [name for name in table.column_names if name in names.SYSTEM_COLUMNS]
    reserved += [name for name in table.primary_key if name in names.QUARANTINE_COLUMNS]
    if reserved:
        raise UserError(
            f"Table {table.name} of the contract has column {reserved[0]!r}, a name the warehouse uses itself; "
            "give the column another name in the contract and in the profile's SELECT."
        )
    system = sql.SQL(", ").join(
        sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(data_type))
        for name, data_type in names.SYSTEM_COLUMNS.items()
    )
    connection.execute(
        sql.SQL("create table if not exists {} ({}, {}) with (fillfactor = {})").format(
            names.raw(table.name), names.definitions(table), system, sql.Literal(FILLFACTOR)
        )
    )
    keys = sql.SQL(", ").join(sql.SQL('{} text collate "C"').format(sql.Identifier(name)) for name in table.primary_key)
    connection.execute(
        sql.SQL(
            """
            create table if not exists {} (
                quarantine_id bigint generated always as identity primary key,
                batch_id bigint not null,
                quarantined_at timestamptz not null default now(),
                rule text not null,
                rules text[] not null,
                {},
                row jsonb not null
            )
            """
        ).format(names.quarantine(table.name), keys)
    )
    connection.execute(
        sql.SQL("create index if not exists {} on {} ({})").format(
            sql.Identifier(f"{table.name}_key"), names.quarantine(table.name), names.columns(table.primary_key)
        )
    )
    _comment(connection, table)


def _comment(connection: psycopg.Connection, table: Table) -> None:
    """Carry the contract's descriptions into the database, where every client shows them."""
    statements = [sql.SQL("comment on table {} is {}").format(names.raw(table.name), sql.Literal(table.description))]
    described = {column.name: column.description for column in table.columns} | {
        "_batch_id": "Batch that last wrote the row.",
        "_extracted_at": "When that batch was read.",
        "_flags": "Rules of severity warning that the row breaks; null if none.",
        "_deleted_at": "When the row was found gone from the source; null while it is there.",
    }
    statements += [
        sql.SQL("comment on column {}.{} is {}").format(
            names.raw(table.name), sql.Identifier(name), sql.Literal(description)
        )
        for name, description in described.items()
    ]
    statements.append(
        sql.SQL("comment on table {} is {}").format(
            names.quarantine(table.name),
            sql.Literal(f"Rows of {table.name} that break a rule of severity error; `rules` names all of them."),
        )
    )
    connection.execute(sql.SQL("; ").join(statements))


def drop_keys(connection: psycopg.Connection, table: Table) -> None:
    """Drop the primary key and the indexes, to be built again after a bulk load."""
    connection.execute(
        sql.SQL("alter table {} drop constraint if exists {}").format(
            names.raw(table.name), sql.Identifier(f"{table.name}_pkey")
        )
    )
    drop_indexes(connection, table)


def drop_indexes(connection: psycopg.Connection, table: Table) -> None:
    """Drop the indexes of ``add_indexes``."""
    for index in _index_names(table):
        connection.execute(sql.SQL("drop index if exists {}").format(sql.Identifier("raw", index)))


def add_primary_key(connection: psycopg.Connection, table: Table) -> None:
    """Build the primary key.

    Raises:
        psycopg.errors.UniqueViolation: two rows share a key.
    """
    connection.execute(
        sql.SQL("alter table {} add constraint {} primary key ({})").format(
            names.raw(table.name), sql.Identifier(f"{table.name}_pkey"), names.columns(table.primary_key)
        )
    )


def _index_names(table: Table) -> list[str]:
    unique = [f"{table.name}_{rule.name}" for rule in table.rules if rule.unique]
    return [f"{table.name}_business_day", *unique]


def add_indexes(connection: psycopg.Connection, table: Table, time_zone: str) -> None:
    """Build the BRIN index on the business day (as models write it) and the index of each unique rule."""
    day = table.business_date
    if day is not None and day.column is not None:
        connection.execute(
            sql.SQL("create index if not exists {} on {} using brin (({})) with (pages_per_range = 32)").format(
                sql.Identifier(f"{table.name}_business_day"),
                names.raw(table.name),
                business_day(table, day.column, time_zone),
            )
        )
    for rule in table.rules:
        if rule.unique:
            connection.execute(
                sql.SQL("create index if not exists {} on {} (hash_record_extended(row({}), 0))").format(
                    sql.Identifier(f"{table.name}_{rule.name}"),
                    names.raw(table.name),
                    names.columns(rule.unique),
                )
            )


def follow_contract(connection: psycopg.Connection, table: Table) -> None:
    """Bring an existing raw table in step with a contract that has grown.

    Raises:
        UserError: the contract has changed in a way that raw cannot follow; names table, column and remedy.
    """
    present = _columns(connection, table)
    for column in table.columns:
        was = present.pop(column.name, None)
        wanted = _full_name(column)
        if was is None:
            statement = sql.SQL("alter table {} add column {}").format(
                names.raw(table.name), names.definition(table, column)
            )
        elif was == wanted:
            continue
        elif is_wider(was, wanted):
            _drop_views(connection, table)
            statement = sql.SQL("alter table {} alter column {} type {}").format(
                names.raw(table.name), sql.Identifier(column.name), names.type_of(column)
            )
        else:
            raise UserError(
                f"The contract gives column {column.name} of table {table.name} the type {column.data_type}, raw has "
                f"{was}, which it cannot become without loss; run with --full-refresh to make raw.{table.name} anew."
            )
        connection.execute(statement)
    gone = [name for name in present if name not in names.SYSTEM_COLUMNS]
    if gone:
        raise UserError(
            f"The contract of table {table.name} no longer has column {gone[0]}, which raw holds; "
            f"run with --full-refresh to make raw.{table.name} anew, or put the column back."
        )
    if _key(connection, table) != table.primary_key:
        raise UserError(
            f"The contract gives table {table.name} the key {', '.join(table.primary_key)}, raw has another one; "
            f"run with --full-refresh to make raw.{table.name} anew."
        )


def differences(connection: psycopg.Connection, table: Table) -> list[str]:
    """What of the contract's columns, types and key the raw table lacks, one sentence part each."""
    present = _columns(connection, table)
    found = [
        f"raw.{table.name} lacks column {column.name} of type {column.data_type}"
        for column in table.columns
        if present.get(column.name) != _full_name(column)
    ]
    if _key(connection, table) != table.primary_key:
        found.append(f"raw.{table.name} lacks the primary key {', '.join(table.primary_key)}")
    return found


def _full_name(column: Column) -> str:
    return _FULL_NAMES.get(column.data_type, column.data_type).replace(", ", ",")


def _columns(connection: psycopg.Connection, table: Table) -> dict[str, str]:
    rows = connection.execute(
        """
        select attname, format_type(atttypid, atttypmod)
        from pg_attribute
        where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped
        order by attnum
        """,
        (names.raw(table.name).as_string(),),
    )
    return dict(rows.fetchall())


def _key(connection: psycopg.Connection, table: Table) -> tuple[str, ...]:
    rows = connection.execute(
        """
        select attname
        from pg_constraint
        cross join lateral unnest(conkey) with ordinality as keys (attnum, position)
        join pg_attribute on attrelid = conrelid and pg_attribute.attnum = keys.attnum
        where conrelid = to_regclass(%s) and contype = 'p'
        order by keys.position
        """,
        (names.raw(table.name).as_string(),),
    )
    return tuple(name for (name,) in rows)


def _digits(data_type: str) -> tuple[int, int] | None:
    """Digits before and after the point that a type holds; None for types that are no exact number."""
    if data_type.startswith("numeric("):
        precision, scale = (int(part) for part in data_type[len("numeric(") : -1].split(","))
        return precision - scale, scale
    return {"integer": (10, 0), "bigint": (19, 0)}.get(data_type)


def is_wider(was: str, wanted: str) -> bool:
    """Tell whether every value of one type, in PostgreSQL's full names, is a value of the other."""
    if was == "integer" and wanted == "double precision":
        return True
    before, after = _digits(was), _digits(wanted)
    return bool(before and after and wanted != "integer" and after[0] >= before[0] and after[1] >= before[1])


def _drop_views(connection: psycopg.Connection, table: Table) -> None:
    """Drop the staging views over the raw table and the views over these, which dbt makes anew in the same run.

    Raises:
        UserError: a view that is not dbt's reads the table, or a view of dbt's that would go with it.
    """
    views = connection.execute(
        """
        with recursive reading as (
            select to_regclass(%s)::oid as relation, false as is_view

            union

            select pg_rewrite.ev_class, true
            from reading
            join pg_depend on refclassid = 'pg_class'::regclass and refobjid = reading.relation
            join pg_rewrite on classid = 'pg_rewrite'::regclass and pg_rewrite.oid = objid
            where pg_rewrite.ev_class <> reading.relation
        )

        select nspname, relname
        from reading
        join pg_class on pg_class.oid = relation
        join pg_namespace on pg_namespace.oid = relnamespace
        where is_view
        order by nspname, relname
        """,
        (names.raw(table.name).as_string(),),
    ).fetchall()
    for schema, view in views:
        if schema not in _DBT_SCHEMAS:
            raise UserError(
                f"View {schema}.{view} reads raw.{table.name}, whose columns have to change; "
                "drop the view and run again."
            )
    for schema, view in views:
        connection.execute(sql.SQL("drop view if exists {} cascade").format(sql.Identifier(schema, view)))


def drop(connection: psycopg.Connection, table: Table) -> None:
    """Drop the raw and the quarantine table, with the staging views over them."""
    _drop_views(connection, table)
    connection.execute(sql.SQL("drop table if exists {}").format(names.raw(table.name)))
    connection.execute(sql.SQL("drop table if exists {}").format(names.quarantine(table.name)))
