"""A home filled once by the command a user types, shared by the tests that look at what is in it."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from warehouse_command import run_command


@pytest.fixture(scope="session")
def new_home() -> Iterator[Callable[[str], Path]]:
    """A function that makes an empty home; all are stopped and removed at the end."""
    made: list[Path] = []

    def make(label: str) -> Path:
        home = Path(tempfile.mkdtemp(prefix=f"warehouse-test-{os.getpid()}-{label}-"))
        home.chmod(0o755)
        made.append(home)
        return home

    yield make
    for home in made:
        run_command(home, "reset", "--yes")
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def filled_home(new_home: Callable[[str], Path]) -> Path:
    """A home after a first run on a company just large enough for a churn model."""
    home = new_home("filled")
    outcome = run_command(home, "run", "--preset", "small", "--set", "customers=300", "--set", "days=330")
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    (home / "first-run.txt").write_text(outcome.stdout)
    return home
