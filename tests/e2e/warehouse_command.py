"""The command under test, run as a user runs it, and what running it needs."""

import os
import socket
import subprocess
import sys
from pathlib import Path


def run_command(home: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run ``warehouse`` as a user would, in ``home``."""
    return subprocess.run(
        [sys.executable, "-c", "from warehouse_assets.cli import main; main()", *arguments],
        env={**os.environ, "WAREHOUSE_HOME": str(home), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def free_port() -> int:
    """A port of this machine that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
