"""Staging into raw: only rows that differ are written, and the days they touch before and after are gathered.

``pg_temp.extract_changed`` gathers changed raw rows by the days they touch; ``state`` writes them down. Judging rows
belongs to ``rules``, reading them to ``source``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import psycopg
from psycopg import sql

from warehouse_assets.extract import names
from warehouse_assets.extract.days import Calendar, as_ranges, business_day, is_interval, touched
from warehouse_assets.source.contract import Table


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

    One statement looks each row up once, and notes what it wrote with its days in pg_temp.extract_changed. From
    PostgreSQL 18 on MERGE itself tells what a row was before; earlier, the rows that differ pass through a
    materialized query first, which costs half as much again (0.41 s instead of 0.27 s of processor for 50,000 rows).
    """
    tells_old = connection.info.server_version >= 180000
    before = "old" if tells_old else "present"
    notes = _notes(table, calendar, before)
    contracted = table.column_names
    statement = sql.SQL(_MERGE_TELLING_OLD if tells_old else _MERGE_OF_DIFFERING).format(
        notes=_as_noted(notes),
        noted=names.columns(f"noted {name}" for name in notes),
        into=names.columns(notes),
        staging=names.STAGING,
        raw=names.raw(table.name),
        same=names.same(table.primary_key, "fresh", "present"),
        new=_row([*contracted, "_flags"], "fresh"),
        present=_row([*contracted, "_flags"], "present"),
        assignments=sql.SQL(", ").join(
            sql.SQL("{0} = fresh.{0}").format(sql.Identifier(name)) for name in (*contracted, "_flags")
        ),
        batch_id=sql.Literal(batch_id),
        columns=names.columns(contracted),
        values=names.columns(contracted, "fresh"),
    )
    connection.execute(statement)
    row = connection.execute(
        """
        select
            coalesce(sum(rows) filter (where is_new), 0)::bigint,
            coalesce(sum(rows) filter (where was_live), 0)::bigint,
            coalesce(sum(rows) filter (where not is_new and not was_live), 0)::bigint
        from pg_temp.extract_changed
        where is_written
        """
    ).fetchone()
    assert row is not None  # noqa: S101  an aggregate has one row
    return Difference(*row)


_MERGE_TELLING_OLD = """
    with written as (
        merge into {raw} as present
        using {staging} as fresh on {same}
        when matched and (present._deleted_at is not null or ({new}) is distinct from ({present})) then update set
            {assignments},
            _batch_id = {batch_id},
            _extracted_at = now(),
            _deleted_at = null
        when not matched then
            insert ({columns}, _flags, _batch_id, _extracted_at)
            values ({values}, fresh._flags, {batch_id}, now())
        returning {notes}
    )

    insert into pg_temp.extract_changed (is_written, rows, {into})
    select true, count(*), {noted}
    from written
    group by {noted}
"""

_MERGE_OF_DIFFERING = """
    with differing as materialized (
        select
            fresh.*,
            present.ctid as "target id",
            {notes}
        from {staging} as fresh
        left join {raw} as present on {same}
        where present.ctid is null
            or present._deleted_at is not null
            or ({new}) is distinct from ({present})
    ),

    noted as (
        insert into pg_temp.extract_changed (is_written, rows, {into})
        select true, count(*), {noted}
        from differing
        group by {noted}
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


def _notes(table: Table, calendar: Calendar, before: str) -> dict[str, sql.Composed]:
    """What is noted of a changed row, fresh, and of what it was: those columns of extract_changed that say something.

    Each of them costs its share of every row that is written.
    """
    notes = {
        "is_new": sql.SQL("{}.ctid is null").format(sql.Identifier(before)),
        "was_live": sql.SQL("{0}.ctid is not null and {0}._deleted_at is null").format(sql.Identifier(before)),
    }
    if key := _key(table, "fresh", before):
        notes["key"] = key
    if is_interval(table):
        notes["others_differ"] = _others_differ(table, before)
    for name, day in touched(table, before, calendar).items():
        notes[f"old_{name}"] = sql.SQL("case when {}._deleted_at is null then {} end").format(
            sql.Identifier(before), day
        )
    for name, day in touched(table, "fresh", calendar).items():
        notes[f"new_{name}"] = day
    return notes


def _as_noted(notes: Mapping[str, sql.Composable]) -> sql.Composed:
    """The notes under names that no contracted column bears."""
    return sql.SQL(", ").join(
        sql.SQL("{} as {}").format(note, sql.Identifier(f"noted {name}")) for name, note in notes.items()
    )


def _others_differ(table: Table, before: str) -> sql.Composed:
    """Whether columns beside the interval's own bounds (and the cursor) differ."""
    assert table.business_date is not None  # noqa: S101  an interval has one
    shape = (table.business_date.start, table.business_date.end, table.cursor)
    others = [*(name for name in table.column_names if name not in shape), "_flags"]
    return sql.SQL("({}) is distinct from ({})").format(_row(others, "fresh"), _row(others, before))


