"""Which source profile a warehouse is filled from: chosen once, kept in ``etl.setting``, the same for every run."""

import json
from collections.abc import Mapping
from pathlib import Path

import psycopg

from warehouse_assets.database.connections import connect
from warehouse_assets.database.databases import Databases
from warehouse_assets.errors import UserError
from warehouse_assets.source.profiles.manifest import UNREADABLE_ROWS
from warehouse_assets.source.profiles.profile import profile_directory, shipped_profiles

DEFAULT_PROFILE = "default"


def stored_profile(connection: psycopg.Connection) -> tuple[str, dict[str, str]] | None:
    """The profile this warehouse is filled from with its settings; None before its first run.

    Raises:
        UserError: the warehouse's own tables were never made.
    """
    try:
        rows = connection.execute("select key, value from etl.setting where key in ('profile', 'profile_settings')")
    except psycopg.errors.UndefinedTable as error:
        raise UserError("The warehouse has no tables of its own yet; run `warehouse migrate`, then again.") from error
    stored: dict[str, str] = dict(rows.fetchall())
    if "profile" not in stored:
        return None
    return stored["profile"], json.loads(stored.get("profile_settings", "{}"))


def _lasting(name: str) -> str:
    """The name of a shipped profile, or the whole path of a folder: a later run may start elsewhere."""
    return name if name in shipped_profiles() else str(Path(name).expanduser().absolute())


def remember_profile(
    databases: Databases, profile: str | None, settings: Mapping[str, str] | None
) -> tuple[str, dict[str, str]]:
    """Return the profile this warehouse is filled from and its settings, and store what is new of them.

    ``unreadable_rows`` is meant for the run it is given to: stored, it would let a later file that breaks off pass.

    Raises:
        UserError: the warehouse already holds another profile's rows, or there is no such profile.
    """
    with connect(databases.warehouse, application_name="warehouse run") as connection:
        connection.execute("select pg_advisory_xact_lock(hashtextextended('profile', 0))")  # the first run binds
        known, known_settings = stored_profile(connection) or (None, {})
        if known and profile and _lasting(profile) != _lasting(known):
            raise UserError(
                f"This warehouse is filled from profile {known!r}, not {profile!r}: {databases.another_warehouse}."
            )
        name = known
        if name is None:
            profile_directory(profile or DEFAULT_PROFILE)  # refuses one that is not there
            name = _lasting(profile or DEFAULT_PROFILE)
        chosen = {**known_settings, **(settings or {})}
        lasting = {key: value for key, value in chosen.items() if key != UNREADABLE_ROWS}
        if (known, known_settings) != (name, lasting):
            for key, value in (("profile", name), ("profile_settings", json.dumps(lasting))):
                connection.execute(
                    "insert into etl.setting (key, value) values (%s, %s) "
                    "on conflict (key) do update set value = excluded.value",
                    [key, value],
                )
    return name, chosen
