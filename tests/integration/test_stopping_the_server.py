"""Stopping the embedded server by command: at once, or only when nobody uses it."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from warehouse_assets.commands import server as commands
from warehouse_assets.database.embedded import EmbeddedServer
from warehouse_assets.errors import UserError
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


# Regression: nothing was said of a UI that the server was stopped under, which then fails over and over.
def test_stop_tells_of_a_running_ui(make_home: Callable[[str], Path]) -> None:
    settings = Settings(home=make_home("stop"))
    server = EmbeddedServer(settings.home)
    server.start()
    with commands.serving(settings):
        assert "A `warehouse ui` still runs and needs it: end that with Ctrl-C" in commands.stop_server(settings)
    server.start()
    assert commands.stop_server(settings) == "PostgreSQL stopped."


# Regression: a run that had just begun started the server again, and one whose home was reset made an empty one.
@pytest.mark.parametrize("how", ["stop", "destroy"])
def test_a_server_that_another_process_stopped_or_removed_stays_so(how: str, make_home: Callable[[str], Path]) -> None:
    home = make_home("stop")
    server = EmbeddedServer(home)
    server.start()
    code = "import sys, pathlib; from warehouse_assets.database.embedded import EmbeddedServer as Server"
    code = f"{code}; Server(pathlib.Path(sys.argv[1])).{how}()"
    subprocess.run([sys.executable, "-c", code, str(home)], check=True)
    with pytest.raises(UserError, match="PostgreSQL stopped"):
        server.start()
    assert not server.is_running()
    assert (home / "postgres").exists() == (how == "stop")
    started = code.replace(f".{how}()", ".start()")
    subprocess.run([sys.executable, "-c", started, str(home)], check=True)
    server.start()  # somebody started it again
    server.stop()
    server.start()  # who stopped it was this process


def test_a_server_that_does_not_answer_yet_is_stopped_too(
    make_home: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(home=make_home("stop"))
    EmbeddedServer(settings.home).start()
    with monkeypatch.context() as starting:
        starting.setattr(EmbeddedServer, "is_running", lambda self: False)
        assert commands.stop_server(settings) == "PostgreSQL stopped."
    assert commands.stop_server(settings) == "PostgreSQL was not running."


# Regression: a server that was stopped while it was being looked at counted as crashed, and the UI started it again.
def test_a_server_stopped_meanwhile_has_not_crashed(make_home: Callable[[str], Path]) -> None:
    class Watched(EmbeddedServer):
        looks = 0

        def _pid_file(self) -> list[str]:
            lines = super()._pid_file()
            self.looks += 1
            if self.looks == 1:
                EmbeddedServer(self.home).stop()
            return lines

    home = make_home("stop")
    EmbeddedServer(home).start()
    watched = Watched(home)
    assert not watched.has_crashed()
    assert not EmbeddedServer(home).is_running()


# Regression: "Removed" was said of what was still there.
def test_a_home_that_cannot_be_removed_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="/file could not be removed"):
        commands.reset_home(Settings(home=tmp_path / "file"), confirmed=True)


# Regression: WAREHOUSE_HOME=. made reset remove the clone.
@pytest.mark.parametrize("home", [Path("/"), commands.PROJECT_ROOT, Path.home()])
def test_reset_removes_no_folder_that_holds_more_than_a_warehouse(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def remove(*_arguments: object) -> None:
        raise AssertionError("it was removed")

    monkeypatch.setattr(commands.shutil, "rmtree", remove)
    monkeypatch.setattr(EmbeddedServer, "destroy", remove)
    with pytest.raises(UserError, match="which `warehouse reset` would remove"):
        commands.reset_home(Settings(home=home), confirmed=True)


# Regression: any folder that WAREHOUSE_HOME named was removed, whatever was in it.
def test_reset_removes_no_folder_that_was_never_a_home(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").touch()
    with pytest.raises(UserError, match="holds files, and none of the warehouse's; set WAREHOUSE_HOME"):
        commands.reset_home(Settings(home=tmp_path), confirmed=True)
    assert (tmp_path / "letter.txt").exists()


# Regression: a traceback.
def test_a_home_with_a_name_too_long_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot be used \(File name too long\)"):
        commands.stop_server(Settings(home=tmp_path / ("x" * 300)))
