"""Dagster's own database: what a wrong ``DAGSTER_POSTGRES_URL`` ends in, and the ways of writing a right one."""

import re
import secrets
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from dagster_postgres import PostgresEventLogStorage
from dagster_postgres.utils import DagsterPostgresException
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from rich.console import Console
from sqlalchemy import create_engine
from sqlalchemy.exc import OperationalError

from warehouse_assets.commands import ui
from warehouse_assets.commands.launch import prepare_instance
from warehouse_assets.commands.run import RunRequest, run_warehouse
from warehouse_assets.commands.server import migrate_all
from warehouse_assets.database.embedded import EmbeddedServer
from warehouse_assets.errors import UserError
from warehouse_assets.operate.storage import EventLog, WarehouseStorage
from warehouse_assets.settings import Settings


@pytest.fixture
def stranger(server: EmbeddedServer) -> Iterator[str]:
    """The name of a user who may connect and no more; the password is the name."""
    name = f"stranger_{secrets.token_hex(4)}"
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute(sql.SQL("create role {} login password {}").format(sql.Identifier(name), sql.Literal(name)))
        yield name
        connection.execute(sql.SQL("drop role {}").format(sql.Identifier(name)))


@pytest.fixture
def settings(
    stranger: str,  # made before the databases, so dropped after them
    server: EmbeddedServer,
    make_database: Callable[..., str],
    make_home: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> Settings:
    """Three empty databases of the user's own; the environment is restored after the test."""
    for name in ("WAREHOUSE_HOME", "DAGSTER_HOME", "DAGSTER_DISABLE_TELEMETRY"):
        monkeypatch.setenv(name, "")
    source, warehouse, dagster = (make_database(server) for _ in range(3))
    monkeypatch.setenv("WAREHOUSE_SOURCE_URL", source)
    monkeypatch.setenv("WAREHOUSE_DATABASE_URL", warehouse)
    return Settings(make_home("storage"), warehouse_url=warehouse, source_url=source, dagster_url=dagster)


@pytest.fixture
def prepare(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """A function that makes Dagster's instance in the database of a URL."""

    def prepare_at(url: str) -> None:
        monkeypatch.setenv("DAGSTER_POSTGRES_URL", url)
        prepare_instance(replace(settings, dagster_url=url))

    return prepare_at


def has_tables(url: str, name: str) -> bool:
    with psycopg.connect(url) as connection:
        return connection.execute("select to_regclass(%s) is not null", (name,)).fetchone() == (True,)


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        ({"password": "wrong-Secret-9"}, r"refuses user .* wrong or missing password; correct it in the URL"),
        ({"dbname": "nowhere"}, r"There is no such user or database .*'nowhere'"),
        ({"port": "1"}, r"No server answers for database .* at 127.0.0.1:1; start it, or correct the URL"),
    ],
)
def test_a_database_out_of_reach_is_one_sentence(
    settings: Settings, prepare: Callable[[str], None], parts: dict[str, str], sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence) as raised:
        prepare(make_conninfo(settings.dagster_url or "", **parts))
    assert "wrong-Secret-9" not in str(raised.value)


def test_each_command_refuses_what_is_no_url(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def started(*arguments: object, **options: object) -> None:
        raise AssertionError("the UI was started")

    monkeypatch.setenv("DAGSTER_POSTGRES_URL", "kaputt")
    broken = replace(settings, dagster_url="kaputt")
    sentence = "DAGSTER_POSTGRES_URL: The database URL cannot be read; write it as postgresql://"
    with pytest.raises(UserError, match=sentence):
        run_warehouse(broken, RunRequest(), Console(quiet=True))
    assert not has_tables(settings.warehouse_url or "", "etl.alembic_version"), "the run had begun"
    with monkeypatch.context() as serving:
        serving.setattr(ui.subprocess, "Popen", started)  # everybody's: Dagster starts a program when first imported
        with pytest.raises(UserError, match=sentence):
            ui.serve_ui(broken, 0)
    with pytest.raises(UserError, match=sentence):
        migrate_all(broken)


def test_missing_rights_are_told_with_the_grant_that_mends_them(
    settings: Settings, prepare: Callable[[str], None], stranger: str
) -> None:
    url = make_conninfo(settings.dagster_url or "", user=stranger, password=stranger)

    def grant_what_is_said(sentence: str) -> None:
        with pytest.raises(UserError, match=sentence) as raised:
            prepare(url)
        said = re.search("run `(.*)` there", str(raised.value))
        assert said is not None
        with psycopg.connect(settings.dagster_url or "") as connection:
            connection.execute(said[1])  # type: ignore[call-overload]  # what the product itself says

    grant_what_is_said(rf"User '{stranger}' .* may not make Dagster's tables in schema 'public'.*grant usage, create")
    prepare(url)
    assert has_tables(settings.dagster_url or "", "event_logs")
    with psycopg.connect(settings.dagster_url or "") as connection:
        connection.execute(sql.SQL("reassign owned by {} to current_user").format(sql.Identifier(stranger)))
    grant_what_is_said(rf"User '{stranger}' .* may not use Dagster's tables in schema 'public'.*grant ")
    prepare(url)


def test_a_url_may_be_written_in_every_way_of_libpq(settings: Settings, prepare: Callable[[str], None]) -> None:
    url = settings.dagster_url or ""
    for same in (
        url.replace("postgresql://", "postgres://"),
        url.replace("postgresql://", "postgresql+psycopg://"),
        make_conninfo(**conninfo_to_dict(url)),
    ):
        prepare(same)
    assert has_tables(url, "event_logs")


# Regression: a run whose server was killed took 38 s to its sentence, as every event was tried for six to ten.
def test_a_server_that_is_gone_is_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def given_up(self: object, event: object) -> None:
        raise DagsterPostgresException("too many retries for DB connection")

    monkeypatch.setattr(PostgresEventLogStorage, "store_event", given_up)
    log = EventLog.__new__(EventLog)
    log._engine = create_engine("postgresql://127.0.0.1:1/dagster")
    event: Any = None
    with pytest.raises(DagsterPostgresException):
        log.store_event(event)
    with pytest.raises(OperationalError, match="Connection refused"):
        log.store_event(event)


# Regression: it asked for all three databases, and started an embedded server for those that were not given.
def test_dagsters_own_database_is_enough_for_its_storage(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, make_home: Callable[[str], Path]
) -> None:
    home = make_home("storage alone")
    for name in ("WAREHOUSE_SOURCE_URL", "WAREHOUSE_DATABASE_URL"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("WAREHOUSE_HOME", str(home))
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", settings.dagster_url or "")
    storage = WarehouseStorage.from_config_value(None, {})
    for part in (storage.event_log_storage, storage.run_storage, storage.schedule_storage):
        part.dispose()
    assert has_tables(settings.dagster_url or "", "event_logs")
    assert not list(home.iterdir())


# Regression: a web server that was started before a migration never saw the tables that it made.
def test_a_table_that_comes_later_is_seen(settings: Settings) -> None:
    log = EventLog(settings.dagster_url or "", should_autocreate_tables=True)
    assert log.has_table("event_logs")
    assert log.has_asset_key_col("asset_key")
    assert not log.has_table("made_later")
    with psycopg.connect(settings.dagster_url or "") as connection:
        connection.execute("create table made_later ()")
    assert log.has_table("made_later")
    log.dispose()
