"""The web interface with the daemon beside it, as child processes that end with this one."""

import contextlib
import signal
import socket
import subprocess
import sys
from pathlib import Path

from warehouse_assets.errors import UserError
from warehouse_assets.operate.home import process_environment
from warehouse_assets.settings import PROJECT_ROOT, Settings

_STOP_SECONDS = 30


def check_port(port: int) -> None:
    """Make sure the port of the web interface is free.

    Raises:
        UserError: another program listens on it.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise UserError(
                f"Port {port} on 127.0.0.1 is taken; stop the program that holds it or choose another with --port."
            ) from error


def serve_ui(settings: Settings, port: int) -> int:
    """Serve the UI on 127.0.0.1 and run the daemon until interrupted; return the exit status.

    Raises:
        UserError: the port is taken.
    """
    check_port(port)
    command = [
        str(Path(sys.executable).with_name("dagster")),
        "dev",
        "-w",
        str(PROJECT_ROOT / "workspace.yaml"),
        "-h",
        "127.0.0.1",
        "-p",
        str(port),
    ]
    environment = process_environment(settings)
    # The daemon's children stop in their own time: we wait for them instead of leaving them behind.
    child = subprocess.Popen(command, env=environment, cwd=environment["DAGSTER_HOME"], start_new_session=True)

    def stop(signum: int, frame: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            child.send_signal(signal.SIGINT)

    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, stop)
    while True:
        try:
            status = child.wait()
            break
        except KeyboardInterrupt:
            stop(signal.SIGINT, None)
    return 0 if status in (0, -signal.SIGINT, 130) else 1
