"""Databases for every test: one embedded server a session, fresh databases by template. No test data belongs here.

``server``/``databases``/``settings`` are shared by the session; ``warehouse_url`` and ``operational_url`` are
fresh for each test and dropped after it; ``postgres16`` plays the user's own, older server.
"""

import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
from psycopg import sql
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from warehouse_assets.database.databases import Databases, resolve
from warehouse_assets.database.embedded import EmbeddedServer
from warehouse_assets.database.migrate import migrate
from warehouse_assets.settings import Settings

DISK = Path(tempfile.gettempdir())
MEMORY = Path("/dev/shm")  # noqa: S108  a file system, not a file
ROOM = 4 << 30  # bytes: several times what all servers of the tests hold
TEMPLATE = "warehouse_template"


def pytest_xdist_auto_num_workers() -> int:
    """One more worker than cores, four at most: half of a test's time goes by waiting for processes that start."""
    return min((os.cpu_count() or 1) + 1, 4)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """Keep what shares a costly fixture on one worker; xdist's own groups have no effect with pytest 9."""
    return ByFixture(config, log)


class ByFixture(LoadScopeScheduling):
    """Hands out tests by the file; first, and together, the end-to-end tests of the one filled home."""

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        return "e2e" if "/e2e/" in path and not path.endswith("test_services.py") else path


def new_home(label: str) -> Path:
    """Make a home that names the process it belongs to, and that the server's account can enter.

    In memory where there is plenty: ext4 looks past every file deleted a moment ago, and a dropped database is
    hundreds of them.
    """
    plenty = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM and psutil.virtual_memory().available > 2 * ROOM
    place = MEMORY if plenty else DISK
    home = Path(tempfile.mkdtemp(prefix=f"warehouse-test-{os.getpid()}-{label}-", dir=place))
    home.chmod(0o755)
    return home


def discard(home: Path) -> None:
    """Stop and remove whatever runs under ``home``."""
    EmbeddedServer(home).destroy()
    shutil.rmtree(home, ignore_errors=True)


def pytest_sessionstart(session: pytest.Session) -> None:
    """A killed test session cannot stop its server: the next one does, before its workers start."""
    if hasattr(session.config, "workerinput"):
        return
    for home in (*DISK.glob("warehouse-test-*"), *MEMORY.glob("warehouse-test-*")):
        owner = home.name.split("-")[2]
        if owner.isdigit() and not psutil.pid_exists(int(owner)) and home.stat().st_uid == os.geteuid():
            discard(home)


def _started(label: str, major: int) -> Iterator[EmbeddedServer]:
    home = new_home(label)
    embedded = EmbeddedServer(home, major=major)
    try:
        embedded.start()
        with psycopg.connect(embedded.url("postgres"), autocommit=True) as connection:
            # Test data need not survive a power cut, and creating and dropping databases waits for the disk.
            for setting in ("fsync", "synchronous_commit", "full_page_writes"):
                connection.execute(sql.SQL("alter system set {} = off").format(sql.Identifier(setting)))
            connection.execute("select pg_reload_conf()")
        yield embedded
    finally:
        discard(home)


@pytest.fixture(scope="session")
def server() -> Iterator[EmbeddedServer]:
    """The session's embedded PostgreSQL 18, started; its home is ``server.home``."""
    yield from _started("18", 18)


@pytest.fixture(scope="session")
def postgres16() -> Iterator[EmbeddedServer]:
    """A PostgreSQL 16 that stands for the user's own server; ``postgres16.url(database)`` is its URL."""
    yield from _started("16", 16)


@pytest.fixture(scope="session")
def settings(server: EmbeddedServer) -> Settings:
    """The settings of the session's home, without any URL of the user's own."""
    return Settings(home=server.home)


@pytest.fixture(scope="session")
def databases(settings: Settings) -> Databases:
    """The session's databases, warehouse migrated; shared by all tests: leave them as they were."""
    resolved = resolve(settings)
    migrate(resolved.warehouse)
    return resolved


@pytest.fixture(scope="session")
def _template(server: EmbeddedServer) -> str:
    """A migrated warehouse database that no one connects to, to copy from."""
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(TEMPLATE)))
    migrate(server.url(TEMPLATE))
    return TEMPLATE


@pytest.fixture
def make_home() -> Iterator[Callable[[str], Path]]:
    """A function ``(label) -> home`` for tests that need a server of their own; all are discarded after the test."""
    made: list[Path] = []

    def make(label: str) -> Path:
        made.append(new_home(label))
        return made[-1]

    yield make
    for home in made:
        discard(home)


@pytest.fixture
def make_database() -> Iterator[Callable[..., str]]:
    """A function ``(server, template="template1") -> url`` that creates a database; all are dropped after the test."""
    made: list[tuple[EmbeddedServer, str]] = []

    def make(on: EmbeddedServer, template: str = "template1") -> str:
        name = f"test_{secrets.token_hex(6)}"
        with psycopg.connect(on.url("postgres"), autocommit=True) as connection:
            identifiers = sql.Identifier(name), sql.Identifier(template)
            connection.execute(sql.SQL("create database {} template {}").format(*identifiers))
        made.append((on, name))
        return on.url(name)

    yield make
    for on, name in made:
        with psycopg.connect(on.url("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))


@pytest.fixture
def warehouse_url(server: EmbeddedServer, _template: str, make_database: Callable[..., str]) -> str:
    """The URL of a fresh warehouse database, migrated and empty."""
    return make_database(server, _template)


@pytest.fixture
def operational_url(server: EmbeddedServer, make_database: Callable[..., str]) -> str:
    """The URL of a fresh, empty operational database."""
    return make_database(server)
