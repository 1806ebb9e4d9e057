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
    with pytest.raises(UserError, match="/file is a file; set WAREHOUSE_HOME"):
        commands.reset_home(Settings(home=tmp_path / "file"), confirmed=True)


# Regression: WAREHOUSE_HOME=. made reset remove the clone.
@pytest.mark.parametrize("home", [Path("/"), commands.PROJECT_ROOT, Path.home()])
def test_reset_removes_no_folder_that_holds_more_than_a_warehouse(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def remove(*_arguments: object) -> None:
        raise AssertionError("it was removed")

    monkeypatch.setattr(commands.shutil, "rmtree", remove)
    monkeypatch.setattr(EmbeddedServer, "destroy", remove)
    with pytest.raises(UserError, match="so it is not reset"):
        commands.reset_home(Settings(home=home), confirmed=True)


def write(home: Path, *files: str) -> Path:
    """Write files under a home, folders where a name ends in a slash; a text may follow after an equals sign."""
    for name, _, text in (file.partition("=") for file in files):
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir() if name.endswith("/") else path.write_text(text)
    return home


OURS = ("dbt/parse.lock", "dbt/manifest.json", "dagster/dagster.yaml=module: warehouse_assets.operate.storage")
RUN = "log/run-210afd12-e53f-4960-b031-ad0522ab4351.log"


# Regression: any folder that WAREHOUSE_HOME named was removed, whatever was in it; later any that held a `log`.
@pytest.mark.parametrize(
    "files",
    [
        ("letter.txt",),
        ("log/", "precious/file"),
        ("log/syslog", "lib/file"),  # /var
        (RUN, "log/ui.log"),
        ("dbt/dbt_project.yml", "dbt/manifest.json"),
        ("dagster/dagster.yaml=telemetry: {enabled: false}", "dagster/history/runs.db"),
        ("postgres/data/PG_VERSION=18",),
    ],
)
def test_reset_removes_nothing_from_a_folder_that_was_never_a_home(files: tuple[str, ...], tmp_path: Path) -> None:
    before = sorted(write(tmp_path, *files).rglob("*"))
    with pytest.raises(UserError, match="holds files, and none of the warehouse's; set WAREHOUSE_HOME"):
        commands.reset_home(Settings(home=tmp_path), confirmed=True)
    assert sorted(tmp_path.rglob("*")) == before


# Regression: what somebody else had put into a home was removed with it.
def test_reset_leaves_what_is_not_the_warehouses_and_names_it(make_home: Callable[[str], Path]) -> None:
    home = make_home("reset")
    EmbeddedServer(home).start()
    write(home, *OURS, RUN, "log/ui.log", "ui.lock", "log/syslog", "precious/file", "notes.txt")
    assert (home / "log" / "postgres").exists()
    said = commands.reset_home(Settings(home=home), confirmed=True)
    assert said == f"Removed the warehouse from {home}; what else is in it stays: log, notes.txt, precious."
    left = {str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()}
    assert left == {"log/syslog", "notes.txt", "precious/file"}
    with pytest.raises(UserError, match="holds files, and none of the warehouse's"):
        commands.reset_home(Settings(home=home), confirmed=True)


@pytest.mark.parametrize(
    "files",
    [
        (),
        ("postgres/",),
        ("postgres/lock", "postgres/new-0123abcd/base/1", "log/postgres/startup.log"),
        ("postgres/lock", "dbt/", "dagster/"),
        ("postgres-removed-0123abcd/data/PG_VERSION", *OURS, RUN),
        (*OURS, RUN, "log/ui.log", "ui.lock"),
        ("dbt-removed-0123abcd/manifest.json",),
        ("log/", "dagster-removed-0123abcd/dagster.yaml"),
        ("log/",),
    ],
)
def test_reset_removes_a_home_that_was_left_half_made_or_half_removed(files: tuple[str, ...], tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    assert commands.reset_home(Settings(home=write(home, *files)), confirmed=True) == f"Removed {home}."
    assert not home.exists()


# What is removed first of a folder may be the file that it is known by.
@pytest.mark.parametrize("step", range(5))
def test_a_reset_that_was_killed_is_finished_by_the_next(
    step: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = write(tmp_path / "home", *OURS, RUN, "log/ui.log", "ui.lock", "precious/file")
    remove, removed = commands._remove, []

    def killed(path: Path) -> None:
        if len(removed) == step:
            for first in (*path.glob("*.lock"), *path.glob("*.yaml")):
                remove(first)
            raise KeyboardInterrupt
        removed.append(path)
        remove(path)

    settings = Settings(home=home)
    with monkeypatch.context() as dying:
        dying.setattr(commands, "_remove", killed)
        with pytest.raises(KeyboardInterrupt):
            commands.reset_home(settings, confirmed=True)
    commands.reset_home(settings, confirmed=True)
    assert [path.name for path in home.iterdir()] == ["precious"]


# Regression: a traceback.
def test_a_home_with_a_name_too_long_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot be used \(File name too long\)"):
        commands.stop_server(Settings(home=tmp_path / ("x" * 300)))
