"""Runs and ticks that failed, runs that died: the sentence told of them, where it is kept, how the dead are found."""

import contextlib
import re
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from warehouse_assets.database.connections import connect
from warehouse_assets.database.run_lock import is_alive
from warehouse_assets.database.trouble import STOPPED
from warehouse_assets.errors import UnreachableError, UserError

if TYPE_CHECKING:
    from dagster import DagsterEvent, DagsterInstance

#: Tag that tells what began a run; runs begun by the command hold their lock before they are made.
CAUSE_TAG, COMMAND = "cause", "warehouse run"
#: Seconds after its start in which a run of the daemon has its lock.
_LOCK_WITHIN = 120.0

_DIED = "The run's process ended before the run did; what it had committed stays."
#: What Dagster says of a run whose process its daemon finds gone.
_FROM_OUTSIDE = "marked as failed from outside the execution context"
#: What psycopg calls the ends of a server that it was connected to.
_SHUTDOWNS = ("AdminShutdown", "CrashShutdown", "CannotConnectNow")
_USER_ERRORS = (UserError.__name__, UnreachableError.__name__)


def failure_sentences(events: Iterable["DagsterEvent"]) -> list[str]:
    """One sentence for failed steps, or for a run that failed outside its steps; steps that failed alike share it."""
    steps: dict[str, list[str]] = {}
    for event in events:
        steps.setdefault(_message(event), []).extend([event.step_key] if event.step_key else [])
    return [f"{', '.join(keys)}: {message}" if keys else message for message, keys in steps.items()]


def _message(event: "DagsterEvent") -> str:
    """The user's error where there is one, else the innermost cause."""
    is_step = event.is_step_failure
    data = event.step_failure_data if is_step else event.job_failure_data  # none of a run that was found dead
    error = data.error if data else None
    while error is not None and error.cause is not None:
        if error.cls_name in _USER_ERRORS:
            break
        error = error.cause
    if error is None:
        said = "it failed; the run's log in the UI says more." if is_step else event.message or ""
        return _DIED if _FROM_OUTSIDE in said else said
    message = error.message.strip()
    if error.cls_name == "DagsterAssetCheckFailedError":
        message = "a blocking check failed; what reads this was not run"
    elif error.cls_name in _SHUTDOWNS:
        message = STOPPED
    elif error.cls_name == "DagsterExecutionInterruptedError":
        message = "it was interrupted; what was finished stays, run again to go on"
    else:
        message = _without_class(message, error.cls_name)
    return message


def _without_class(message: str, cls_name: str | None) -> str:
    """An error's message as Dagster keeps it, without the name of its class."""
    return re.sub(rf"^([\w.]+\.)?{re.escape(cls_name or '')}: ", "", message.strip())


def tick_sentence(stored: Mapping[str, Any]) -> str:
    """What a failed tick of a sensor or schedule says, from its body as Dagster stores it: the innermost cause."""
    error: Mapping[str, Any] = stored.get("error") or {}
    while error.get("cause") and error.get("cls_name") not in _USER_ERRORS:
        error = error["cause"]
    return _without_class(error.get("message") or "its log in the UI says more.", error.get("cls_name"))


def note_failure(warehouse_url: str, run_id: str, job: str, sentence: str) -> None:
    """Write a failed run with its reason to etl.run_failure, once."""
    with contextlib.closing(connect(warehouse_url, application_name="warehouse runs", autocommit=True)) as connection:
        connection.execute(
            "insert into etl.run_failure (run_id, job, sentence) values (%s, %s, %s) on conflict do nothing",
            [run_id, job, sentence],
        )


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
            # A command holds its lock before the run is made; the daemon's runs, also those that execute a command's
            # once more with its tags, take it once they have started.
            is_command = run.tags.get(CAUSE_TAG) == COMMAND and run.parent_run_id is None
            holds = is_command or (started is not None and time.time() - started > _LOCK_WITHIN)
            if holds and not is_alive(connection, run.run_id):
                instance.report_run_failed(run, _DIED)
                closed.append(run.run_id)
    return closed
