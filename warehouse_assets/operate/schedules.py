"""The cadence: route every 15 minutes, operational every hour, customer and financial every day."""

from collections.abc import Sequence

from dagster import DefaultScheduleStatus, ScheduleDefinition
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
    """One schedule for each job with a cadence, running from the start, in the company's time zone."""
    time_zone = Settings.from_env().time_zone
    return [
        ScheduleDefinition(
            name=f"{job.name}_schedule",
            job=job,
            cron_schedule=_CRON[job.name],
            execution_timezone=time_zone,
            default_status=DefaultScheduleStatus.RUNNING,
            description=job.description,
        )
        for job in jobs
        if job.name in _CRON
    ]
