"""Whether the source has anything new, without loading it: what sensors and schedules ask before they start a run."""

from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from warehouse_assets.database.connections import connect, connect_to_source
from warehouse_assets.database.databases import resolve
from warehouse_assets.database.errors import explain_error
from warehouse_assets.errors import UserError
from warehouse_assets.extract import names
from warehouse_assets.extract.incremental import is_long_ago
from warehouse_assets.extract.source import source_now
from warehouse_assets.settings import Settings
from warehouse_assets.source.contract import load_contract
from warehouse_assets.source.profiles import FilesProfile, PostgresProfile, open_profile
from warehouse_assets.source.profiles.choice import stored_profile
from warehouse_assets.source.profiles.mapping import describe, map_table

_STATE = """
    select
        source_table, watermark, highest_cursor, extracted_at, select_hash, rows_raw + rows_quarantined > 0,
        reconciled_at
    from etl.table_state
"""


class _Held(NamedTuple):
    """What the warehouse has read of a table."""

    watermark: str | None
    highest_cursor: str | None
    extracted_at: datetime
    select_hash: str | None
    has_rows: bool
    reconciled_at: datetime | None


_NEVER_READ = _Held(None, None, datetime.min.replace(tzinfo=UTC), None, has_rows=False, reconciled_at=None)


def moved_tables(settings: Settings, tables: Collection[str] | None = None) -> dict[str, str] | None:
    """The tables whose source is ahead of the warehouse; None where the warehouse was never filled.

    A database is asked for the latest cursor value of each table, a file for its time of modification. A row dated
    ahead of the source's now, once read, is no news, and hides none. A deleted row moves nothing: a table that follows
    deletions counts as moved when its keys were not compared for a day. A table of which the warehouse holds no row has
    moved if the source has one now. One without a cursor counts as moved whenever the warehouse holds rows of it: only
    reading it can tell, and a change must not wait longer than its schedule. So does one whose SELECT has changed, and
    one that the source cannot compare: the run says why.

    Args:
        settings: name the databases.
        tables: those to ask about; None for all.

    Returns:
        By table in the order of their names, what the source says of it, as far as it can be asked: the same text until
        there is a later row, the first row or none any more, another SELECT, or an answer where there was none.

    Raises:
        UserError: the source cannot be reached.
    """
    databases = resolve(settings)
    with connect(databases.warehouse, application_name="warehouse sensor") as connection:
        stored = stored_profile(connection)
        if stored is None:
            return None
        state = {name: _Held(*held) for name, *held in connection.execute(_STATE)}
    profile = open_profile(*stored, databases.operational)
    try:
        asked = sorted(name for name in profile.tables if tables is None or name in tables)
        if isinstance(profile, PostgresProfile):
            return dict(_tables_ahead(profile, databases.operational, asked, state))
        if isinstance(profile, FilesProfile):
            return dict(_files_ahead(profile, asked, state))
        raise TypeError(f"{profile.name} is a profile of kind {profile.kind}, which cannot be asked for news")
    finally:
        profile.close()


def _files_ahead(
    profile: FilesProfile, tables: Collection[str], state: Mapping[str, _Held]
) -> Iterator[tuple[str, str]]:
    """The tables whose files are ahead of what the warehouse holds, with SELECT and time of modification."""
    begun = datetime.now(UTC)
    for name in tables:
        held, select, modified = state.get(name, _NEVER_READ), profile.fingerprint(name), profile.modified_at(name)
        if select != held.select_hash or modified > held.extracted_at:
            # a server that does not tell counts as changed now, which is another time whenever it is asked
            yield name, f"{select} {modified if modified < begun else 'now'}"


def _tables_ahead(
    profile: PostgresProfile, url: str, tables: Collection[str], state: Mapping[str, _Held]
) -> Iterator[tuple[str, str]]:
    """The tables ahead of what the warehouse holds, each with what the source says of it."""
    # a tick has a minute, of which a locked table shall leave some for the others
    with connect_to_source(url, application_name="warehouse sensor", patience_seconds=20) as connection:
        for name in tables:
            try:
                with explain_error(f"asking the source for news of {name}"), connection.transaction():
                    said = _news(connection, profile, name, state.get(name, _NEVER_READ))
            except UserError:
                if connection.closed:
                    raise
                # the run will say what is wrong with it; other tables do not wait until it is mended
                said = "cannot be asked"
            if said is not None:
                yield name, said


_HAS_ROWS = "select exists (select from ({select}) as source)"
_NEWEST = "select max({cursor})::text, max({cursor}) > {mark}::{type} from ({select}) as source"
# Where rows dated ahead of now have been read: one further ahead, or one dated between the watermark and now.
_NEWEST_OF_SOME = """
    select concat_ws(' ', newest, newest_by_now), newest > {highest}::{type} or newest_by_now > {mark}::{type}
    from (
        select
            max({cursor}) as newest,
            (
                select max({cursor})
                from ({select}) as source
                where {cursor} <= ({now}::timestamptz)::{type}
            ) as newest_by_now
        from ({select}) as source
    ) as asked
"""


def _news(connection: psycopg.Connection, profile: PostgresProfile, name: str, held: _Held) -> str | None:
    """What the source says of a table that is ahead: its SELECT and its newest row; None where there is no news."""
    table = load_contract().table(name)
    mapped = map_table(profile, table, describe(connection, profile, name))
    cursor = table.cursor if mapped.has_cursor else None
    newest: object = None
    if cursor is None or not held.has_rows:
        newest = _asked(connection, sql.SQL(_HAS_ROWS).format(select=mapped.query))[0]
        if not (newest or held.has_rows):
            return None
    if cursor is not None:
        is_due = table.delete_policy == "reconcile" and is_long_ago(held.reconciled_at)
        is_comparable = held.has_rows and mapped.fingerprint == held.select_hash and not is_due
        mark = held.watermark if is_comparable else None
        is_any_ahead = mark is not None and held.highest_cursor not in (None, mark)
        query = sql.SQL(_NEWEST_OF_SOME if is_any_ahead else _NEWEST).format(
            cursor=sql.Identifier(cursor),
            mark=sql.Literal(mark),
            highest=sql.Literal(held.highest_cursor),
            now=sql.Literal(source_now(connection) if is_any_ahead else None),
            type=names.type_of(table.column(cursor)),
            select=mapped.query,
        )
        newest, is_later = _asked(connection, query)
        if mark is not None and not is_later:
            return None
    return f"{mapped.fingerprint} {newest}"


def _asked(connection: psycopg.Connection, query: sql.Composed) -> tuple[Any, ...]:
    # Composed, without parameters: the profile's SQL may hold a per cent sign.
    row = connection.execute(query).fetchone()
    assert row is not None  # noqa: S101  aggregates and selects without from have one row
    return row