def _key(table: Table, alias: str, before: str | None = None) -> sql.Composed | None:
    """The key to note of a changed row; None where its days are not found through another table.

    ``before`` is the alias of the row it was; a change that leaves what facts take of it is not noted.
    """
    spec = table.business_date
    if spec is None or not spec.through:
        return None
    key = sql.SQL("{}::text").format(sql.Identifier(alias, table.primary_key[0]))
    if before is None or not spec.taken:
        return key
    taken = list(spec.taken)
    return sql.SQL("case when {before}._deleted_at is not null or {new} is distinct from {old} then {key} end").format(
        before=sql.Identifier(before), new=_row(taken, alias), old=_row(taken, before), key=key
    )


def _row(columns: list[str], alias: str) -> sql.Composed:
    return sql.SQL("row({})").format(names.columns(columns, alias))


def remove_rejected(connection: psycopg.Connection, table: Table, calendar: Calendar) -> int:
    """Take out of raw the rows whose new version was set aside; return how many live ones went.

    Their days are noted. A key of which another row remains in staging keeps its row.
    """
    # compared as text: the key of a row that could not be read need not be of the column's type
    same = sql.SQL(" and ").join(
        sql.SQL("present.{}{} = rejected.key[{}]").format(
            sql.Identifier(name), sql.SQL("" if table.column(name).data_type == "text" else "::text"), i + 1
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


def has_moved(connection: psycopg.Connection, table: Table, keys: sql.Composable) -> bool:
    """Tell whether a live row of raw has another cursor than its key has in the relation ``keys``."""
    assert table.cursor is not None  # noqa: S101  keys are only read of tables that are read by their cursor
    row = connection.execute(
        sql.SQL(
            """
            select exists (
                select
                from {raw} as present
                inner join {keys} as source on {same} and present.{cursor} is distinct from source.{cursor}
                where present._deleted_at is null
            )
            """
        ).format(
            raw=names.raw(table.name),
            keys=keys,
            same=names.same(table.primary_key, "source", "present"),
            cursor=sql.Identifier(table.cursor),
        )
    ).fetchone()
    return bool(row and row[0])


def _note_gone(
    connection: psycopg.Connection, table: Table, calendar: Calendar, statement: sql.Composed, was_live: sql.SQL
) -> int:
    """Run a delete or update of raw (alias present) and note the days of its rows; return how many were live."""
    notes: dict[str, sql.Composable] = {"was_live": was_live}
    for name, day in touched(table, "present", calendar).items():
        notes[f"old_{name}"] = day
    if key := _key(table, "present"):
        notes["key"] = key
    row = connection.execute(
        sql.SQL(
            """
            with gone as (
                {statement}
                returning {notes}
            ),

            noted as (
                insert into pg_temp.extract_changed (is_new, is_written, rows, {into})
                select false, false, count(*), {noted}
                from gone
                where "noted was_live"
                group by {noted}
                returning rows
            )

            select coalesce(sum(rows), 0)::bigint
            from noted
            """
        ).format(
            statement=statement,
            notes=_as_noted(notes),
            noted=names.columns(f"noted {name}" for name in notes),
            into=names.columns(notes),
        )
    ).fetchone()
    return int(row[0]) if row else 0


def changed_days(connection: psycopg.Connection) -> set[date]:
    """The days of the changed rows: before and after; of an interval alone that moved, those on one side only."""
    rows = connection.execute(
        sql.SQL(
            """
            select lower(stretch) + generate_series(0, upper(stretch) - lower(stretch) - 1)
            from (
                select unnest(range_agg(
                    case when others_differ then old + new else (old + new) - (old * new) end
                )) as stretch
                from (
                    select distinct others_differ, {old} as old, {new} as new
                    from pg_temp.extract_changed
                ) as distinct_days
            ) as stretches
            """
        ).format(
            old=as_ranges(sql.Identifier("old_first"), sql.Identifier("old_end")),
            new=as_ranges(sql.Identifier("new_first"), sql.Identifier("new_end")),
        )
    )
    return {day for (day,) in rows}


def latest_day(connection: psycopg.Connection, table: Table, calendar: Calendar, before: date | None) -> date | None:
    """The latest business day of a live row, not after today, given what it was before this batch."""
    spec = table.business_date
    if spec is None or spec.column is None:
        return None
    row = connection.execute(
        """
        select
            max(new_first) filter (where new_first <= %(today)s),
            coalesce(bool_or(old_first = %(before)s and new_first is distinct from old_first), false)
        from pg_temp.extract_changed
        """,
        {"today": calendar.today, "before": before},
    ).fetchone()
    found, has_left = row if row else (None, False)
    if before is not None and has_left and (found is None or found < before):
        row = connection.execute(
            sql.SQL("select max({day}) from {raw} where {day} <= {today} and _deleted_at is null").format(
                day=business_day(table, spec.column, calendar.time_zone),
                raw=names.raw(table.name),
                today=sql.Literal(calendar.today),
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
