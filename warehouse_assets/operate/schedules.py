"""The cadence: route every 15 minutes, operational every hour, customer and financial every day."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from dagster import (
    AssetKey,
    DefaultScheduleStatus,
    RunRequest,
    ScheduleDefinition,
    ScheduleEvaluationContext,
    SkipReason,
    schedule,
)
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from warehouse_assets.settings import Settings

# Minutes apart, so that the daily runs do not start together with the hourly one.
_CRON = {
    "route": "*/15 * * * *",
    "operational": "5 * * * *",
    "customer": "20 4 * * *",
    "financial": "40 4 * * *",
}


def build_schedules(
    jobs: Sequence[UnresolvedAssetJobDefinition], manifest: Mapping[str, Any]
) -> Sequence[ScheduleDefinition]:
    """One schedule for each job with a cadence, running from the start, in the company's time zone.

    A tick starts no run when the source has nothing new for its job and no dbt model of the job is to be built.
    """
    time_zone = Settings.from_env().time_zone
    return [_schedule(job, _CRON[job.name], time_zone, manifest) for job in jobs if job.name in _CRON]


def waiting_models(settings: Settings, manifest: Mapping[str, Any], keys: Collection[AssetKey]) -> list[str]:
    """The dbt models among ``keys`` to build though nothing is new: another job extracted, or code or tests changed."""
    from warehouse_assets.database.connections import connect, resolve
    from warehouse_assets.transform.plan import models_of, plan_build
    from warehouse_assets.transform.state import read_state

    models = models_of(manifest)
    names = [key.path[-1] for key in keys if key.path[-1] in models]
    with connect(resolve(settings).warehouse, application_name="warehouse schedule") as connection:
        state = read_state(connection)
    plan = plan_build(manifest, names, state.changed_batches, state.models, state.existing, settings.time_zone)
    return sorted(plan.build)


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
        from warehouse_assets.operate.probe import moved_tables

        settings = Settings.from_env()
        moved = moved_tables(settings)
        if moved is None:
            return SkipReason("The warehouse was never filled; begin with `warehouse run`.")
        assert context.repository_def is not None  # noqa: S101  a tick has its code location
        keys = context.repository_def.get_job(job.name).asset_layer.selected_asset_keys
        if own := [table for table in moved if AssetKey(["raw", table]) in keys]:
            return RunRequest(tags={"cause": f"new in the source: {_listed(own)}"})
        if waiting := waiting_models(settings, manifest, keys):
            return RunRequest(tags={"cause": f"not built since: {_listed(waiting)}"})
        return SkipReason(f"The source has nothing new for the job {job.name}.")

    return tick


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
