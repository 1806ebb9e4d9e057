"""Running one job in this process while somebody watches. What to run and what to say of it belongs to the caller."""

import contextlib
import gc
import logging
import os
import re
import sys
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from warehouse_assets.database.connections import connect, resolve
from warehouse_assets.database.run_lock import is_alive, run_lock
from warehouse_assets.database.trouble import STOPPED, trouble
from warehouse_assets.errors import UnreachableError, UserError
from warehouse_assets.operate.home import process_environment
from warehouse_assets.operate.progress import OnProgress
from warehouse_assets.settings import Settings

if TYPE_CHECKING:
    from dagster import DagsterEvent, DagsterInstance

_POLL_SECONDS = 0.5

#: Connections to Dagster's storage are kept for the run instead of one for each of its thousand events (20 ms each);
#: a statement of it may take ten minutes, far more than any does.
_STATEMENT_MILLISECONDS = 600_000
_RECYCLE_SECONDS = 3_600
_MOST_CONNECTIONS = 8

#: Tag that tells what began a run; runs begun by the command hold their lock before they are made.
_CAUSE_TAG, COMMAND = "cause", "warehouse run"
#: Seconds after its start in which a run of the daemon has its lock.
_LOCK_WITHIN = 120.0


#: What psycopg calls the ends of a server that it was connected to.
_SHUTDOWNS = ("AdminShutdown", "CrashShutdown", "CannotConnectNow")
_USER_ERRORS = (UserError.__name__, UnreachableError.__name__)


@dataclass
class RunOutcome:
    """What came of a run: ``failures`` holds one sentence for each failed step."""

    run_id: str
    is_success: bool
    checks_passed: int = 0
    checks_warned: list[str] = field(default_factory=list)
    checks_failed: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


def _dbt_sentence(said: str) -> str:
    """What dbt says of its errors, without its progress, its macros and the words it has for a test that fails."""
    words = " ".join(said.split())
    words = re.sub(r"\d+ of \d+ (FAIL|ERROR) [^\[]*\[\1[^\]]*\] ?", "", words) or words
    words = re.sub(r" > (in|called by) \w+ \S+ \(\S+\)", "", words)
    words = re.sub(r"Failure in model \S+ \(\S+\) (?=\w+ Error in model )", "", words)
    return re.sub(
        r"Failure in test (\S+) \((\S+)\) Got (\d+) results?, configured to fail if \S+ \S+",
        lambda found: f"test {found[1]} found {found[3]} row{'s' * (found[3] != '1')} ({found[2]});",
        words,
    ).rstrip(";")


def failure_sentence(event: "DagsterEvent") -> str:
    """One sentence for a failed step, or for a run that failed outside its steps.

    It is the user's error where there is one, else the innermost cause.
    """
    is_step = event.is_step_failure
    error = event.step_failure_data.error if is_step else event.job_failure_data.error
    while error is not None and error.cause is not None:
        if error.cls_name in _USER_ERRORS:
            break
        error = error.cause
    if error is None:
        return f"{event.step_key} failed; the run's log in the UI says more." if is_step else event.message or ""
    message = error.message.strip()
    if error.cls_name == "DagsterAssetCheckFailedError":
        message = "a blocking check failed; what reads this was not run"
    elif error.cls_name == "DagsterDbtCliRuntimeError":
        _, _, said = message.partition("Errors parsed from dbt logs:")
        message = _dbt_sentence(said) or "dbt was ended before it was done; what it had committed stays, run again"
    elif error.cls_name in _SHUTDOWNS:
        message = STOPPED
    elif error.cls_name == "DagsterExecutionInterruptedError":
        message = "it was interrupted; what was finished stays, run again to go on"
    elif error.cls_name == "ValidationError" and (complaint := re.search(r"Value error, (.*?) \[type=", message)):
        message = complaint[1]
    else:
        message = re.sub(rf"^([\w.]+\.)?{re.escape(error.cls_name or '')}: ", "", message)
    return f"{event.step_key}: {message}" if is_step else message


def run_config(options: Mapping[str, Any]) -> dict[str, Any]:
    """The run configuration that hands ``options`` to the run; None values are left to their defaults."""
    config = {name: value for name, value in options.items() if value is not None}
    return {
        "resources": {"options": {"config": config}},
        "loggers": {"console": {"config": {"log_level": "ERROR"}}},
    }


