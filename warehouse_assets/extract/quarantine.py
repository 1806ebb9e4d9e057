"""Quarantine: brought in step with the rows that a reading has set aside. Which rows these are belongs to ``rules``."""

import psycopg
from psycopg import sql

from warehouse_assets.extract import names
from warehouse_assets.extract.record import TableState
from warehouse_assets.source.contract import Table


def _is_batch_key(table: Table) -> sql.Composed:
    """Whether a quarantined row (alias ``kept``) was read again: its key is in the batch, or it has none."""
    typed = sql.SQL(", ").join(
        sql.SQL("{}::text").format(sql.Identifier("staging", name)) for name in table.primary_key
    )
    kept = names.columns(table.primary_key, "kept")
    return sql.SQL(
        "not ({present}) or ({kept}) in (select {typed} from {staging} as staging) "
        "or array[{kept}] in (select key from pg_temp.extract_rejected)"
    ).format(present=names.all_present(table.primary_key, "kept"), kept=kept, typed=typed, staging=names.STAGING)


def synchronize(connection: psycopg.Connection, table: Table, batch_id: int, *, is_complete: bool) -> tuple[int, int]:
    """Let go of rows that are no longer rejected and take in those that newly are; return (taken in, let go).

    A row rejected again for the same reasons stays as it is, with its first batch and time.

    Args:
        connection: a connection to the warehouse, pg_temp.extract_rejected filled.
        table: the table.
        batch_id: batch of the rows taken in.
        is_complete: whether the source was read whole; else only the keys of the batch are judged.
    """
    scope = sql.SQL("true") if is_complete else _is_batch_key(table)
    row = connection.execute(
        sql.SQL(
            """
            with present as (
                select
                    kept.quarantine_id,
                    kept.rules,
                    kept.row,
                    row_number() over (partition by kept.rules, kept.row order by kept.quarantine_id) as position
                from {quarantine} as kept
                where {scope}
            ),

            fresh as (
                select key, rules, row, row_number() over (partition by rules, row order by key) as position
                from pg_temp.extract_rejected
            ),

            let_go as (
                delete from {quarantine}
                where quarantine_id in (
                    select quarantine_id
                    from present
                    left join fresh using (rules, row, position)
                    where fresh.key is null
                )
                returning quarantine_id
            ),

            taken_in as (
                insert into {quarantine} (batch_id, rule, rules, {keys}, row)
                select {batch_id}, rules[1], rules, {values}, row
                from fresh
                left join present using (rules, row, position)
                where present.quarantine_id is null
                returning quarantine_id
            )

            select (select count(*) from taken_in), (select count(*) from let_go)
            """
        ).format(
            quarantine=names.quarantine(table.name),
            scope=scope,
            keys=names.columns(table.primary_key),
            values=sql.SQL(", ").join(sql.SQL("key[{}]").format(i + 1) for i in range(len(table.primary_key))),
            batch_id=batch_id,
        )
    ).fetchone()
    assert row is not None  # noqa: S101  a select without from has one row
    return int(row[0]), int(row[1])


def release_absent(connection: psycopg.Connection, table: Table) -> int:
    """Let go of rows whose key the source no longer has (pg_temp.extract_source_keys); return how many."""
    typed = sql.SQL(" and ").join(
        sql.SQL("source.{0}::text = kept.{0}").format(sql.Identifier(name)) for name in table.primary_key
    )
    return connection.execute(
        sql.SQL(
            """
            delete from {quarantine} as kept
            where {has_key} and not exists (select from {keys} as source where {typed})
            """
        ).format(
            quarantine=names.quarantine(table.name),
            has_key=names.all_present(table.primary_key, "kept"),
            keys=names.SOURCE_KEYS,
            typed=typed,
        )
    ).rowcount


def stage_repeats(connection: psycopg.Connection, table: Table) -> int:
    """Put into staging, emptied before, the quarantined rows that only repeat another row; return how many."""
    connection.execute(sql.SQL("truncate {}").format(names.STAGING))
    unique = [rule.name for rule in table.rules if rule.unique]
    return connection.execute(
        sql.SQL(
            """
            insert into {staging} ({columns})
            select {values}
            from {quarantine} as kept
            cross join lateral jsonb_populate_record(null::{staging}, kept.row) as stored
            where kept.rules <@ {unique}::text[]
            """
        ).format(
            staging=names.STAGING,
            columns=names.columns(table.column_names),
            values=names.columns(table.column_names, "stored"),
            quarantine=names.quarantine(table.name),
            unique=sql.Literal(unique),
        )
    ).rowcount


def release_staged(connection: psycopg.Connection, table: Table) -> int:
    """Let go of the repeating rows whose key is in staging: they have been merged; return how many."""
    unique = [rule.name for rule in table.rules if rule.unique]
    typed = sql.SQL(" and ").join(
        sql.SQL("staging.{0}::text = kept.{0}").format(sql.Identifier(name)) for name in table.primary_key
    )
    return connection.execute(
        sql.SQL(
            """
            delete from {quarantine} as kept
            using {staging} as staging
            where {typed} and kept.rules <@ {unique}::text[]
            """
        ).format(
            quarantine=names.quarantine(table.name), staging=names.STAGING, typed=typed, unique=sql.Literal(unique)
        )
    ).rowcount


def rules_broken(connection: psycopg.Connection, table: Table, state: TableState | None) -> set[str]:
    """The rules that rows in quarantine break."""
    if state is not None and not state.rows_quarantined:
        return set()
    rows = connection.execute(
        sql.SQL("select distinct unnest(rules) from {}").format(names.quarantine(table.name))
    ).fetchall()
    return {name for (name,) in rows}


def count(connection: psycopg.Connection, table: Table) -> int:
    """Rows in quarantine."""
    row = connection.execute(sql.SQL("select count(*) from {}").format(names.quarantine(table.name))).fetchone()
    return int(row[0]) if row else 0
