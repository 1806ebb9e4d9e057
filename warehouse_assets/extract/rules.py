"""The contract's rules over a relation of new rows: broken ones are set aside or flagged, in set-based passes.

The relation is staging, or raw itself on a first load. Rows set aside land in pg_temp.extract_rejected with every
rule they break; ``quarantine`` takes them from there.
"""

import json
from collections.abc import Mapping, Sequence

import psycopg
from psycopg import sql

from warehouse_assets.database.errors import message_of
from warehouse_assets.errors import UserError
from warehouse_assets.extract import names
from warehouse_assets.extract.source import reject_as_row
from warehouse_assets.source.contract import Rule, Table
from warehouse_assets.source.profiles import Reject
from warehouse_assets.source.profiles.mapping import require_conditions

DUPLICATE_KEY = "duplicate_key"


def prepare(connection: psycopg.Connection) -> None:
    """Make the session's work tables; they are emptied at the end of each transaction."""
    connection.execute(
        """
        create temporary table if not exists extract_broken (
            row_id tid not null,
            errors text[] not null,
            flags text[] not null
        ) on commit delete rows;
        create temporary table if not exists extract_rejected (
            key text[] collate "C" not null,
            rules text[] not null,
            row jsonb not null
        ) on commit delete rows;
        create temporary table if not exists extract_changed (
            key text collate "C",
            is_new boolean not null,
            was_live boolean not null,
            is_written boolean not null,
            others_differ boolean not null default true,
            old_first date,
            old_end date,
            new_first date,
            new_end date,
            rows bigint not null
        ) on commit delete rows
        """
    )


def apply_rules(connection: psycopg.Connection, table: Table, relation: sql.Composable) -> int:
    """Judge every row of ``relation`` by the rules with a condition; return the rows set aside.

    Rows breaking an error rule leave the relation; rows breaking only warnings get ``_flags``.

    Raises:
        UserError: a rule's condition is no SQL.
    """
    rules = conditions(table)
    connection.execute("truncate pg_temp.extract_broken; drop table if exists pg_temp.extract_found")
    # made by a query, not inserted into: only so does PostgreSQL search raw with several processes
    query = sql.SQL(
        """
        create temporary table extract_found on commit drop as
        select ctid as row_id, {errors} as errors, {warnings} as flags
        from {relation}
        where {any_broken}
        """
    ).format(
        errors=_broken([rule for rule in rules if rule.severity == "error"]),
        warnings=_broken([rule for rule in rules if rule.severity == "warning"]),
        relation=relation,
        any_broken=sql.SQL(" or ").join(sql.SQL("({}) is false").format(_condition(rule)) for rule in rules),
    )
    try:
        with connection.transaction():
            found = connection.execute(query).rowcount
    except (psycopg.ProgrammingError, psycopg.DataError):
        require_conditions(connection, table)
        _require_judgements(connection, table, relation, rules)
        raise
    if not found:
        return 0
    connection.execute("insert into pg_temp.extract_broken select row_id, errors, flags from pg_temp.extract_found")
    return _set_aside(connection, table, relation)


def _require_judgements(
    connection: psycopg.Connection, table: Table, relation: sql.Composable, rules: Sequence[Rule]
) -> None:
    """See that each rule can be judged on all rows.

    Raises:
        UserError: one cannot, such as a division by a zero that a row holds; names the rule and the remedy.
    """
    for rule in rules:
        query = sql.SQL("select count(*) from {} where ({}) is false").format(relation, _condition(rule))
        try:
            with connection.transaction():
                connection.execute(query)
        except psycopg.DataError as error:
            raise UserError(
                f"Rule {rule.name} of table {table.name} cannot be judged on every row ({message_of(error)}); "
                f"correct its `expect` in the sources YAML of {table.system}, with nullif(…, 0) below a division."
            ) from error


def conditions(table: Table) -> list[Rule]:
    """The rules with a condition; a key must be there whether the contract says so or not."""
    keys = [column.required for column in map(table.column, table.primary_key) if not column.is_required]
    return keys + [rule for rule in table.all_rules if rule.expect is not None]


def note_rejects(connection: psycopg.Connection, table: Table, rejects: Sequence[Reject]) -> int:
    """Note rows that the source could not even hand over, with the key where it can be read; return how many."""
    copy_in = "copy pg_temp.extract_rejected (key, rules, row) from stdin"  # 50,000 rows: 0.7 s, by insert 4.5 s
    with connection.cursor() as cursor, cursor.copy(copy_in) as sink:
        for reject in rejects:
            rule, text = reject_as_row(reject)
            row = json.loads(text)
            key = [None if row.get(name) is None else str(row[name]) for name in table.primary_key]
            sink.write_row((key, [rule], text))
    return len(rejects)


def _condition(rule: Rule) -> sql.SQL:
    return sql.SQL(rule.expect or "true")


def _broken(rules: list[Rule]) -> sql.Composable:
    if not rules:
        return sql.SQL("'{}'::text[]")
    return sql.SQL("array_remove(array[{}], null)").format(
        sql.SQL(", ").join(
            sql.SQL("case when ({}) is false then {} end").format(_condition(rule), sql.Literal(rule.name))
            for rule in rules
        )
    )


