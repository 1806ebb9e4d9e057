"""Whether the source has anything new, without loading it: what sensors and schedules ask before they start a run."""

from collections.abc import Iterator

from psycopg import sql

from warehouse_assets.database.connections import connect, resolve
from warehouse_assets.operate.profile_choice import stored_profile
from warehouse_assets.settings import Settings
from warehouse_assets.source.contract import load_contract
from warehouse_assets.source.profiles import FilesProfile, PostgresProfile, open_profile
from warehouse_assets.source.profiles.mapping import describe, map_table

_STATE = "select source_table, watermark, extracted_at from etl.table_state"


def moved_tables(settings: Settings) -> list[str] | None:
    """The tables whose source is ahead of the warehouse; None where the warehouse was never filled.

    A database is asked for the latest cursor value of each table, a file for its time of modification. Rows deleted
    in the source move neither: the daily key reconciliation finds them.

    Raises:
        UserError: the source cannot be reached.
    """
    databases = resolve(settings)
    with connect(databases.warehouse, application_name="warehouse sensor") as connection:
        stored = stored_profile(connection)
        if stored is None:
            return None
        state = {name: (watermark, at) for name, watermark, at in connection.execute(_STATE)}
    profile = open_profile(*stored, databases.operational)
    try:
        if isinstance(profile, PostgresProfile):
            watermarks = {name: mark for name, (mark, _) in state.items()}
            return list(_tables_ahead(profile, databases.operational, watermarks))
        if isinstance(profile, FilesProfile):
            return [
                name
                for name in sorted(profile.tables)
                if name not in state or profile.modified_at(name) > state[name][1]
            ]
        raise TypeError(f"{profile.name} is a profile of kind {profile.kind}, which cannot be asked for news")
    finally:
        profile.close()


def _tables_ahead(profile: PostgresProfile, url: str, watermarks: dict[str, str | None]) -> Iterator[str]:
    contract = load_contract()
    with connect(url, application_name="warehouse sensor") as connection:
        for name in sorted(profile.tables):
            table = contract.table(name)
            mapped = map_table(profile, table, describe(connection, profile, name))
            watermark = watermarks.get(name)
            if table.cursor is None or not mapped.has_cursor or watermark is None:
                yield name
                continue
            # Composed, not passed as parameters: the profile's SQL may hold a per cent sign.
            query = sql.SQL("select max({cursor})::timestamptz > {mark}::timestamptz from ({select}) as source").format(
                cursor=sql.Identifier(table.cursor), mark=sql.Literal(watermark), select=mapped.query
            )
            row = connection.execute(query).fetchone()
            if row and row[0]:
                yield name
