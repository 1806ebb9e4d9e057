"""Stopping the embedded server by command: at once, or only when nobody uses it."""

from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from warehouse_assets.database.embedded import EmbeddedServer
from warehouse_assets.operate import server as commands
from warehouse_assets.settings import Settings


def test_a_server_in_use_is_left_to_its_users(
    make_home: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "_LEAVING_SECONDS", 0.5)
    settings = Settings(home=make_home("stop"))
    server = EmbeddedServer(settings.home)
    assert commands.stop_server(settings, unless_used=True) == "PostgreSQL was not running."
    server.start()
    with psycopg.connect(server.url("warehouse"), application_name="the report"):
        said = commands.stop_server(settings, unless_used=True)
        assert said == "PostgreSQL keeps running, for it is used by the report."
        assert server.is_running()
    assert commands.stop_server(settings, unless_used=True) == "PostgreSQL stopped."
    assert not server.is_running()


def test_a_server_in_use_is_stopped_by_stop(make_home: Callable[[str], Path]) -> None:
    settings = Settings(home=make_home("stop"))
    server = EmbeddedServer(settings.home)
    server.start()
    with psycopg.connect(server.url("warehouse")):
        assert commands.stop_server(settings) == "PostgreSQL stopped."
    assert not server.is_running()


def test_a_server_that_does_not_answer_yet_is_stopped_too(
    make_home: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(home=make_home("stop"))
    EmbeddedServer(settings.home).start()
    with monkeypatch.context() as starting:
        starting.setattr(EmbeddedServer, "is_running", lambda self: False)
        assert commands.stop_server(settings) == "PostgreSQL stopped."
    assert commands.stop_server(settings) == "PostgreSQL was not running."
