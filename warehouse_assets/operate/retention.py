"""What is kept of old runs: Dagster lets go of old ticks by itself, and of no run, event, check result or log."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from dagster import DagsterInstance, RunsFilter
from dagster._core.storage.dagster_run import FINISHED_STATUSES

#: As long as ticks are kept (dagster.yaml).
KEPT = timedelta(days=30)
#: These many stay however old they are: after a pause of months the pages of assets still tell how they came to be.
KEPT_RUNS = 200
#: Runs to let go of at a time: a tick has a minute, and a run takes some milliseconds.
_AT_ONCE = 100


def let_go_of_old_runs(instance: DagsterInstance, home: Path) -> int:
    """Delete the oldest runs with their events, check results and logs; return how many.

    What they brought stays, and so does the record of it in the warehouse (`etl.job_log`).
    """
    newest = instance.get_run_records(limit=KEPT_RUNS)
    if len(newest) < KEPT_RUNS:
        return 0
    before = min(datetime.now(UTC) - KEPT, newest[-1].create_timestamp)
    finished = RunsFilter(statuses=list(FINISHED_STATUSES), created_before=before)
    old = [record.dagster_run.run_id for record in instance.get_run_records(finished, limit=_AT_ONCE, ascending=True)]
    for run_id in old:
        instance.compute_log_manager.delete_logs(prefix=[run_id])
        (home / "log" / f"run-{run_id}.log").unlink(missing_ok=True)
        instance.delete_run(run_id)
    return len(old)
