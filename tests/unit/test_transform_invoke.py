"""dbt as a program that is started: it never outlives what waits for it."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from warehouse_assets.transform.invoke import ended_on_leaving

_STUBBORN = (
    "import signal, sys, time; signal.signal(signal.SIGINT, signal.SIG_IGN); print(1, flush=True); time.sleep(60)"
)


@contextmanager
def started(code: str) -> Iterator[subprocess.Popen[bytes]]:
    """A program that runs, and has said so."""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"1\n"
        yield process


# Regression: a step that lost its connection ended, and dbt went on building where nothing kept raw still.
@pytest.mark.parametrize("code", ["import time; print(1, flush=True); time.sleep(60)", _STUBBORN])
def test_no_dbt_outlives_a_step_that_fails(code: str) -> None:
    with started(code) as process:
        with pytest.raises(ConnectionError), ended_on_leaving(process, seconds=0.5):
            raise ConnectionError
        assert process.poll() is not None
