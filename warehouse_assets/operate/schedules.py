"""The cadence: route every 15 minutes, operational every hour, customer and financial every day."""

from collections.abc import Sequence

from dagster import (
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


def build_schedules(jobs: Sequence[UnresolvedAssetJobDefinition]) -> Sequence[ScheduleDefinition]:
    """One schedule for each job with a cadence, running from the start, in the company's time zone.

    A tick that finds nothing new in the source starts no run.
    """
    time_zone = Settings.from_env().time_zone
    return [_schedule(job, _CRON[job.name], time_zone) for job in jobs if job.name in _CRON]


def _schedule(job: UnresolvedAssetJobDefinition, cron: str, time_zone: str) -> ScheduleDefinition:
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

        moved = moved_tables(Settings.from_env())
        if moved is None:
            return SkipReason("The warehouse was never filled; begin with `warehouse run`.")
        if not moved:
            return SkipReason("The source has nothing new.")
        return RunRequest(run_key=None, tags={"cause": "schedule"})

    return tick
