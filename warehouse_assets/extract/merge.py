"""Staging into raw: only rows that differ are written, and the days they touch before and after are gathered.

``pg_temp.extract_changed`` holds one row per changed raw row with its days; ``record`` writes them down. Judging rows
belongs to ``rules``, reading them to ``source``.
"""

from dataclasses import dataclass
from datetime import date

import psycopg
from psycopg import sql

from warehouse_assets.extract import names
from warehouse_assets.extract.days import NOTHING, business_day, is_interval, touched
from warehouse_assets.source.contract import Table


@dataclass(frozen=True)
class Calendar:
    """The day and the time zone of an extraction."""

    today: date
    time_zone: str


@dataclass
class Difference:
    """How many rows of staging differ from raw: new to raw, live in raw with other values, marked deleted in raw."""

    inserted: int = 0
    updated: int = 0
    revived: int = 0

    @property
    def rows(self) -> int:
        """All rows to write."""
        return self.inserted + self.updated + self.revived


def create_staging(connection: psycopg.Connection, table: Table) -> None:
    """Make staging anew: the contracted columns and ``_flags``, no constraint."""
    connection.execute(sql.SQL("drop table if exists {}").format(names.STAGING))
    connection.execute(
        sql.SQL("create temporary table extract_staging ({}, _flags text[]) on commit drop").format(
            names.definitions(table)
        )
    )


def has_duplicate_keys(connection: psycopg.Connection, table: Table) -> bool:
    """Tell whether two rows of staging share a key that is not null."""
    row = connection.execute(
        sql.SQL("select exists (select from {} where {} group by {} having count(*) > 1)").format(
            names.STAGING, names.all_present(table.primary_key), names.columns(table.primary_key)
        )
    ).fetchone()
    return bool(row and row[0])


def merge_staging(connection: psycopg.Connection, table: Table, calendar: Calendar, batch_id: int) -> Difference:
    """Write the rows of staging that raw lacks or has otherwise, as batch ``batch_id``; return their numbers.

    One statement looks each row up once: what differs is merged while its page is at hand, and noted with its days
    in pg_temp.extract_changed.
    """
    contracted = table.column_names
    spec = table.business_date
    if spec is not None and is_interval(table):
        others = [name for name in contracted if name not in (spec.start, spec.end, table.cursor)] + ["_flags"]
        others_differ = sql.SQL("({}) is distinct from ({})").format(_row(others, "fresh"), _row(others, "present"))
    else:
        others_differ = sql.Composed([sql.SQL("true")])
    connection.execute(
        sql.SQL(
            """
            with differing as materialized (
                select
                    fresh.*,
                    present.ctid as "target id",
                    present._deleted_at is null and present.ctid is not null as "was live",
                    {others_differ} as "others differ",
                    case when present._deleted_at is null then {old_days} else {nothing} end as "old days",
                    {new_days} as "new days"
                from {staging} as fresh
                left join {raw} as present on {same}
                where present.ctid is null
                    or present._deleted_at is not null
                    or ({new}) is distinct from ({old})
            ),

            noted as (
                insert into pg_temp.extract_changed
                    (key, is_new, was_live, is_written, others_differ, old_days, new_days)
                select
                    {key}::text, "target id" is null, "was live", true, "others differ", "old days", "new days"
                from differing
            )

            merge into {raw} as target
            using differing as fresh on target.ctid = fresh."target id"
            when matched then update set
                {assignments},
                _batch_id = {batch_id},
                _extracted_at = now(),
                _deleted_at = null
            when not matched then
                insert ({columns}, _flags, _batch_id, _extracted_at)
                values ({values}, fresh._flags, {batch_id}, now())
            """
        ).format(
            others_differ=others_differ,
            old_days=touched(table, "present", calendar.today, calendar.time_zone),
            new_days=touched(table, "fresh", calendar.today, calendar.time_zone),
            nothing=NOTHING,
            staging=names.STAGING,
            raw=names.raw(table.name),
            same=names.same(table.primary_key, "fresh", "present"),
            new=_row([*contracted, "_flags"], "fresh"),
            old=_row([*contracted, "_flags"], "present"),
            key=sql.Identifier(table.primary_key[0]),
            assignments=sql.SQL(", ").join(
                sql.SQL("{0} = fresh.{0}").format(sql.Identifier(name)) for name in (*contracted, "_flags")
            ),
            batch_id=sql.Literal(batch_id),
            columns=names.columns(contracted),
            values=names.columns(contracted, "fresh"),
        )
    )
    row = connection.execute(
        """
        select
            count(*) filter (where is_new),
            count(*) filter (where was_live),
            count(*) filter (where not is_new and not was_live)
        from pg_temp.extract_changed
        where is_written
        """
    ).fetchone()
    assert row is not None  # noqa: S101  an aggregate has one row
    return Difference(*row)


