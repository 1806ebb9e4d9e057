"""Starting, stopping, migrating and removing what a home holds: the commands around the embedded server."""

import fcntl
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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
#: The folders of a home that are the product's alone, each with the file that it puts there first. The text is in ours
#: and in no other: Dagster's home of another project holds a file of the same name.
_FIRST_FILES = {"postgres": ("lock", ""), "dbt": ("parse.lock", ""), "dagster": ("dagster.yaml", "warehouse_assets")}
#: One of them that is being removed: put aside first, so that it is known whatever is left of it.
_PUT_ASIDE = re.compile(rf"({'|'.join(_FIRST_FILES)})-removed-[0-9a-f]{{8}}")
_FOLDERS = (*_FIRST_FILES, "log")
#: What else the product writes in a home, beside PostgreSQL's log.
_LOGS = re.compile(r"run-[0-9a-f-]{36}\.log|ui\.log(\.1)?")


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
    """Remove the embedded databases, runs and logs of a home, and the home if nothing else is in it.

    Returns:
        What to tell the user: what else is in it stays, and is named.

    Raises:
        UserError: it was not confirmed, the home holds the product or the user's home directory, none of it is the
            product's, or something of the product stays.
    """
    home = settings.home
    if not confirmed:
        raise UserError(f"This removes the databases, runs and logs in {home}; say `warehouse reset --yes` to do it.")
    if not home.exists():
        return f"Nothing to remove: {home} does not exist."
    for folder, what in ((PROJECT_ROOT, "the product itself"), (Path(os.path.expanduser("~")), "your home directory")):
        if folder.is_relative_to(home):
            raise UserError(f"{home} holds {what}, so it is not reset; set WAREHOUSE_HOME to a folder of its own.")
    if not home.is_dir():
        raise UserError(f"{home} is a file; set WAREHOUSE_HOME to the home you mean.")
    own = _own_folders(home)
    if not own and not all(_is_unfilled(path) for path in home.iterdir()):
        raise UserError(f"{home} holds files, and none of the warehouse's; set WAREHOUSE_HOME to the home you mean.")
    files = [home / _UI_LOCK, *(path for path in home.glob("log/*") if _LOGS.fullmatch(path.name))] if own else []
    if home / "postgres" in own:
        files.append(home / "log" / "postgres")
        embedded_server(settings).destroy()
    for path in files:
        _remove(path)
    for path in _own_folders(home):  # last: as long as one is there, the next reset knows the home for what it is
        _remove(path if _PUT_ASIDE.fullmatch(path.name) else _put_aside(path))
    for path in (*(home / name for name in _FOLDERS), home):
        with suppress(OSError):  # not there, or not empty; the empty folder of a volume stays too
            path.rmdir()
    if not home.exists() or not (names := sorted(path.name for path in home.iterdir())):
        return f"Removed {home}."
    if left := [path for path in (*files, *_own_folders(home)) if os.path.lexists(path)]:
        raise UserError(f"{left[0]} could not be removed; remove it as the user it belongs to.")
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"Removed the warehouse from {home}; what else is in it stays: {', '.join(names[:5])}{more}."


def _own_folders(home: Path) -> list[Path]:
    """The folders of a home that the product made and filled, and what is left of those that were put aside."""
    made = [home / name for name, (file, text) in _FIRST_FILES.items() if _holds(home / name / file, text)]
    return [*made, *(path for path in home.iterdir() if _PUT_ASIDE.fullmatch(path.name))]


def _holds(file: Path, text: str) -> bool:
    return file.is_file() and (not text or text in file.read_text(encoding="utf-8", errors="replace"))


def _is_unfilled(path: Path) -> bool:
    """Whether this is one of the product's folders in which there is nothing yet, or no longer."""
    return path.name in _FOLDERS and path.is_dir() and not any(path.iterdir())


def _put_aside(path: Path) -> Path:
    with suppress(OSError):  # a volume of its own stays where it is
        return path.rename(path.with_name(f"{path.name}-removed-{secrets.token_hex(4)}"))
    return path


def _remove(path: Path) -> None:
    """Remove a file, a link or a folder with all that is in it, as far as this account may."""
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


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
