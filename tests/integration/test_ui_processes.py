"""The processes that `warehouse ui` starts, with a script in the place of Dagster."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from warehouse_assets.commands import server, ui
from warehouse_assets.settings import Settings


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    """Serving sets handlers of its own."""
    names = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(name) for name in names]
    yield
    for name, handler in zip(names, before, strict=True):
        signal.signal(name, handler)


# Regression: when Dagster's own process was killed, its webserver and daemon stayed, and with them the port.
def test_what_dagster_has_started_ends_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script, note = tmp_path / "dagster", tmp_path / "pid"
    script.write_text(f"#!/bin/sh\nsleep 300 &\necho $! > {note}\nkill -9 $$\n", encoding="utf-8")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert ui.serve_ui(Settings(home=tmp_path / "home"), 0) == 1
    started = int(note.read_text())
    _, alive = psutil.wait_procs([psutil.Process(started)] if psutil.pid_exists(started) else [], timeout=5)
    assert not [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]


# Regression: the log that was said to tell why Dagster had ended was emptied by the next start.
def test_what_dagster_said_the_time_before_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script, logs = tmp_path / "dagster", tmp_path / "home" / "log"
    script.write_text("#!/bin/sh\necho started $(ls " + str(logs) + " | wc -l)\n", encoding="utf-8")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    for _ in range(3):
        assert ui.serve_ui(Settings(home=tmp_path / "home"), 0) == 1
    assert {path.name: path.read_text() for path in logs.iterdir()} == {
        "ui.log": "started 2\n", "ui.log.1": "started 2\n"
    }  # fmt: skip


# Regression: five processes of Dagster stayed for ever, schedules included, and `stop` did not mention them.
@pytest.mark.skipif(not ui._ending_with_us(), reason="needs Linux with setpriv")
def test_a_killed_ui_leaves_no_process_behind(tmp_path: Path) -> None:
    script, note, home = tmp_path / "dagster", tmp_path / "pid", tmp_path / "home"
    script.write_text(
        f"#!/bin/sh\ntrap 'kill $sleep; sleep 1; exit' INT\nsleep 300 & sleep=$!\necho $$ $sleep > {note}\nwait\n",
        encoding="utf-8",
    )
    script.chmod(0o755)
    code = (
        "import sys, pathlib; from warehouse_assets.commands import ui; from warehouse_assets.settings import Settings;"
    )
    code += "sys.executable = sys.argv[1]; ui.serve_ui(Settings(home=pathlib.Path(sys.argv[2])), 0)"
    served = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "python"), str(home)])
    deadline = time.monotonic() + 60
    while not (note.exists() and note.read_text().strip()) and time.monotonic() < deadline:
        time.sleep(0.05)
    left = [psutil.Process(int(pid)) for pid in note.read_text().split()]
    served.kill()
    served.wait()
    assert server._is_served(Settings(home=home)), "as long as what it started lives, it is served"
    _, alive = psutil.wait_procs(left, timeout=10)
    assert not [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]
    assert not server._is_served(Settings(home=home))
