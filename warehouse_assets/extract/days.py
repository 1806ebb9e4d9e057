"""Which business days a row touches, as SQL over a row of staging or raw. Writing them down belongs to ``state``."""

from dataclasses import dataclass
from datetime import date, timedelta

import psycopg
from psycopg import sql

from warehouse_assets.extract import names
from warehouse_assets.source.contract import Contract, Table

#: An interval is followed this far back and ahead of the extraction's day, in days: a start in the year 1 is a typing
#: error, not two thousand years to rebuild.
REACH_DAYS = 36_525

#: Days outside the calendar of Python and of most clients are typing errors too, and touch nothing.
FIRST_DAY, LAST_DAY = sql.Literal(date.min), sql.Literal(date.max - timedelta(days=1))


@dataclass(frozen=True)
class Calendar:
    """The day and the time zone of an extraction."""

    today: date
    time_zone: str


def business_day(table: Table, column: str, time_zone: str, alias: str | None = None) -> sql.Composed:
    """The business day of a date or timestamptz column, written as models write it."""
    name = sql.Identifier(alias, column) if alias else sql.Identifier(column)
    if table.column(column).data_type == "date":
        return sql.Composed([name])
    return sql.SQL("({} at time zone {})::date").format(name, sql.Literal(time_zone))


def touched(table: Table, alias: str, calendar: Calendar) -> dict[str, sql.Composed]:
    """The days that the row behind ``alias`` touches by itself: ``first`` and, of an interval, ``end``, the day after.

    Empty for a table whose rows touch none. ``first`` is null, or ``end`` not after it, where this row touches none.
    An open interval ends with the calendar's day.
    """
    spec = table.business_date
    if spec is not None and spec.column is not None:
        day = business_day(table, spec.column, calendar.time_zone, alias)
        return {"first": sql.SQL("case when {0} between {1} and {2} then {0} end").format(day, FIRST_DAY, LAST_DAY)}
    if spec is not None and spec.start is not None and spec.end is not None:
        start = business_day(table, spec.start, calendar.time_zone, alias)
        end = business_day(table, spec.end, calendar.time_zone, alias)
        if spec.end_counts:
            end = sql.SQL("({} + 1)").format(end)
        earliest, latest, open_end = (
            sql.Literal(calendar.today + timedelta(days=step)) for step in (-REACH_DAYS, REACH_DAYS, 1)
        )
        return {
            "first": sql.SQL("case when {0} is not null then greatest({0}, {1}) end").format(start, earliest),
            "end": sql.SQL("case when {0} is not null then least(coalesce({1}, {2}), {3}) end").format(
                start, end, open_end, latest
            ),
        }
    return {}


def as_ranges(first: sql.Composable, end: sql.Composable) -> sql.Composed:
    """What ``touched`` found as datemultirange, never null; without an end it is one day."""
    return sql.SQL(
        "case when {0} < coalesce({1}, {0} + 1) then datemultirange(daterange({0}, coalesce({1}, {0} + 1))) "
        "else '{{}}'::datemultirange end"
    ).format(first, end)


def is_interval(table: Table) -> bool:
    """Whether the table's rows touch stretches of days."""
    return table.business_date is not None and table.business_date.start is not None


def days_through(connection: psycopg.Connection, contract: Contract, table: Table, time_zone: str) -> set[date]:
    """The days of the rows of raw.<through> that hold the key of a changed row (pg_temp.extract_changed).

    Empty where the table is not dated through others, or these have not been made.
    """
    spec = table.business_date
    if spec is None or spec.key is None:
        return set()
    return set[date]().union(
        *(_days_holding(connection, contract.table(name), spec.key, time_zone) for name in spec.through)
    )


def _days_holding(connection: psycopg.Connection, through: Table, key: str, time_zone: str) -> set[date]:
    if through.business_date is None or through.business_date.column is None:
        return set()
    exists = connection.execute("select to_regclass(%s) is not null", (names.raw(through.name).as_string(),)).fetchone()
    if not exists or not exists[0]:
        return set()
    rows = connection.execute(
        sql.SQL(
            """
            select distinct {day}
            from {through} as through
            where through.{key}::text in (select key from pg_temp.extract_changed)
                and {day} between {first} and {last}
            """
        ).format(
            day=business_day(through, through.business_date.column, time_zone, "through"),
            through=names.raw(through.name),
            key=sql.Identifier(key),
            first=FIRST_DAY,
            last=LAST_DAY,
        )
    )
    return {day for (day,) in rows}
