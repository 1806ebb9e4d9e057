"""What is told of a failed step: one sentence without class names or commands."""

import pytest
from dagster import DagsterInstance, OpExecutionContext, job, op, resource
from dagster._core.errors import DagsterExecutionInterruptedError
from psycopg.errors import AdminShutdown

from warehouse_assets.database.trouble import DISK_FULL, STOPPED
from warehouse_assets.errors import UnreachableError, UserError
from warehouse_assets.operate.failed_runs import failure_sentences
from warehouse_assets.options import RunOptions
from warehouse_assets.transform.invoke import dbt_sentence


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (UserError("Column a is missing; add it."), "fail: Column a is missing; add it."),
        (UnreachableError("No server answers; start it."), "fail: No server answers; start it."),
        (KeyError("a"), "fail: 'a'"),
        (AdminShutdown("terminating connection due to unexpected postmaster exit"), f"fail: {STOPPED}"),
        (DagsterExecutionInterruptedError(), "fail: it was interrupted; what was finished stays, run again to go on"),
    ],
)
def test_a_failure_is_one_sentence(error: BaseException, sentence: str) -> None:
    @op
    def fail() -> None:
        raise error

    @job
    def failing() -> None:
        fail()

    result = failing.execute_in_process(raise_on_error=False)
    events = [event for event in result.all_events if event.is_step_failure]
    assert failure_sentences(events) == [sentence]


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        (
            "The dbt CLI process with command\n\n`dbt build --select a b`\n\nfailed with -9",
            "dbt was ended before it was done; what it had committed stays, run again",
        ),
        (
            "`dbt build`\n\nErrors parsed from dbt logs:\n\nDatabase Error in model route_stop (models/r.sql)\n"
            '  could not extend file "base/1/2": No space left on device\n  HINT:  Check free disk space.',
            DISK_FULL,
        ),
        ("`dbt build`\n\nErrors parsed from dbt logs:\n\n3 of 8 FAIL 1 sums_agree", "3 of 8 FAIL 1 sums_agree"),
        (
            "`dbt build`\n\nErrors parsed from dbt logs:\n\nFailure in test amount_known (models/_x.yml)\n\n"
            "Database Error in test amount_known (models/_x.yml)\n  relation x does not exist",
            "Database Error in test amount_known (models/_x.yml) relation x does not exist",
        ),
        (
            "`dbt build`\n\nErrors parsed from dbt logs:\n\n"
            "1 of 3 FAIL 1 amount_known ........ [FAIL 1 in 0.18s]\n\n"
            "2 of 3 FAIL 12 sums_agree ......... [FAIL 12 in 0.20s]\n\n"
            "3 of 3 ERROR creating sql view model staging.stg_x  [ERROR in 0.30s]\n\n"
            "Failure in test amount_known (models/_x.yml)\n\nGot 1 result, configured to fail if != 0\n\n"
            "Failure in test sums_agree (tests/x.sql)\n\nGot 12 results, configured to fail if > 10\n\n"
            "Failure in model stg_x (models/stg_x.sql)\n\n"
            "Database Error in model stg_x (models/stg_x.sql)\n  column a does not exist\n"
            "  > in macro b (macros/b.sql)\n  > called by model stg_x (models/stg_x.sql)",
            "test amount_known found 1 row (models/_x.yml); test sums_agree found 12 rows (tests/x.sql); "
            "Database Error in model stg_x (models/stg_x.sql) column a does not exist",
        ),
        (
            "The dbt CLI process with command\n\n`dbt build`\n\nfailed.\n\nErrors parsed from dbt logs:\n\n"
            'Encountered an error:\nDatabase Error\n  connection to server at "127.0.0.1", port 5 failed: '
            "FATAL:  the database system is starting up",
            STOPPED,
        ),
    ],
)
def test_what_dbt_says_is_one_sentence(message: str, sentence: str) -> None:
    assert dbt_sentence(message) == sentence


# Regression: a source that could not be reached was told six times, once for each system.
def test_steps_that_fail_alike_share_a_sentence() -> None:
    @op(config_schema=str)
    def fail(context: OpExecutionContext) -> None:
        raise UserError(context.op_config)

    @job
    def failing() -> None:
        for name in ("crm", "fleet", "billing"):
            fail.alias(name)()

    said = {"crm": "No server answers.", "fleet": "A column is missing.", "billing": "No server answers."}
    config = {"ops": {name: {"config": sentence} for name, sentence in said.items()}}
    result = failing.execute_in_process(run_config=config, raise_on_error=False)
    sentences = failure_sentences(event for event in result.all_events if event.is_step_failure)
    assert sorted(sentences) == ["billing, crm: No server answers.", "fleet: A column is missing."]


def test_a_run_that_fails_before_its_steps_says_why() -> None:
    @resource
    def absent(_context: object) -> None:
        raise UserError("The server is not there.")

    @op(required_resource_keys={"options"})
    def work() -> None: ...

    @job(resource_defs={"options": absent})
    def failing() -> None:
        work()

    with DagsterInstance.ephemeral() as instance:
        result = failing.execute_in_process(instance=instance, raise_on_error=False)
        events = [event for event in result.all_events if event.is_run_failure]
    assert failure_sentences(events) == ["The server is not there."]


# Regression: such an event has no error, and the sensor that notes failed runs ended in an AttributeError.
def test_a_run_that_was_found_dead_says_so() -> None:
    with DagsterInstance.ephemeral() as instance:
        run = instance.create_run_for_job(job(name="dead")(lambda: None))
        event = instance.report_run_failed(run, "The run's process ended before the run did.")
        nameless = instance.report_run_failed(instance.create_run_for_job(job(name="killed")(lambda: None)))
    assert failure_sentences([event]) == ["The run's process ended before the run did."]
    # Regression: of a worker of the daemon that was killed Dagster's words were told.
    assert failure_sentences([nameless]) == ["The run's process ended before the run did; what it had committed stays."]


@pytest.mark.parametrize(
    ("dates", "sentence"),
    [
        ({"rebuild_from": "2026-11-31", "rebuild_to": "2026-12-01"}, "rebuild_from '2026-11-31' is no date; write it"),
        ({"rebuild_to": "20261201"}, "rebuild_to '20261201' is no date"),
        ({"rebuild_to": "2026-12-01"}, "give both dates, or neither"),
        ({"rebuild_from": "2026-05-02", "rebuild_to": "2026-05-01"}, "rebuild_from 2026-05-02 is after rebuild_to"),
    ],
)
def test_a_range_that_is_none_is_one_sentence(dates: dict[str, str], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        RunOptions(**dates).require_range()
