"""The web interface with the daemon beside it, as child processes that end with this one."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from warehouse_assets.commands.home import process_environment
from warehouse_assets.commands.server import revive_server, serving
from warehouse_assets.database.ports import is_free
from warehouse_assets.errors import UserError
from warehouse_assets.settings import PROJECT_ROOT, Settings

_STOP_SECONDS = 30
_POLL_SECONDS = 0.2
_LOOK_SECONDS = 2.0
_PATIENCE_SECONDS = 30.0


def check_port(port: int) -> None:
    """Make sure the port of the web interface is free.

    Raises:
        UserError: another program listens on it.
    """
    if not is_free(port):
        raise UserError(
            f"Port {port} on 127.0.0.1 is taken; stop the program that holds it or choose another with --port."
        )


def serve_ui(settings: Settings, port: int) -> int:
    """Serve the UI on 127.0.0.1 and run the daemon until interrupted; return the exit status.

    An embedded server that crashes meanwhile is started again; one that is stopped stays so. What Dagster's processes
    say goes to ``log/ui.log`` below the home, what they said the time before is in ``ui.log.1``.

    Raises:
        UserError: the port is taken.
    """
    check_port(port)
    command = [
        *_ending_with_us(),
        str(Path(sys.executable).with_name("dagster")),
        "dev",
        "-w",
        str(PROJECT_ROOT / "workspace.yaml"),
        "-h",
        "127.0.0.1",
        "-p",
        str(port),
        # a code server each for web server and daemon: the daemon's, when killed, comes back; a shared one does not
        "--use-legacy-code-server-behavior",
    ]
    environment = process_environment(settings)
    stopping = threading.Event()

    def stop(signum: int, frame: object) -> None:
        stopping.set()

    # Set before the child starts: a process started in the background inherits SIGINT ignored, and would pass that on.
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, stop)
    log_path = settings.home / "log" / "ui.log"
    log_path.parent.mkdir(parents=True, exist_ok=True)
    if log_path.exists():
        log_path.replace(log_path.with_suffix(".log.1"))
    print("Starting Dagster …", flush=True)
    with serving(settings) as lock, log_path.open("wb") as log:
        child = subprocess.Popen(
            command,
            env=environment,
            cwd=environment["DAGSTER_HOME"],
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=[lock],
        )
        try:
            look_at, is_told = time.monotonic(), False
            while child.poll() is None and not stopping.wait(_POLL_SECONDS):
                if not is_told and (is_told := not is_free(port)):
                    url = f"http://127.0.0.1:{port}"
                    print(f"Serving the UI on {url}, schedules running; Ctrl-C stops all of it.", flush=True)
                if time.monotonic() > look_at:
                    look_at = time.monotonic() + _look_after(settings)
        finally:
            _end(child)
    if stopping.is_set():
        return 0
    print(f"warehouse: Dagster ended by itself; {log_path} says why.", file=sys.stderr, flush=True)
    return 1


def _ending_with_us() -> list[str]:
    """What has the kernel interrupt the child when this process is killed and can end nothing itself (Linux)."""
    setpriv = shutil.which("setpriv") if sys.platform == "linux" else None
    return [setpriv, "--pdeathsig", "INT", "--"] if setpriv else []


def _look_after(settings: Settings) -> float:
    """See that a crashed server runs again; return the seconds until it is to be looked at again."""
    try:
        if revive_server(settings):
            print("PostgreSQL had ended by itself and was started again.", flush=True)
    except UserError as error:
        print(f"warehouse: {error}", file=sys.stderr, flush=True)
        return _PATIENCE_SECONDS
    return _LOOK_SECONDS


def _end(child: subprocess.Popen[bytes]) -> None:
    """End the child, if it lives, with all it started: politely, then by force; runs are given time to note it."""
    for polite, patience in ((signal.SIGINT, _STOP_SECONDS), (signal.SIGTERM, 5)):
        with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
            child.send_signal(polite)
            child.wait(patience)
            break
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
