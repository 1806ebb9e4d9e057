"""Staging into raw: only rows that differ are written, and the days they touch before and after are gathered.

``pg_temp.extract_changed`` holds one row per changed raw row with its days; ``record`` writes them down. Judging rows
belongs to ``rules``, reading them to ``source``.
"""

from dataclasses import dataclass
from datetime import date

import psycopg
from psycopg import sql

from warehouse_assets.extract import names
from warehouse_assets.extract.days import as_ranges, business_day, is_interval, touched
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

    One statement looks each row up once, and notes what it wrote with its days in pg_temp.extract_changed. From
    PostgreSQL 18 on MERGE itself tells what a row was before; earlier, the rows that differ pass through a
    materialized query first, which costs half as much again (0.41 s instead of 0.27 s of processor for 50,000 rows).
    """
    tells_old = connection.info.server_version >= 180000
    before = "old" if tells_old else "present"
    old_first, old_end = touched(table, before, calendar.today, calendar.time_zone)
    new_first, new_end = touched(table, "fresh", calendar.today, calendar.time_zone)
    contracted = table.column_names
    statement = sql.SQL(_MERGE_TELLING_OLD if tells_old else _MERGE_OF_DIFFERING).format(
        others_differ=_others_differ(table, before),
        old_first=old_first,
        old_end=old_end,
        new_first=new_first,
        new_end=new_end,
        staging=names.STAGING,
        raw=names.raw(table.name),
        same=names.same(table.primary_key, "fresh", "present"),
        new=_row([*contracted, "_flags"], "fresh"),
        present=_row([*contracted, "_flags"], "present"),
        key=_key(table, "fresh", before),
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
        returning
            {key} as key,
            old.ctid is null as is_new,
            old.ctid is not null and old._deleted_at is null as was_live,
            {others_differ} as others_differ,
            case when old._deleted_at is null then {old_first} end as old_first,
            {old_end} as old_end,
            {new_first} as new_first,
            {new_end} as new_end
    )

    insert into pg_temp.extract_changed (
        key, is_new, was_live, is_written, others_differ, old_first, old_end, new_first, new_end, rows
    )
    select key, is_new, was_live, true, others_differ, old_first, old_end, new_first, new_end, count(*)
    from written
    group by 1, 2, 3, 5, 6, 7, 8, 9
"""

_MERGE_OF_DIFFERING = """
    with differing as materialized (
        select
            fresh.*,
            present.ctid as "target id",
            present.ctid is not null and present._deleted_at is null as "was live",
            {others_differ} as "others differ",
            case when present._deleted_at is null then {old_first} end as "old first",
            {old_end} as "old end",
            {new_first} as "new first",
            {new_end} as "new end"
        from {staging} as fresh
        left join {raw} as present on {same}
        where present.ctid is null
            or present._deleted_at is not null
            or ({new}) is distinct from ({present})
    ),

    noted as (
        insert into pg_temp.extract_changed (
            key, is_new, was_live, is_written, others_differ, old_first, old_end, new_first, new_end, rows
        )
        select
            {key}, "target id" is null, "was live", true, "others differ",
            "old first", "old end", "new first", "new end", count(*)
        from differing as fresh
        group by 1, 2, 3, 5, 6, 7, 8, 9
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


def _others_differ(table: Table, before: str) -> sql.Composed:
    """Whether columns beside the interval's own bounds (and the cursor) differ; always so without an interval."""
    spec = table.business_date
    if spec is None or not is_interval(table):
        return sql.Composed([sql.SQL("true")])
    shape = (spec.start, spec.end, table.cursor)
    others = [*(name for name in table.column_names if name not in shape), "_flags"]
    return sql.SQL("({}) is distinct from ({})").format(_row(others, "fresh"), _row(others, before))


def _key(table: Table, alias: str, before: str | None = None) -> sql.Composed:
    """The key to note of a changed row: needed only where its days are found through another table.

    ``before`` is the alias of the row it was; a change that leaves what facts take of it is not noted.
    """
    spec = table.business_date
    if spec is None or not spec.through:
        return sql.Composed([sql.SQL("null::text")])
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


def _note_gone(
    connection: psycopg.Connection, table: Table, calendar: Calendar, statement: sql.Composed, was_live: sql.SQL
) -> int:
    """Run a delete or update of raw (alias present) and note the days of the rows that were live; return these."""
    first, end = touched(table, "present", calendar.today, calendar.time_zone)
    row = connection.execute(
        sql.SQL(
            """
            with gone as (
                {statement}
                returning {key} as key, {was_live} as was_live, {first} as first, {end} as end_
            ),

            noted as (
                insert into pg_temp.extract_changed
                    (key, is_new, was_live, is_written, others_differ, old_first, old_end, rows)
                select key, false, true, false, true, first, end_, count(*)
                from gone
                where was_live
                group by 1, 6, 7
                returning rows
            )

            select coalesce(sum(rows), 0)::bigint
            from noted
            """
        ).format(statement=statement, key=_key(table, "present"), was_live=was_live, first=first, end=end)
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
