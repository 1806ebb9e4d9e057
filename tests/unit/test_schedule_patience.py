"""How often a schedule tries again what failed while the source stood still."""

from dagster import DagsterInstance, DagsterRunStatus, job

from warehouse_assets.operate.failed_runs import CAUSE_TAG
from warehouse_assets.operate.schedules import failed_over

CAUSE = "to be built or tested: route_run"


@job
def route() -> None:
    """Stands for the job."""


# Regression: a test that failed did so in a run every 15 minutes, for ever.
def test_what_failed_is_not_tried_at_every_tick() -> None:
    with DagsterInstance.ephemeral() as instance:

        def run(cause: str, status: DagsterRunStatus) -> None:
            instance.create_run_for_job(route, status=status, tags={CAUSE_TAG: cause})

        assert not failed_over(instance, "route", CAUSE)
        run("new in the source: loads", DagsterRunStatus.FAILURE)
        assert not failed_over(instance, "route", CAUSE), "a killed run heals at the next tick"
        run(CAUSE, DagsterRunStatus.FAILURE)
        assert failed_over(instance, "route", CAUSE)
        assert not failed_over(instance, "route", "to be built or tested: another")
        assert not failed_over(instance, "operational", CAUSE)
        run(CAUSE, DagsterRunStatus.SUCCESS)
        assert not failed_over(instance, "route", CAUSE)
