"""Whether the source has anything new, without loading it: what sensors and schedules ask before they start a run."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import NamedTuple

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


def moved_tables(settings: Settings) -> list[str] | None:
    """The tables whose source is ahead of the warehouse; None where the warehouse was never filled.

    A database is asked for the latest cursor value of each table, a file for its time of modification. A row dated
    ahead of the source's now, once read, is no news, and hides none. A deleted row moves nothing: a table that follows
    deletions counts as moved when its keys were not compared for a day. A table of which the warehouse holds no row has
    moved if the source has one now. One without a cursor counts as moved whenever the warehouse holds rows of it: only
    reading it can tell, and a change must not wait longer than its schedule. So does one whose SELECT has changed, and
    one that the source cannot compare: the run says why.

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
        if isinstance(profile, PostgresProfile):
            return list(_tables_ahead(profile, databases.operational, state))
        if isinstance(profile, FilesProfile):
            return [
                name
                for name in sorted(profile.tables)
                if name not in state
                or profile.fingerprint(name) != state[name].select_hash
                or profile.modified_at(name) > state[name].extracted_at
            ]
        raise TypeError(f"{profile.name} is a profile of kind {profile.kind}, which cannot be asked for news")
    finally:
        profile.close()


def _tables_ahead(profile: PostgresProfile, url: str, state: Mapping[str, _Held]) -> Iterator[str]:
    """The tables ahead of what the warehouse holds."""
    with connect_to_source(url, application_name="warehouse sensor") as connection:
        for name in sorted(profile.tables):
            try:
                with explain_error(f"asking the source for news of {name}"), connection.transaction():
                    is_ahead = _is_ahead(connection, profile, name, state.get(name))
            except UserError:
                if connection.closed:
                    raise
                is_ahead = True  # the run will say what is wrong with it; other tables do not wait until it is mended
            if is_ahead:
                yield name


_AHEAD = "select max({cursor}) > {mark}::{type} from ({select}) as source"
# Where rows dated ahead of now have been read: one further ahead, or one dated between the watermark and now.
_AHEAD_OF_SOME = """
    select max({cursor}) > {highest}::{type} or exists (
        select
        from ({select}) as source
        where {cursor} > {mark}::{type} and {cursor} <= ({now}::timestamptz)::{type}
    )
    from ({select}) as source
"""


def _is_ahead(connection: psycopg.Connection, profile: PostgresProfile, name: str, held: _Held | None) -> bool:
    table = load_contract().table(name)
    mapped = map_table(profile, table, describe(connection, profile, name))
    # Composed, not passed as parameters: the profile's SQL may hold a per cent sign.
    if held is None or not held.has_rows:
        query = sql.SQL("select exists (select from ({}) as source)").format(mapped.query)
    elif table.delete_policy == "reconcile" and is_long_ago(held.reconciled_at):  # noqa: SIM114  another reason
        return True
    elif not (table.cursor and mapped.has_cursor and held.watermark and mapped.fingerprint == held.select_hash):
        return True
    else:
        is_any_ahead = held.highest_cursor not in (None, held.watermark)
        query = sql.SQL(_AHEAD_OF_SOME if is_any_ahead else _AHEAD).format(
            cursor=sql.Identifier(table.cursor),
            mark=sql.Literal(held.watermark),
            highest=sql.Literal(held.highest_cursor),
            now=sql.Literal(source_now(connection)),
            type=names.type_of(table.column(table.cursor)),
            select=mapped.query,
        )
    row = connection.execute(query).fetchone()
    return bool(row and row[0])
