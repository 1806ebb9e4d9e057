"""Runs whose process is gone are told from those that live, by the lock that a run holds."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from dagster import DagsterInstance, DagsterRunStatus
from dagster._core.events import DagsterEvent, DagsterEventType
from dagster._core.test_utils import create_run_for_test

from warehouse_assets.database.connections import connect
from warehouse_assets.database.run_lock import is_alive, run_lock
from warehouse_assets.operate import failed_runs

HOLD = """
import sys, time
from warehouse_assets.database.run_lock import run_lock
with run_lock(sys.argv[1], "killed"), run_lock(sys.argv[1], "killed"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture(name="watcher")
def watcher_fixture(warehouse_url: str) -> Iterator[psycopg.Connection]:
    with closing(connect(warehouse_url, application_name="test", autocommit=True)) as connection:
        yield connection


def test_a_killed_process_lets_go_of_its_run(warehouse_url: str, watcher: psycopg.Connection) -> None:
    command = [sys.executable, "-c", HOLD, warehouse_url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert is_alive(watcher, "killed")
        assert not is_alive(watcher, "another")
        holder.kill()
    deadline = time.monotonic() + 10
    while is_alive(watcher, "killed"):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_runs_without_a_process_are_closed(warehouse_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with DagsterInstance.local_temp(str(tmp_path)) as instance:

        def begin(status: DagsterRunStatus, **tags: str) -> str:
            return create_run_for_test(instance, status=status, tags=tags).run_id

        waiting = begin(DagsterRunStatus.STARTING)
        # from the UI, once more: the daemon's, with the tags of the command's
        repeated = create_run_for_test(
            instance,
            status=DagsterRunStatus.STARTING,
            tags={"cause": failed_runs.COMMAND},
            parent_run_id=waiting,
            root_run_id=waiting,
        ).run_id
        lives = begin(DagsterRunStatus.STARTED, cause=failed_runs.COMMAND)
        killed = [
            begin(status, cause=failed_runs.COMMAND)
            for status in (DagsterRunStatus.NOT_STARTED, DagsterRunStatus.STARTED)
        ]
        with run_lock(warehouse_url, lives):
            assert set(failed_runs.close_dead_runs(instance, warehouse_url)) == set(killed)
        ended = {run.run_id for run in instance.get_runs() if run.status is DagsterRunStatus.FAILURE}
        assert ended == set(killed)

        daemons = begin(DagsterRunStatus.NOT_STARTED)
        run = instance.get_run_by_id(daemons)
        assert run is not None
        instance.report_dagster_event(
            DagsterEvent(event_type_value=DagsterEventType.RUN_START.value, job_name=run.job_name), run_id=daemons
        )
        assert failed_runs.close_dead_runs(instance, warehouse_url) == [lives]
        monkeypatch.setattr(failed_runs, "_LOCK_WITHIN", -1.0)
        assert failed_runs.close_dead_runs(instance, warehouse_url) == [daemons]
        assert not {waiting, repeated} & {run.run_id for run in instance.get_runs() if run.is_finished}
