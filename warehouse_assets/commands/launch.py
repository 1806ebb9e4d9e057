"""Running one job in this process while somebody watches. What to run and what to say of it belongs to the caller."""

import contextlib
import gc
import logging
import os
import sys
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TextIO

import psycopg

from warehouse_assets.commands.home import process_environment
from warehouse_assets.commands.progress import OnProgress
from warehouse_assets.database.databases import resolve
from warehouse_assets.database.run_lock import run_lock
from warehouse_assets.database.trouble import trouble
from warehouse_assets.errors import UserError
from warehouse_assets.operate.failed_runs import CAUSE_TAG, COMMAND, close_dead_runs, failure_sentences, note_failure
from warehouse_assets.settings import Settings
from warehouse_assets.telling import WATCHED

if TYPE_CHECKING:
    from dagster import DagsterEvent, DagsterInstance
    from dagster._core.remote_origin import RemoteJobOrigin

_POLL_SECONDS = 0.5
#: As in ``workspace.yaml``.
CODE_LOCATION = "warehouse"
#: The daemon starts a run of its own once more when its process died; a command is repeated by whoever gave it.
_NOT_RETRIED = {"dagster/max_retries": "0"}

#: Connections to Dagster's storage are kept for the run instead of one for each of its thousand events (20 ms each);
#: a statement of it may take ten minutes, far more than any does.
_STATEMENT_MILLISECONDS = 600_000
_RECYCLE_SECONDS = 3_600
_MOST_CONNECTIONS = 8


@dataclass
class RunOutcome:
    """What came of a run.

    ``failures`` holds one sentence for each way in which steps failed, ``notes`` what extraction did otherwise than
    usual, and why.
    """

    run_id: str
    is_success: bool
    checks_passed: int = 0
    checks_warned: list[str] = field(default_factory=list)
    checks_failed: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def run_config(options: Mapping[str, Any]) -> dict[str, Any]:
    """The run configuration that hands ``options`` to the run; None values are left to their defaults."""
    config = {name: value for name, value in options.items() if value is not None}
    return {
        "resources": {"options": {"config": config}},
        "loggers": {"console": {"config": {"log_level": "ERROR"}}},
    }


class Watch(logging.Handler):
    """Shows a run that goes on in this process: the steps as its events tell of them, and what they tell themselves."""

    def __init__(self, steps: int, on_progress: OnProgress) -> None:
        super().__init__()
        self._steps = steps
        self._finished = 0
        self._on_progress = on_progress
        self._done = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        """Show what the run tells of itself."""
        self._on_progress(record.getMessage(), self._finished, self._steps)

    @contextlib.contextmanager
    def shown(self, instance: "DagsterInstance", run_id: str) -> Iterator[None]:
        """Show the run as long as this is open."""
        follower = threading.Thread(target=self._follow, args=(instance, run_id), daemon=True)
        follower.start()
        WATCHED.addHandler(self)
        try:
            yield
        finally:
            WATCHED.removeHandler(self)
            self._done.set()
            follower.join()

    def _follow(self, instance: "DagsterInstance", run_id: str) -> None:
        from dagster import DagsterEventType

        ends = {DagsterEventType.STEP_SUCCESS, DagsterEventType.STEP_FAILURE, DagsterEventType.STEP_SKIPPED}
        cursor, step = None, ""
        while not self._done.wait(_POLL_SECONDS):
            try:
                found = instance.get_records_for_run(
                    run_id, cursor=cursor, of_type={DagsterEventType.STEP_START, *ends}
                )
            except Exception as error:
                if trouble(error):
                    return  # the run itself finds out, and says so
                raise
            cursor = found.cursor
            for record in found.records:
                event = record.event_log_entry.get_dagster_event()
                if event.event_type in ends:
                    self._finished += 1
                else:
                    step = event.step_key or ""
                self._on_progress(step, self._finished, self._steps)


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