def _watch(
    instance: "DagsterInstance", run_id: str, steps: int, on_progress: OnProgress, done: threading.Event
) -> None:
    from dagster import DagsterEventType

    watched = {
        DagsterEventType.STEP_START,
        DagsterEventType.STEP_SUCCESS,
        DagsterEventType.STEP_FAILURE,
        DagsterEventType.STEP_SKIPPED,
        DagsterEventType.ASSET_MATERIALIZATION,
    }
    cursor, finished, step = None, 0, ""
    while not done.wait(_POLL_SECONDS):
        try:
            connection = instance.get_records_for_run(run_id, cursor=cursor, of_type=watched)
        except Exception as error:
            if trouble(error):
                return  # the run itself finds out, and says so
            raise
        cursor = connection.cursor
        for record in connection.records:
            event = record.event_log_entry.get_dagster_event()
            if event.event_type is DagsterEventType.STEP_START:
                step = event.step_key or ""
                on_progress(step, finished, steps)
            elif event.event_type is not DagsterEventType.ASSET_MATERIALIZATION:
                finished += 1
                on_progress(step, finished, steps)


def close_dead_runs(instance: "DagsterInstance", warehouse_url: str) -> list[str]:
    """Mark as failed the runs whose process is gone: killed, it could not say so itself. Return their ids."""
    from dagster import DagsterRunStatus, RunsFilter

    statuses = [
        DagsterRunStatus.NOT_STARTED,
        DagsterRunStatus.STARTING,
        DagsterRunStatus.STARTED,
        DagsterRunStatus.CANCELING,
    ]
    closed = []
    with contextlib.closing(connect(warehouse_url, application_name="warehouse runs", autocommit=True)) as connection:
        for record in instance.get_run_records(filters=RunsFilter(statuses=statuses)):
            run, started = record.dagster_run, record.start_time
            # A command holds its lock before the run is made; the daemon's runs take it once they have started.
            holds = run.tags.get(_CAUSE_TAG) == COMMAND or (
                started is not None and time.time() - started > _LOCK_WITHIN
            )
            if holds and not is_alive(connection, run.run_id):
                instance.report_run_failed(
                    run, "The run's process ended before the run did; what it had committed stays."
                )
                closed.append(run.run_id)
    return closed


def prepare_instance(settings: Settings) -> None:
    """Load Dagster and make its storage, which needs no definitions: dbt may still be reading its project.

    Raises:
        UserError: Dagster's database or the home cannot be used.
    """
    os.environ.update(process_environment(settings))
    gc.disable()  # there is nothing to collect among what is imported
    import dagster_dbt  # noqa: F401  half of the seconds that the definitions take to load
    from dagster import DagsterInstance

    gc.freeze()  # as in definitions
    gc.enable()

    with DagsterInstance.get():
        pass


def launch_job(settings: Settings, job_name: str, options: Mapping[str, Any], on_progress: OnProgress) -> RunOutcome:
    """Run a job of the code location in this process and report what came of it.

    dbt's and the libraries' own output goes to ``log/run-<run id>.log`` below the home.

    Raises:
        UserError: the database or the home cannot be used.
    """
    os.environ.update(process_environment(settings))
    sys.unraisablehook = lambda _: None  # a dbt left in the middle is closed, with a traceback after the sentence
    logging.raiseExceptions = False  # where the server is gone, a record that cannot be stored is no news of its own
    from dagster import DagsterEventType, DagsterInstance

    from warehouse_assets.definitions import defs

    databases = resolve(settings)
    run_id = str(uuid.uuid4())
    log_path = settings.home / "log" / f"run-{run_id}.log"
    log_path.parent.mkdir(parents=True, exist_ok=True)
    done = threading.Event()
    with DagsterInstance.get() as instance, log_path.open("w") as log:
        instance.optimize_for_webserver(_STATEMENT_MILLISECONDS, _RECYCLE_SECONDS, _MOST_CONNECTIONS)
        close_dead_runs(instance, databases.warehouse)
        job = defs.resolve_job_def(job_name)
        watcher = threading.Thread(
            target=_watch, args=(instance, run_id, len(job.nodes), on_progress, done), daemon=True
        )
        watcher.start()
        try:
            with (
                run_lock(databases.warehouse, run_id),
                contextlib.redirect_stdout(log),
                contextlib.redirect_stderr(log),
            ):
                result = job.execute_in_process(
                    run_config=run_config(options),
                    instance=instance,
                    raise_on_error=False,
                    run_id=run_id,
                    tags={_CAUSE_TAG: COMMAND},
                )
        finally:
            done.set()
            watcher.join()
        outcome = RunOutcome(run_id, result.success)
        for event in result.all_events:
            if event.event_type is DagsterEventType.ASSET_CHECK_EVALUATION:
                check = event.asset_check_evaluation_data
                name = f"{check.asset_key.to_user_string()}: {check.check_name}"
                if check.passed:
                    outcome.checks_passed += 1
                elif check.severity.value == "WARN":
                    outcome.checks_warned.append(name)
                else:
                    outcome.checks_failed.append(f"{name}: {check.description}" if check.description else name)
            elif event.is_step_failure:
                outcome.failures.append(failure_sentence(event))
    return outcome
