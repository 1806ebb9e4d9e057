"""The sensors: for new data in the source, for dead runs, for failed ones, and for old ones."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from dagster import (
    DagsterRunStatus,
    DefaultSensorStatus,
    RunFailureSensorContext,
    RunRequest,
    RunsFilter,
    SensorDefinition,
    SensorEvaluationContext,
    SkipReason,
    run_failure_sensor,
    sensor,
)
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from warehouse_assets.database.databases import resolve
from warehouse_assets.operate.failed_runs import close_dead_runs, failure_sentences, note_failure
from warehouse_assets.operate.job_names import EVERYTHING
from warehouse_assets.operate.probe import moved_tables
from warehouse_assets.operate.retention import KEPT, KEPT_RUNS, let_go_of_old_runs
from warehouse_assets.operate.schedules import run_over
from warehouse_assets.settings import Settings

# A source that moves all the time is taken by the schedules; the sensor steps in when none has run for this long.
_QUIET = timedelta(minutes=20)
_UNFINISHED = [
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
]


def build_sensors(jobs: Sequence[UnresolvedAssetJobDefinition]) -> Sequence[SensorDefinition]:
    """The sensors for new source data and for dead, failed and old runs, all running from the start."""
    everything = next(job for job in jobs if job.name == EVERYTHING)

    @sensor(
        job=everything,
        name="new_source_data",
        minimum_interval_seconds=60,
        default_status=DefaultSensorStatus.RUNNING,
        description="Starts a run when the source has something new and no run has started for 20 minutes.",
    )
    def new_source_data(context: SensorEvaluationContext) -> RunRequest | SkipReason:
        if context.instance.get_runs(RunsFilter(statuses=_UNFINISHED), limit=1):
            return SkipReason("A run is under way.")
        if context.instance.get_runs(RunsFilter(created_after=datetime.now(UTC) - _QUIET), limit=1):
            return SkipReason("A run has started a short while ago; the schedules take what is new.")
        moved = moved_tables(Settings.from_env())
        if moved is None:
            return SkipReason("The warehouse was never filled; begin with `warehouse run`.")
        if not moved:
            return SkipReason("The source has nothing new.")
        news = "1 table moved" if len(moved) == 1 else f"{len(moved)} tables moved"
        return run_over(context.instance, EVERYTHING, f"{news} in the source", moved)

    @sensor(
        name="dead_runs",
        minimum_interval_seconds=60,
        default_status=DefaultSensorStatus.RUNNING,
        description="Marks runs as failed whose process is gone, which would take the place of others.",
    )
    def dead_runs(context: SensorEvaluationContext) -> SkipReason:
        closed = close_dead_runs(context.instance, resolve(Settings.from_env()).warehouse)
        return SkipReason(f"Closed {', '.join(closed)}." if closed else "No dead run found.")

    @sensor(
        name="old_runs",
        minimum_interval_seconds=3600,
        default_status=DefaultSensorStatus.RUNNING,
        description=f"Lets go of runs that ended more than {KEPT.days} days ago, but for the newest {KEPT_RUNS}.",
    )
    def old_runs(context: SensorEvaluationContext) -> SkipReason:
        gone = let_go_of_old_runs(context.instance, Settings.from_env().home)
        return SkipReason(f"Let go of {gone} old runs." if gone else "No run is old.")

    @run_failure_sensor(
        name="failed_runs",
        default_status=DefaultSensorStatus.RUNNING,
        monitor_all_code_locations=False,
        description="Writes each failed run with its reason to etl.run_failure, which `warehouse status` shows.",
    )
    def failed_runs(context: RunFailureSensorContext) -> None:
        events = context.get_step_failure_events() or [context.failure_event]
        sentence = "; ".join(failure_sentences(events)) or "no reason given"
        run = context.dagster_run
        note_failure(resolve(Settings.from_env()).warehouse, run.run_id, run.job_name, sentence)
        context.log.error(sentence)
        context.instance.report_engine_event(sentence, run)  # the last line of the run's page

    return [new_source_data, dead_runs, old_runs, failed_runs]
