"""The processes that `warehouse ui` starts, with a script in the place of Dagster."""

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from warehouse_assets.commands import ui
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
