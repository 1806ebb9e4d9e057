"""Whether the source has anything new, without loading it: what sensors and schedules ask before they start a run."""

import json
from collections.abc import Iterator

import psycopg
from psycopg import sql

from warehouse_assets.database.connections import connect, resolve
from warehouse_assets.settings import Settings
from warehouse_assets.source.contract import load_contract
from warehouse_assets.source.profiles import Profile, open_profile

_STATE = "select source_table, watermark, extracted_at from etl.table_state"


def stored_profile(connection: psycopg.Connection, operational_url: str) -> Profile | None:
    """The profile this warehouse is filled from; None before its first run."""
    stored = dict(
        connection.execute("select key, value from etl.setting where key in ('profile', 'profile_settings')").fetchall()
    )
    if "profile" not in stored:
        return None
    return open_profile(stored["profile"], json.loads(stored.get("profile_settings", "{}")), operational_url)


def moved_tables(settings: Settings) -> list[str] | None:
    """The tables whose source is ahead of the warehouse; None where the warehouse was never filled.

    A database is asked for the latest cursor value of each table, a file for its time of modification. Rows deleted
    in the source move neither: the daily key reconciliation finds them.

    Raises:
        UserError: the source cannot be reached.
    """
    databases = resolve(settings)
    with connect(databases.warehouse, application_name="warehouse sensor") as connection:
        profile = stored_profile(connection, databases.operational)
        if profile is None:
            return None
        state = {name: (watermark, at) for name, watermark, at in connection.execute(_STATE)}
    if profile.kind == "files":
        return [
            name
            for name in sorted(profile.tables)
            if name not in state or (profile.modified_at(name) or state[name][1]) > state[name][1]
        ]
    return list(_tables_ahead(profile, databases.operational, {name: mark for name, (mark, _) in state.items()}))


def _tables_ahead(profile: Profile, url: str, watermarks: dict[str, str | None]) -> Iterator[str]:
    contract = load_contract()
    with connect(url, application_name="warehouse sensor") as connection:
        for name in sorted(profile.tables):
            cursor = contract.table(name).cursor
            if cursor is None or watermarks.get(name) is None:
                yield name
                continue
            select = sql.SQL(profile.select(name))  # type: ignore[arg-type]  # the profile's own SQL, not user input
            query = sql.SQL("select max({cursor})::timestamptz > %s::timestamptz from ({select}) as source").format(
                cursor=sql.Identifier(cursor), select=select
            )
            row = connection.execute(query, [watermarks[name]]).fetchone()
            if row and row[0]:
                yield name
