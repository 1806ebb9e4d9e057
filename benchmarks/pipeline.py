"""The whole pipeline as a user runs it: seconds and peak memory of a first run, a quiet run, an hour, a day.

Memory is summed over every process of the home, PostgreSQL's included: RSS, in
which a page of shared buffers counts once for every process that has touched it.
"""

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

_SAMPLE_SECONDS = 0.5


@dataclass(frozen=True)
class Measured:
    """One command: wall-clock seconds, peak of the summed RSS in MiB."""

    seconds: float
    rss: float


def _memory(root: psutil.Process, home: Path) -> float:
    processes = {root.pid: root}
    with contextlib.suppress(psutil.NoSuchProcess):
        processes |= {child.pid: child for child in root.children(recursive=True)}
    for process in psutil.process_iter(["name", "cmdline"]):
        words = process.info["cmdline"] or []
        if process.info["name"] == "postgres" and any(str(home) in word for word in words):
            processes[process.pid] = process
            processes |= {child.pid: child for child in process.children(recursive=True)}
    rss = 0.0
    for process in processes.values():
        with contextlib.suppress(psutil.Error, OSError):
            rss += process.memory_info().rss
    return rss / 2**20


def measure(home: Path, *arguments: str) -> Measured:
    """Run ``warehouse`` with ``arguments`` in ``home`` and measure it.

    Raises:
        SystemExit: the command failed; its output is printed.
    """
    command = [sys.executable, "-c", "from warehouse_assets.cli import main; main()", *arguments]
    started = time.perf_counter()
    child = subprocess.Popen(
        command,
        env={**os.environ, "WAREHOUSE_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    peak = 0.0
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        root = psutil.Process(child.pid)
        while not done.wait(_SAMPLE_SECONDS):
            peak = max(peak, _memory(root, home))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    output, _ = child.communicate()
    seconds = time.perf_counter() - started
    done.set()
    watcher.join()
    if child.returncode != 0:
        print(output)
        raise SystemExit(f"warehouse {' '.join(arguments)} failed with status {child.returncode}")
    return Measured(seconds, peak)


def main() -> None:
    """Run the steps one after another in a new home and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", default="demo")
    parser.add_argument("--home", type=Path, help="keep the home here instead of a temporary folder")
    arguments = parser.parse_args()
    with contextlib.ExitStack() as stack:
        home = arguments.home or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="warehouse-bench-")))
        home.mkdir(parents=True, exist_ok=True)
        home.chmod(0o755)  # else the server's account keeps its data elsewhere, and its memory is not found
        stack.callback(measure, home, "stop")
        steps: list[tuple[str, tuple[str, ...], str]] = [
            ("first run", ("run", "--preset", arguments.preset), "240 s on demo, 60 s on small, 4096 MiB"),
            ("nothing new", ("run",), "12 s"),
            ("simulate 1 hour", ("simulate", "--hours", "1"), ""),
            ("route job", ("run", "--job", "route"), "20 s"),
            ("simulate 1 day", ("simulate", "--days", "1"), ""),
            ("next day", ("run",), ""),
        ]
        for name, words, reach in steps:
            measured = measure(home, *words)
            print(
                f"{name:16} {measured.seconds:7.1f} s   peak RSS {measured.rss:6.0f} MiB"
                f"{f'   (reach: at most {reach})' if reach else ''}",
                flush=True,
            )


if __name__ == "__main__":
    main()
