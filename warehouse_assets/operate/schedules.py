"""The cadence: route every 15 minutes, operational every hour, customer and financial every day."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from dagster import (
    AssetCheckKey,
    AssetKey,
    DagsterInstance,
    DagsterRunStatus,
    DefaultScheduleStatus,
    RunRequest,
    RunsFilter,
    ScheduleDefinition,
    ScheduleEvaluationContext,
    SkipReason,
    schedule,
)
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from warehouse_assets.database.connections import connect
from warehouse_assets.database.databases import resolve
from warehouse_assets.operate.failed_runs import CAUSE_TAG
from warehouse_assets.operate.probe import moved_tables
from warehouse_assets.settings import Settings
from warehouse_assets.source.profiles.profile import fingerprint
from warehouse_assets.transform.plan import data_tests, models_of, plan_build, plan_tests
from warehouse_assets.transform.state import read_state

# Minutes apart, so that the daily runs do not start together with the hourly one.
_CRON = {
    "route": "*/15 * * * *",
    "operational": "5 * * * *",
    "customer": "20 4 * * *",
    "financial": "40 4 * * *",
}

#: What failed twice while nothing moved is not tried again before so long: a test that fails does so every time. The
#: second time is for what passes by itself: a run that was killed, a source that was away.
_PATIENCE = timedelta(hours=6)
#: Tag with a fingerprint of all that a tick found to do.
FOUND_TAG = "found"


def build_schedules(
    jobs: Sequence[UnresolvedAssetJobDefinition], manifest: Mapping[str, Any]
) -> Sequence[ScheduleDefinition]:
    """One schedule for each job with a cadence, running from the start, in the company's time zone.

    A tick starts no run when the source has nothing new for its job and no dbt model of the job is to be built.
    """
    time_zone = Settings.from_env().time_zone
    return [_schedule(job, _CRON[job.name], time_zone, manifest) for job in jobs if job.name in _CRON]


def waiting_work(
    settings: Settings, manifest: Mapping[str, Any], assets: Collection[AssetKey], checks: Collection[AssetCheckKey]
) -> list[str]:
    """The dbt models of a job to build though the source has nothing new, else its tests to run.

    Another job extracted, code changed, or a test has not passed.
    """
    models, tests = models_of(manifest), data_tests(manifest)
    models_of_job = [key.path[-1] for key in assets if key.path[-1] in models]
    tests_of_job = [key.name for key in checks if key.name in tests]
    with connect(resolve(settings).warehouse, application_name="warehouse schedule") as connection:
        state = read_state(connection)
    build = plan_build(manifest, models_of_job, state, settings.time_zone).build
    return sorted(build or plan_tests(manifest, tests_of_job, build, state, settings.time_zone).run)


def _schedule(
    job: UnresolvedAssetJobDefinition, cron: str, time_zone: str, manifest: Mapping[str, Any]
) -> ScheduleDefinition:
    @schedule(
        name=f"{job.name}_schedule",
        job=job,
        cron_schedule=cron,
        execution_timezone=time_zone,
        default_status=DefaultScheduleStatus.RUNNING,
        description=job.description,
    )
    def tick(context: ScheduleEvaluationContext) -> RunRequest | SkipReason:
        settings = Settings.from_env()
        assert context.repository_def is not None  # noqa: S101  a tick has its code location
        layer = context.repository_def.get_job(job.name).asset_layer
        moved = moved_tables(settings, [key.path[-1] for key in layer.selected_asset_keys if key.path[0] == "raw"])
        if moved is None:
            return SkipReason("The warehouse was never filled; begin with `warehouse run`.")
        checks = {key for definition in layer.data for key in definition.assets_def.check_keys}
        waiting = waiting_work(settings, manifest, layer.selected_asset_keys, checks)
        if not moved and not waiting:
            return SkipReason(f"The source has nothing new for the job {job.name}.")
        cause = f"new in the source: {_listed([*moved])}" if moved else f"to be built or tested: {_listed(waiting)}"
        return run_over(context.instance, job.name, cause, moved, waiting)

    return tick


def run_over(
    instance: DagsterInstance, job: str, cause: str, moved: Mapping[str, str], waiting: Iterable[str] = ()
) -> RunRequest | SkipReason:
    """A run of the job for what a tick has found, unless it has failed over just that a short while ago.

    Args:
        instance: knows the runs of the job.
        job: the job's name.
        cause: what the run is told to be for.
        moved: tables that are news, each with what the source says of it.
        waiting: models to be built, or tests to be run.
    """
    found = fingerprint(*(f"{table} {said}" for table, said in moved.items()), *waiting)
    if failed_over(instance, job, found):
        return SkipReason(f"{cause}; runs failed over it, the last within {_PATIENCE}. `warehouse run` tries it again.")
    return RunRequest(tags={CAUSE_TAG: cause, FOUND_TAG: found})


def failed_over(instance: DagsterInstance, job: str, found: str) -> bool:
    """Whether two runs over this have failed since one of the job succeeded, the last of them a short while ago."""
    done = instance.get_run_records(RunsFilter(job_name=job, statuses=[DagsterRunStatus.SUCCESS]), limit=1)
    failed = instance.get_run_records(
        RunsFilter(
            job_name=job,
            statuses=[DagsterRunStatus.FAILURE],
            tags={FOUND_TAG: found},
            created_after=done[0].create_timestamp if done else None,
        ),
        limit=2,
    )
    return len(failed) == 2 and failed[0].create_timestamp > datetime.now(UTC) - _PATIENCE


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