def _outcome(run_id: str, is_success: bool, events: Sequence["DagsterEvent"]) -> RunOutcome:
    """What the events of a run say of its checks and failures."""
    outcome = RunOutcome(run_id, is_success)
    for event in events:
        if event.event_type_value == "ASSET_CHECK_EVALUATION":
            check = event.asset_check_evaluation_data
            name = f"{check.asset_key.to_user_string()}: {check.check_name}"
            if check.passed:
                outcome.checks_passed += 1
            elif check.severity.value == "WARN":
                outcome.checks_warned.append(name)
            else:
                outcome.checks_failed.append(f"{name}: {check.description}" if check.description else name)
        elif event.is_step_materialization and (
            said := event.step_materialization_data.materialization.metadata.get("warnings")
        ):
            outcome.notes.append(str(said.value))
    failed = [event for event in events if event.is_step_failure]
    outcome.failures = failure_sentences(failed or [event for event in events if event.is_run_failure])
    return outcome


@contextlib.contextmanager
def _programs_errors_into(log: TextIO) -> Iterator[None]:
    """Let ``log`` have the standard error of programs started meanwhile: Dagster's end in tracebacks at Ctrl-C."""
    with os.fdopen(os.dup(2), "wb") as terminal:
        os.dup2(log.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(terminal.fileno(), 2)


def _origin(job_name: str) -> "RemoteJobOrigin":
    """Where the UI finds a run's job: without it, the run is on no timeline and cannot be executed again from there."""
    from dagster._core.remote_origin import (
        ManagedGrpcPythonEnvCodeLocationOrigin,
        RemoteJobOrigin,
        RemoteRepositoryOrigin,
    )
    from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

    target = LoadableTargetOrigin(module_name="warehouse_assets.definitions")
    location = ManagedGrpcPythonEnvCodeLocationOrigin(target, CODE_LOCATION)
    return RemoteJobOrigin(RemoteRepositoryOrigin(location, "__repository__"), job_name)


def launch_job(settings: Settings, job_name: str, options: Mapping[str, Any], on_progress: OnProgress) -> RunOutcome:
    """Run a job of the code location in this process and report what came of it.

    dbt's and the libraries' own output goes to ``log/run-<run id>.log`` below the home.

    Raises:
        UserError: the database or the home cannot be used.
    """
    os.environ.update(process_environment(settings))
    sys.unraisablehook = lambda _: None  # a dbt left in the middle is closed, with a traceback after the sentence
    logging.getLogger().addHandler(logging.NullHandler())  # a library's first warning would set up one that prints
    logging.raiseExceptions = False  # where the server is gone, a record that cannot be stored is no news of its own
    from dagster import DagsterInstance
    from dagster._core.definitions.job_base import InMemoryJob
    from dagster._core.execution.api import execute_run

    from warehouse_assets.definitions import defs

    databases = resolve(settings)
    run_id = str(uuid.uuid4())
    log_path = settings.home / "log" / f"run-{run_id}.log"
    log_path.parent.mkdir(parents=True, exist_ok=True)
    with DagsterInstance.get() as instance, log_path.open("w") as log:
        instance.optimize_for_webserver(_STATEMENT_MILLISECONDS, _RECYCLE_SECONDS, _MOST_CONNECTIONS)
        close_dead_runs(instance, databases.warehouse)
        job = defs.resolve_job_def(job_name)
        with (
            Watch(len(job.nodes), on_progress).shown(instance, run_id),
            run_lock(databases.warehouse, run_id),
            contextlib.redirect_stdout(log),
            contextlib.redirect_stderr(log),
            _programs_errors_into(log),
        ):
            run = instance.create_run_for_job(
                job_def=job,
                run_config=run_config(options),
                run_id=run_id,
                tags={**job.run_tags, CAUSE_TAG: COMMAND, **_NOT_RETRIED},
                remote_job_origin=_origin(job_name),
            )
            result = execute_run(InMemoryJob(job), run, instance)
        outcome = _outcome(run_id, result.success, result.all_events)
    if not outcome.is_success:
        with contextlib.suppress(UserError, psycopg.OperationalError):  # the server may be what failed
            note_failure(databases.warehouse, run_id, job_name, "; ".join(outcome.failures) or "no reason given")
    return outcome