def _set_aside(connection: psycopg.Connection, table: Table, relation: sql.Composable) -> int:
    """Move the rows with errors in extract_broken to extract_rejected and flag the others; return the rows moved."""
    moved = connection.execute(
        sql.SQL(
            """
            with moved as (
                delete from {relation} as rows
                using pg_temp.extract_broken as broken
                where rows.ctid = broken.row_id and cardinality(broken.errors) > 0
                returning rows.*, broken.errors as "extract broken"
            )
            insert into pg_temp.extract_rejected (key, rules, row)
            select array[{key}], "extract broken", to_jsonb(moved) - {system}
            from moved
            """
        ).format(
            relation=relation,
            key=sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(name)) for name in table.primary_key),
            system=sql.SQL("{}::text[]").format(sql.Literal([*names.SYSTEM_COLUMNS, "extract broken"])),
        )
    ).rowcount
    connection.execute(
        sql.SQL(
            """
            update {relation} as rows
            set _flags = rows._flags || broken.flags
            from pg_temp.extract_broken as broken
            where rows.ctid = broken.row_id and cardinality(broken.errors) = 0
            """
        ).format(relation=relation)
    )
    return moved


def reject_duplicate_keys(connection: psycopg.Connection, table: Table, relation: sql.Composable) -> int:
    """Set aside all rows of a key but one: the latest by cursor, then the greatest by content; return the rest.

    The choice depends on the rows alone, not on their order, so that reading them again decides alike.
    """
    order = [sql.SQL("{} desc nulls last").format(sql.Identifier(table.cursor))] if table.cursor else []
    order += [
        sql.SQL("{} desc nulls last").format(sql.Identifier(column.name))
        for column in table.columns
        if column.name not in (table.cursor, *table.primary_key)
    ]
    connection.execute("truncate pg_temp.extract_broken")
    found = connection.execute(
        sql.SQL(
            """
            insert into pg_temp.extract_broken (row_id, errors, flags)
            select row_id, array[{rule}], '{{}}'
            from (
                select ctid as row_id, row_number() over (partition by {key} {order}) as position
                from {relation}
                where {has_keys}
            ) as numbered
            where position > 1
            """
        ).format(
            rule=sql.Literal(DUPLICATE_KEY),
            key=names.columns(table.primary_key),
            order=sql.SQL("order by {}").format(sql.SQL(", ").join(order)) if order else sql.SQL(""),
            relation=relation,
            has_keys=names.all_present(table.primary_key),
        )
    ).rowcount
    return _set_aside(connection, table, relation) if found else 0


def apply_unique_rules(
    connection: psycopg.Connection, table: Table, relation: sql.Composable, *, against_raw: bool
) -> int:
    """Set aside (or flag) rows that repeat another row in the columns of a unique rule; return the rows set aside.

    A row that raw already has stays; among new rows the one earliest by cursor, then by key, does. With
    ``against_raw`` the relation is compared with the live rows of raw that it does not itself replace.
    """
    moved = 0
    for rule in table.rules:
        if rule.unique:
            moved += _apply_unique_rule(connection, table, rule, relation, against_raw)
    return moved


def _apply_unique_rule(
    connection: psycopg.Connection, table: Table, rule: Rule, relation: sql.Composable, against_raw: bool
) -> int:
    name = sql.SQL("array[{}]").format(sql.Literal(rule.name))
    none = sql.SQL("'{}'::text[]")
    parts = {
        "errors": name if rule.severity == "error" else none,
        "flags": name if rule.severity == "warning" else none,
        "relation": relation,
        "raw": names.raw(table.name),
        "new_hash": _hash(rule, "fresh"),
        "old_hash": _hash(rule, "present"),
        "columns": names.columns(rule.unique),
        "agree": sql.SQL(" and ").join(
            sql.SQL("fresh.{0} is not distinct from present.{0}").format(sql.Identifier(column))
            for column in rule.unique
        ),
        "replaced": names.same(table.primary_key, "newer", "present"),
        "incumbent": names.same(table.primary_key, "present", "fresh"),
        "order": names.columns([table.cursor, *table.primary_key] if table.cursor else table.primary_key),
    }
    connection.execute("truncate pg_temp.extract_broken")
    found = _note_repeats_of_raw(connection, parts) if against_raw else 0
    found += _note_repeats_of_each_other(connection, parts, against_raw)
    return _set_aside(connection, table, relation) if found else 0


def _note_repeats_of_raw(connection: psycopg.Connection, parts: Mapping[str, sql.Composable]) -> int:
    """Note in extract_broken the new rows that repeat a live row of raw which none of them replaces."""
    return connection.execute(
        sql.SQL(
            """
            insert into pg_temp.extract_broken (row_id, errors, flags)
            select fresh.ctid, {errors}, {flags}
            from {relation} as fresh
            where exists (
                select
                from {raw} as present
                where {new_hash} = {old_hash}
                    and {agree}
                    and present._deleted_at is null
                    and not exists (select from {relation} as newer where {replaced})
            )
            """
        ).format(**parts)
    ).rowcount


def _note_repeats_of_each_other(
    connection: psycopg.Connection, parts: Mapping[str, sql.Composable], against_raw: bool
) -> int:
    """Note in extract_broken all but one of the new rows that agree; the one that raw already has stays."""
    incumbent = (
        sql.SQL("not exists (select from {raw} as present where {incumbent} and {agree} and _deleted_at is null), ")
        if against_raw
        else sql.SQL("")
    ).format(**parts)
    return connection.execute(
        sql.SQL(
            """
            insert into pg_temp.extract_broken (row_id, errors, flags)
            select row_id, {errors}, {flags}
            from (
                select
                    fresh.ctid as row_id,
                    row_number() over (partition by {columns} order by {incumbent_first}{order}) as position
                from {relation} as fresh
                where not exists (select from pg_temp.extract_broken as broken where broken.row_id = fresh.ctid)
            ) as numbered
            where position > 1
            """
        ).format(incumbent_first=incumbent, **parts)
    ).rowcount


def _hash(rule: Rule, alias: str) -> sql.Composed:
    return sql.SQL("hash_record_extended(row({}), 0)").format(names.columns(rule.unique, alias))
