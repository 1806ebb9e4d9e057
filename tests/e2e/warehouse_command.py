"""The command under test, run as a user runs it."""

import os
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
