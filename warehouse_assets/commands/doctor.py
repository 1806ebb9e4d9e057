"""Examining an installation: each finding is one sentence, with the remedy where something is wrong."""

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from rich.console import Console

from warehouse_assets.database.connections import connect
from warehouse_assets.database.databases import embedded_server, needs_embedded, resolve
from warehouse_assets.database.migrate import current, head
from warehouse_assets.errors import UserError
from warehouse_assets.settings import PROJECT_ROOT, Settings

_MINIMUM_FREE_BYTES = 5 * 2**30


@dataclass(frozen=True)
class Finding:
    """One thing examined."""

    subject: str
    is_well: bool
    sentence: str


def _examined(subject: str, examination: Callable[[], str]) -> Finding:
    try:
        return Finding(subject, True, examination())
    except UserError as error:
        return Finding(subject, False, str(error))


def _python() -> str:
    if not (3, 11) <= sys.version_info < (3, 13):
        raise UserError(f"Python is {sys.version.split()[0]}; the lock is made for 3.11 and 3.12: use python3.11.")
    return f"Python {sys.version.split()[0]}"


def _lock() -> str:
    from importlib.metadata import PackageNotFoundError, version

    wrong = []
    for line in (PROJECT_ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines():
        name, sign, rest = line.partition("==")
        if not sign or line.startswith((" ", "#")) or ";" in rest:
            continue
        wanted = rest.removesuffix(" \\").strip()
        try:
            if version(name.partition("[")[0]) != wanted:
                wrong.append(f"{name} {version(name)} instead of {wanted}")
        except PackageNotFoundError:
            wrong.append(f"{name} missing")
    if wrong:
        raise UserError(
            f"The environment differs from requirements.lock ({', '.join(wrong[:5])}); run `make clean run`."
        )
    return "every package is as requirements.lock says"


def _home(settings: Settings) -> str:
    if needs_embedded(settings):
        embedded_server(settings)  # refuses what PostgreSQL cannot be told
    try:
        folder = next(path for path in (settings.home, *settings.home.parents) if path.exists())
        if not folder.is_dir():
            raise UserError(f"{folder} is not a directory; point WAREHOUSE_HOME at a folder you own.")
        with tempfile.TemporaryFile(dir=folder):
            free = shutil.disk_usage(folder).free
    except OSError as error:
        raise UserError(
            f"{settings.home} cannot be written ({error.strerror}); point WAREHOUSE_HOME at a folder you own."
        ) from error
    if free < _MINIMUM_FREE_BYTES:
        raise UserError(f"{settings.home} has {free / 2**30:.1f} GiB free; the demo company needs 5 GiB: make room.")
    return f"{settings.home} ({free / 2**30:.0f} GiB free)"


def _contract() -> str:
    from warehouse_assets.source.contract import load_contract

    contract = load_contract()
    return f"{len(contract.tables)} tables in {len(contract.systems)} systems"


def _profile(name: str) -> str:
    from warehouse_assets.source.profiles.manifest import read_manifest
    from warehouse_assets.source.profiles.profile import profile_directory

    return f"{name} ({read_manifest(profile_directory(name)).directory})"


def _server(settings: Settings) -> str:
    if not needs_embedded(settings):
        return "not needed: every database is your own"
    if not embedded_server(settings).is_running():
        raise UserError("The embedded PostgreSQL is not running; `warehouse start` starts it.")
    return "running"


def _database(url: str) -> str:
    with connect(url, application_name="warehouse doctor") as connection:
        row = connection.execute(
            "select current_setting('server_version'), pg_size_pretty(pg_database_size(current_database()))"
        ).fetchone()
    return f"PostgreSQL {row[0]}, {row[1]}" if row else "answers nothing"


def _migrations(url: str) -> str:
    with connect(url, application_name="warehouse doctor") as connection:
        here = current(connection)
    if here != head():
        raise UserError(f"The warehouse is at migration {here or 'none'}, not {head()}; `warehouse migrate` moves it.")
    return f"at {here}"


def _manifest(settings: Settings) -> str:
    from warehouse_assets.transform.project import ensure_manifest

    return f"parsed ({ensure_manifest(settings)})"


def examine(settings: Settings) -> Iterator[Finding]:
    """Examine Python, packages, home, profile, server, databases, migrations, contract and dbt project, in order."""
    yield _examined("python", _python)
    yield _examined("packages", _lock)
    home = _examined("home", partial(_home, settings))
    yield home
    if not home.is_well:
        return  # nothing else can be examined without it
    if settings.profile is not None:
        yield _examined("profile", partial(_profile, settings.profile))
    server = _examined("embedded server", partial(_server, settings))
    yield server
    if server.is_well:
        databases = resolve(settings)
        for name in ("operational", "warehouse", "dagster"):
            yield _examined(f"database {name}", partial(_database, getattr(databases, name)))
        yield _examined("migrations", partial(_migrations, databases.warehouse))
    contract = _examined("contract", _contract)
    yield contract
    if contract.is_well:
        yield _examined("dbt project", partial(_manifest, settings))


def print_findings(console: Console, findings: Iterator[Finding]) -> bool:
    """Print each finding as it is made and tell whether all is well."""
    all_well = True
    for finding in findings:
        all_well &= finding.is_well
        console.print(
            f"{'ok  ' if finding.is_well else 'FAIL'}  {finding.subject}: {finding.sentence}", highlight=False
        )
    return all_well
