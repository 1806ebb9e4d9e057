"""Starting, stopping, migrating and removing what a home holds: the commands around the embedded server."""

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from warehouse_assets.commands.home import process_environment
from warehouse_assets.database.connections import connect
from warehouse_assets.database.databases import embedded_server, needs_embedded, resolve
from warehouse_assets.database.embedded import EmbeddedServer
from warehouse_assets.database.migrate import migrate
from warehouse_assets.errors import UserError
from warehouse_assets.settings import PROJECT_ROOT, Settings
from warehouse_assets.source.profiles.choice import remember_profile

#: How long the sessions of programs that have ended may stay: the server looks after busy ones every 5 s.
_LEAVING_SECONDS = 10.0
_UI_LOCK = "ui.lock"
#: One of these is in every home that was used; a folder with none of them is somebody else's.
_OF_A_HOME = ("postgres", "dbt", "dagster", "log")


def start_server(settings: Settings) -> str:
    """Start the embedded server and bring its databases up to date; return what to tell the user."""
    if not needs_embedded(settings):
        return "Nothing to start: every database is your own."
    databases = resolve(settings)
    migrate(databases.warehouse)
    return f"PostgreSQL runs; its files are in {settings.home}. Stop it with `warehouse stop`."


def stop_server(settings: Settings, *, unless_used: bool = False) -> str:
    """Stop the embedded server, or with ``unless_used`` leave it to who is connected; return what to tell the user."""
    server = embedded_server(settings)
    if unless_used and server.is_running() and (users := _users(server)):
        return f"PostgreSQL keeps running, for it is used by {', '.join(users)}."
    if not server.stop():
        return "PostgreSQL was not running."
    if unless_used or not _is_served(settings):
        return "PostgreSQL stopped."
    return (
        "PostgreSQL stopped. A `warehouse ui` still runs and needs it: end that with Ctrl-C, or say `warehouse start`."
    )


def revive_server(settings: Settings) -> bool:
    """Start the embedded server again if it ended without being stopped; return whether it had.

    Raises:
        UserError: it cannot be started.
    """
    if not needs_embedded(settings) or not (server := embedded_server(settings)).has_crashed():
        return False
    server.start()
    return True


@contextmanager
def serving(settings: Settings) -> Iterator[int]:
    """Hold the lock that tells of a running UI; the kernel frees it when all have died that have its descriptor."""
    with (settings.home / _UI_LOCK).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield file.fileno()


def _is_served(settings: Settings) -> bool:
    try:
        with (settings.home / _UI_LOCK).open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _users(server: EmbeddedServer) -> list[str]:
    """Names of the programs that stay connected to the server."""
    deadline = time.monotonic() + _LEAVING_SECONDS
    with connect(server.shielded_url("postgres"), application_name="warehouse", autocommit=True) as connection:
        while True:
            rows = connection.execute(
                "select distinct coalesce(nullif(application_name, ''), 'a program without a name') "
                "from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid() order by 1"
            ).fetchall()
            if not rows or time.monotonic() > deadline:
                return [name for (name,) in rows]
            time.sleep(0.2)


def reset_home(settings: Settings, confirmed: bool) -> str:
    """Remove the home with the embedded databases; return what to tell the user.

    Raises:
        UserError: it was not confirmed, the home is no folder of the product's alone, or something in it stays.
    """
    home = settings.home
    if not confirmed:
        raise UserError(f"This removes everything in {home}; say `warehouse reset --yes` to do it.")
    if not home.exists():
        return f"Nothing to remove: {home} does not exist."
    for folder, what in ((PROJECT_ROOT, "the product itself"), (Path(os.path.expanduser("~")), "your home directory")):
        if folder.is_relative_to(home):
            raise UserError(f"{home} holds {what}, which `warehouse reset` would remove; set WAREHOUSE_HOME.")
    if home.is_dir() and any(home.iterdir()) and not any((home / name).exists() for name in _OF_A_HOME):
        raise UserError(f"{home} holds files, and none of the warehouse's; set WAREHOUSE_HOME to the home you mean.")
    embedded_server(settings).destroy()
    shutil.rmtree(home, ignore_errors=True)
    left = next(home.iterdir(), None) if home.is_dir() else home  # the empty folder of a volume stays
    if left is not None and left.exists():
        raise UserError(f"{left} could not be removed; remove it as the user it belongs to.")
    return f"Removed {home}."


def migrate_all(settings: Settings) -> str:
    """Migrate the warehouse and make Dagster's storage; return what to tell the user.

    Where the environment names the source, the profile is settled too, so that the schedules can begin.
    """
    from dagster import DagsterInstance

    databases = resolve(settings)
    moved = migrate(databases.warehouse)
    if settings.source_url is not None or settings.profile is not None:
        remember_profile(databases, settings.profile, None)
    os.environ.update(process_environment(settings))
    with DagsterInstance.get() as instance:
        instance.upgrade()
    return "Warehouse migrated." if moved else "Warehouse is up to date."
