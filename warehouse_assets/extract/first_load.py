"""The first load of a table: rows go straight into raw, keys and indexes are built after them.

Truncated in this transaction, the table's pages skip the write-ahead log where wal_level is minimal. Judging rows
belongs to ``rules``; later loads to ``merge``.
"""

from dataclasses import dataclass
from datetime import date

import psycopg
from psycopg import sql

from warehouse_assets.database.copy import CopyCount
from warehouse_assets.extract import ddl, names, rules
from warehouse_assets.extract.days import FIRST_DAY, LAST_DAY, Calendar, as_ranges, business_day, touched
from warehouse_assets.extract.source import OnRows, Session
from warehouse_assets.source.contract import Table


@dataclass(frozen=True)
class Loaded:
    """What stands in raw after the load."""

    rows: int
    watermark: str | None
    days: set[date]
    latest_day: date | None


def is_empty(connection: psycopg.Connection, table: Table) -> bool:
    """Tell whether raw and quarantine of the table hold no row at all."""
    row = connection.execute(
        sql.SQL("select not exists (select from {}) and not exists (select from {})").format(
            names.raw(table.name), names.quarantine(table.name)
        )
    ).fetchone()
    return bool(row and row[0])


def copy_into_raw(
    connection: psycopg.Connection, table: Table, session: Session, batch_id: int, on_rows: OnRows | None
) -> CopyCount:
    """Copy all rows of the source into the empty raw table, as batch ``batch_id``, without key and indexes."""
    target = names.raw(table.name)
    ddl.drop_keys(connection, table)
    connection.execute(
        sql.SQL(
            "truncate {0}; alter table {0} alter column _batch_id set default {1}, "
            "alter column _extracted_at set default now()"
        ).format(target, sql.Literal(batch_id))
    )
    copied = session.copy_rows(table, connection, target, None, on_rows)
    connection.execute(
        sql.SQL("alter table {0} alter column _batch_id drop default, alter column _extracted_at drop default").format(
            target
        )
    )
    return copied


def judge(connection: psycopg.Connection, table: Table) -> int:
    """Apply the contract's rules to the loaded rows and build the primary key; return the rows set aside."""
    target = names.raw(table.name)
    rejected = rules.apply_rules(connection, table, target)
    try:
        with connection.transaction():
            ddl.add_primary_key(connection, table)
    except psycopg.errors.UniqueViolation:
        rejected += rules.reject_duplicate_keys(connection, table, target)
        ddl.add_primary_key(connection, table)
    return rejected + rules.apply_unique_rules(connection, table, target, against_raw=False)


def survey(connection: psycopg.Connection, table: Table, calendar: Calendar) -> Loaded:
    """Count the rows, their days and the highest cursor in one scan."""
    target = names.raw(table.name)
    cursor = sql.SQL("max({})").format(sql.Identifier(table.cursor)) if table.cursor else sql.SQL("null::text")
    spec = table.business_date
    dated = spec is not None and spec.column is not None
    day = business_day(table, spec.column, calendar.time_zone) if spec and spec.column else sql.SQL("null::date")
    row = connection.execute(
        sql.SQL(
            """
            select
                coalesce(sum(rows), 0)::bigint,
                max(latest)::text,
                coalesce(array_agg(day) filter (where day between {first} and {last}), '{{}}'),
                max(day) filter (where day <= {today})
            from (
                select {day} as day, count(*) as rows, {cursor} as latest
                from {target}
                group by 1
            ) as days
            """
        ).format(
            first=FIRST_DAY,
            last=LAST_DAY,
            today=sql.Literal(calendar.today),
            day=day,
            cursor=cursor,
            target=target,
        )
    ).fetchone()
    assert row is not None  # noqa: S101  an aggregate has one row
    rows, watermark, days, latest = row
    return Loaded(rows, watermark, set(days) if dated else _interval_days(connection, table, calendar), latest)


def _interval_days(connection: psycopg.Connection, table: Table, calendar: Calendar) -> set[date]:
    if table.business_date is None or table.business_date.start is None:
        return set()
    rows = connection.execute(
        sql.SQL(
            """
            select lower(stretch) + generate_series(0, upper(stretch) - lower(stretch) - 1)
            from (
                select unnest(range_agg(days)) as stretch
                from (select distinct {days} as days from {raw} as rows) as distinct_days
            ) as stretches
            """
        ).format(
            days=as_ranges(**touched(table, "rows", calendar)),
            raw=names.raw(table.name),
        )
    )
    return {day for (day,) in rows}