def _row(columns: list[str], alias: str) -> sql.Composed:
    return sql.SQL("row({})").format(names.columns(columns, alias))


def remove_rejected(connection: psycopg.Connection, table: Table, calendar: Calendar) -> int:
    """Take out of raw the rows whose new version was set aside; return how many live ones went.

    Their days are noted. A key of which another row remains in staging keeps its row.
    """
    same = sql.SQL(" and ").join(
        sql.SQL("present.{} = rejected.key[{}]::{}").format(
            sql.Identifier(name), i + 1, names.type_of(table.column(name))
        )
        for i, name in enumerate(table.primary_key)
    )
    return _note_gone(
        connection,
        table,
        calendar,
        sql.SQL(
            """
            delete from {raw} as present
            using (select distinct key from pg_temp.extract_rejected) as rejected
            where {same} and not exists (select from {staging} as fresh where {staged})
            """
        ).format(
            raw=names.raw(table.name),
            same=same,
            staging=names.STAGING,
            staged=names.same(table.primary_key, "fresh", "present"),
        ),
        sql.SQL("present._deleted_at is null"),
    )


def mark_deleted(
    connection: psycopg.Connection, table: Table, calendar: Calendar, keys: sql.Composable, batch_id: int
) -> int:
    """Mark the live rows of raw whose key is not in the relation ``keys``; return how many. Their days are noted."""
    return _note_gone(
        connection,
        table,
        calendar,
        sql.SQL(
            """
            update {raw} as present
            set _deleted_at = now(), _batch_id = {batch_id}, _extracted_at = now()
            where present._deleted_at is null and not exists (select from {keys} as source where {same})
            """
        ).format(
            raw=names.raw(table.name),
            batch_id=sql.Literal(batch_id),
            keys=keys,
            same=names.same(table.primary_key, "source", "present"),
        ),
        sql.SQL("true"),
    )


def _note_gone(
    connection: psycopg.Connection, table: Table, calendar: Calendar, statement: sql.Composed, was_live: sql.SQL
) -> int:
    """Run a delete or update of raw (alias present) and note the days of the rows that were live; return these."""
    return connection.execute(
        sql.SQL(
            """
            with gone as (
                {statement}
                returning {key}::text as key, {was_live} as was_live, {days} as days
            )
            insert into pg_temp.extract_changed
                (key, is_new, was_live, is_written, others_differ, old_days, new_days)
            select key, false, true, false, true, days, '{{}}'
            from gone
            where was_live
            """
        ).format(
            statement=statement,
            key=sql.Identifier("present", table.primary_key[0]),
            was_live=was_live,
            days=touched(table, "present", calendar.today, calendar.time_zone),
        )
    ).rowcount


def changed_days(connection: psycopg.Connection) -> set[date]:
    """The days of the changed rows: before and after; of an interval alone that moved, those on one side only."""
    rows = connection.execute(
        """
        select lower(stretch) + generate_series(0, upper(stretch) - lower(stretch) - 1)
        from (
            select unnest(range_agg(
                case when others_differ then old_days + new_days else (old_days + new_days) - (old_days * new_days) end
            )) as stretch
            from (select distinct others_differ, old_days, new_days from pg_temp.extract_changed) as distinct_days
        ) as stretches
        """
    )
    return {day for (day,) in rows}


def latest_day(
    connection: psycopg.Connection, table: Table, calendar: Calendar, before: date | None
) -> date | None:
    """The latest business day of a live row, not after today, given what it was before this batch."""
    spec = table.business_date
    if spec is None or spec.column is None:
        return None
    day = business_day(table, spec.column, calendar.time_zone)
    row = connection.execute(
        """
        select
            max(upper(new_days) - 1) filter (where upper(new_days) - 1 <= %(today)s),
            coalesce(bool_or(old_days <> new_days and upper(old_days) - 1 = %(before)s), false)
        from pg_temp.extract_changed
        """,
        {"today": calendar.today, "before": before},
    ).fetchone()
    found, has_left = row if row else (None, False)
    if before is not None and has_left and (found is None or found < before):
        row = connection.execute(
            sql.SQL("select max({day}) from {raw} where {day} <= {today} and _deleted_at is null").format(
                day=day, raw=names.raw(table.name), today=sql.Literal(calendar.today)
            )
        ).fetchone()
        return row[0] if row else None
    return max((candidate for candidate in (found, before) if candidate is not None), default=None)


def count_live(connection: psycopg.Connection, table: Table) -> int:
    """Rows of raw that are not marked deleted."""
    row = connection.execute(
        sql.SQL("select count(*) from {} where _deleted_at is null").format(names.raw(table.name))
    ).fetchone()
    return int(row[0]) if row else 0
