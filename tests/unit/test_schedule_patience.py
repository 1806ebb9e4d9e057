"""How often a schedule tries again what failed while the source stood still. Whole ticks are in ``integration``."""

from dagster import DagsterInstance, DagsterRunStatus, RunRequest, SkipReason, job

from warehouse_assets.operate.schedules import run_over

CAUSE = "to be built or tested: route_run"


@job
def route() -> None:
    """Stands for the job."""


# Regression: a test that failed did so in a run every 15 minutes, for ever.
def test_what_failed_twice_is_not_tried_at_every_tick() -> None:
    with DagsterInstance.ephemeral() as instance:

        def asked(*waiting: str, job_name: str = "route", **moved: str) -> RunRequest | SkipReason:
            return run_over(instance, job_name, CAUSE, moved, waiting)

        def run(status: DagsterRunStatus, *waiting: str, **moved: str) -> None:
            request = asked(*waiting, **moved)
            assert isinstance(request, RunRequest)
            instance.create_run_for_job(route, status=status, tags=dict(request.tags))

        run(DagsterRunStatus.FAILURE, loads="to 9:00")
        run(DagsterRunStatus.FAILURE, "route_run")  # a killed run, say: it heals at the next tick
        run(DagsterRunStatus.FAILURE, "route_run")
        assert isinstance(asked("route_run"), SkipReason)
        run(DagsterRunStatus.FAILURE, "route_run", loads="to 9:15")  # the source moves
        assert isinstance(asked("route_run"), SkipReason), "what is left when that has been read stands as it stood"
        assert isinstance(asked("another"), RunRequest)
        assert isinstance(asked("route_run", "another"), RunRequest)
        assert isinstance(asked("route_run", job_name="operational"), RunRequest)
        run(DagsterRunStatus.SUCCESS, "another")
        assert isinstance(asked("route_run"), RunRequest)


# Regression: beyond three, tables and models were counted but not told apart.
def test_what_is_not_named_in_the_cause_is_told_apart_too() -> None:
    with DagsterInstance.ephemeral() as instance:
        for _ in range(2):
            request = run_over(instance, "route", "a, b, c and 1 more", {}, ["a", "b", "c", "d"])
            assert isinstance(request, RunRequest)
            instance.create_run_for_job(route, status=DagsterRunStatus.FAILURE, tags=dict(request.tags))
        assert isinstance(run_over(instance, "route", "a, b, c and 1 more", {}, ["a", "b", "c", "d"]), SkipReason)
        assert isinstance(run_over(instance, "route", "a, b, c and 1 more", {}, ["a", "b", "c", "e"]), RunRequest)
