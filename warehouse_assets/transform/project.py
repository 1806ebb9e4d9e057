"""Where the dbt project lives, the environment dbt runs in, and its manifest. Nothing here knows Dagster.

The manifest is parsed in one place and only when a file of the project or the connection changed, so that runs at
the same time never race for it.
"""

import fcntl
import getpass
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from warehouse_assets.database.connections import libpq_environment, url_parameters
from warehouse_assets.errors import UserError
from warehouse_assets.settings import DBT_PROJECT_DIR, Settings

_PARSED_FILES = ("*.sql", "*.yml", "*.md")


def target_dir(settings: Settings) -> Path:
    """The folder of dbt's own artifacts for this home."""
    return settings.home / "dbt"


def manifest_path(settings: Settings) -> Path:
    """Where the manifest of this home stands once :func:`ensure_manifest` has run."""
    return target_dir(settings) / "manifest.json"


def dbt_environment(settings: Settings, warehouse_url: str | None) -> dict[str, str]:
    """The variables that ``profiles.yml`` reads; the password is in none of dbt's logs or artifacts.

    Args:
        settings: threads and time zone.
        warehouse_url: URL of the warehouse database; None while only parsing, when no connection is opened.
    """
    parts = url_parameters(warehouse_url) if warehouse_url else {"host": "127.0.0.1", "user": "warehouse"}
    user = parts.get("user") or getpass.getuser()  # as libpq does
    environment = {
        "WAREHOUSE_DBT_HOST": parts.get("host") or parts.get("hostaddr") or "",  # none: the local socket
        "WAREHOUSE_DBT_PORT": parts.get("port") or "5432",
        "WAREHOUSE_DBT_USER": user,
        "WAREHOUSE_DBT_DBNAME": parts.get("dbname") or user,
        "WAREHOUSE_DBT_PASSWORD": parts.get("password") or "",
        "WAREHOUSE_DBT_SSLMODE": parts.get("sslmode") or "prefer",
        "WAREHOUSE_THREADS": str(settings.threads),
        "WAREHOUSE_TIME_ZONE": settings.time_zone,
        "WAREHOUSE_DBT_MACROS": macros_version(),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "DO_NOT_TRACK": "1",
        "DBT_LOG_LEVEL_FILE": "info",  # at debug, dbt writes every statement three times over
    }
    # for what a URL may say beyond dbt's own settings, as of certificates
    return environment | (libpq_environment(warehouse_url) if warehouse_url else {})


def macros_version() -> str:
    """A hash of dbt's macros and of ``dbt_project.yml``, which holds its variables: part of every model's code."""
    digest = hashlib.sha256((DBT_PROJECT_DIR / "dbt_project.yml").read_bytes())
    for path in sorted((DBT_PROJECT_DIR / "macros").rglob("*.sql")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _fingerprint(environment: Mapping[str, str]) -> str:
    made_with = [str(DBT_PROJECT_DIR), version("dbt-core"), version("dbt-postgres")]
    digest = hashlib.sha256("\0".join(made_with).encode())
    for name in sorted(environment):
        if "PASSWORD" not in name:
            digest.update(f"{name}={environment[name]}\0".encode())
    for pattern in _PARSED_FILES:
        for path in sorted(DBT_PROJECT_DIR.rglob(pattern)):
            relative = path.relative_to(DBT_PROJECT_DIR)
            if relative.parts[0] in ("target", "logs"):
                continue
            digest.update(str(relative).encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = path.open("w")
    except OSError as error:
        raise UserError(
            f"{path.parent} cannot be written ({error.strerror}); point WAREHOUSE_HOME at a folder you own."
        ) from error
    with handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def ensure_manifest(settings: Settings, warehouse_url: str | None = None) -> Path:
    """Parse the dbt project unless the manifest of this home is current, and return the manifest's path.

    ``warehouse_url`` may be left out where only the graph is wanted: parsing opens no connection.

    Raises:
        UserError: dbt refuses the project (the message carries dbt's own words), or the home cannot be written.
    """
    target = target_dir(settings)
    known = target / "parsed.json"
    environment = dbt_environment(settings, warehouse_url)
    files_only = _fingerprint({})
    with _locked(target / "parse.lock"):
        state = json.loads(known.read_text()) if known.exists() else {}
        # A graph is the same whatever the connection; dbt's partial parse is not.
        is_current = state.get("files") == files_only and manifest_path(settings).exists()
        if is_current and (warehouse_url is None or state.get("all") == _fingerprint(environment)):
            return manifest_path(settings)
        # Gone while dbt writes, and there at once or not at all: a killed parse is not taken for a finished one.
        known.unlink(missing_ok=True)
        if state.get("files") != files_only:
            # dbt tells files by their times: those of another release, or put back, it would take for the ones it knows
            (target / "partial_parse.msgpack").unlink(missing_ok=True)
        run_dbt_parse(target, environment)
        partial = known.with_suffix(".part")
        partial.write_text(json.dumps({"files": files_only, "all": _fingerprint(environment)}))
        partial.replace(known)
    return manifest_path(settings)


def run_dbt_parse(target: Path, environment: Mapping[str, str]) -> None:
    """Run ``dbt parse`` into ``target``.

    Raises:
        UserError: dbt refuses the project, or was ended.
    """
    command = [sys.executable, "-m", "dbt.cli.main", "--quiet", "parse"]
    command += ["--project-dir", str(DBT_PROJECT_DIR), "--profiles-dir", str(DBT_PROJECT_DIR)]
    command += ["--target-path", str(target), "--log-path", str(target)]
    outcome = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
    if outcome.returncode < 0:
        raise UserError(
            f"dbt was ended by signal {-outcome.returncode} while it read its project; run again (a machine without "
            "free memory ends programs so)."
        )
    if outcome.returncode != 0:
        words = " ".join((outcome.stdout + outcome.stderr).split())
        raise UserError(f"dbt cannot read the project in dbt_project: {words[-800:]}")


@cache
def load_manifest(path: Path) -> dict[str, Any]:
    """The manifest at ``path`` as dbt wrote it."""
    manifest: dict[str, Any] = json.loads(path.read_bytes())
    return manifest
