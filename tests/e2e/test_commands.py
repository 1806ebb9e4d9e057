"""The commands over one filled home, as a user types them. The tests share the home and leave it usable."""

import csv
import io
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import LiteralString

import psycopg
from warehouse_command import run_command

from warehouse_assets.commands.home import process_environment
from warehouse_assets.database.databases import resolve
from warehouse_assets.settings import Settings
from warehouse_assets.source.contract import load_contract

WAREHOUSES = (
    "marts.operational_hourly",
    "marts.customer_daily",
    "marts.customer_current",
    "marts.financial_daily",
    "marts.financial_monthly",
    "marts.route_run",
    "marts.route_stop",
)


def ask(home: Path, query: str, database: str = "warehouse") -> list[list[str]]:
    """Answer a query as ``warehouse sql`` prints it, without a process of its own."""
    with psycopg.connect(getattr(resolve(Settings(home=home)), database)) as connection:
        return [["" if value is None else str(value) for value in row] for row in connection.execute(query)]


def warehouse_url(home: Path) -> str:
    return resolve(Settings(home=home)).warehouse


def test_the_summary_is_true(filled_home: Path) -> None:
    summary = (filled_home / "first-run.txt").read_text()
    for table in WAREHOUSES:
        printed = re.search(rf"{table}\D+([\d,]+)", summary)
        assert printed, f"{table} is missing from the summary"
        ((rows,),) = ask(filled_home, f"select count(*) from {table}")  # noqa: S608  our own names
        assert int(printed[1].replace(",", "")) == int(rows) > 0
    scored = re.search(r"Churn: ([\d,]+) customers scored", summary)
    assert scored
    ((rows,),) = ask(filled_home, "select count(*) from ml.churn_prediction")
    assert int(scored[1].replace(",", "")) == int(rows) > 0
    assert re.search(r"Forecast tons by day: \d+ series", summary)
    assert ", 0 failed" in summary
    assert "succeeded after" in summary


def test_raw_equals_the_source(filled_home: Path) -> None:
    loaded = {
        table: (int(rows), int(held))
        for table, rows, held in ask(
            filled_home,
            "select source_table, rows_raw, rows_quarantined from etl.table_state where profile = 'default'",
        )
    }
    assert loaded.keys() == load_contract().tables.keys()
    for table, (rows, held) in loaded.items():
        ((source,),) = ask(filled_home, f"select count(*) from public.{table}", "operational")  # noqa: S608  our own names
        ((raw,),) = ask(filled_home, f"select count(*) from raw.{table} where _deleted_at is null")  # noqa: S608  our own names
        assert int(source) == int(raw) + held, table
        assert int(raw) == rows, table


def test_status_names_tables_checks_and_models(filled_home: Path) -> None:
    outcome = run_command(filled_home, "status", "--json")
    assert outcome.returncode == 0, outcome.stderr
    status = json.loads(outcome.stdout)
    assert {"raw.loads", "marts.route_run", "ml.forecast"} <= {table["table"] for table in status["tables"]}
    assert any(check["passed"] for check in status["checks"])
    assert "churn" in {model["model"] for model in status["models"]}
    assert run_command(filled_home, "status").returncode == 0


def test_sql_answers_queries_and_writes_nothing(filled_home: Path) -> None:
    answer = run_command(filled_home, "sql", "select 1 as one, 'a,b' as text")
    assert list(csv.reader(io.StringIO(answer.stdout))) == [["one", "text"], ["1", "a,b"]]
    refused = run_command(filled_home, "sql", "delete from marts.route_run")
    assert refused.returncode == 1
    assert "returns no rows" in refused.stderr
    wrong = run_command(filled_home, "sql", "select nothing from nowhere")
    assert wrong.returncode == 1
    assert "nowhere" in wrong.stderr


def test_the_doctor_finds_nothing_wrong(filled_home: Path) -> None:
    outcome = run_command(filled_home, "doctor")
    assert outcome.returncode == 0, outcome.stdout
    assert "FAIL" not in outcome.stdout


def test_another_profile_or_company_is_refused(filled_home: Path) -> None:
    for words, sentence in (
        (("--preset", "demo"), "simulated with preset small, not demo"),
        (("--seed", "8"), "simulated with seed 7, not 8"),
        (("--profile", "atlantis"), "atlantis"),
    ):
        outcome = run_command(filled_home, "run", *words)
        assert outcome.returncode == 1
        assert sentence in outcome.stderr


def test_a_run_with_nothing_new_changes_nothing(filled_home: Path) -> None:
    before = ask(filled_home, "select model, built_at from etl.model_build order by model")
    tests = ask(filled_home, "select test, passed_at from etl.test_pass order by test")
    predictions = ask(filled_home, "select customer_id, created_at from ml.churn_prediction order by 1, 2")
    outcome = run_command(filled_home, "run")
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    assert ask(filled_home, "select model, built_at from etl.model_build order by model") == before
    assert ask(filled_home, "select test, passed_at from etl.test_pass order by test") == tests
    assert ask(filled_home, "select customer_id, created_at from ml.churn_prediction order by 1, 2") == predictions

    # every check stands with its result: in the UI those of unchanged models once looked skipped, warnings included
    pattern = r"Checks: (\d+) passed, (\d+) warned, 0 failed"
    first = re.search(pattern, (filled_home / "first-run.txt").read_text())
    again = re.search(pattern, outcome.stdout)
    assert first
    assert again
    assert first.groups() == again.groups()
    results = "select execution_status, count(*) from asset_check_executions where run_id = "
    results += "(select run_id from runs order by id desc limit 1) group by 1 order by 1 desc"
    assert ask(filled_home, results, "dagster") == [["SUCCEEDED", first[1]], ["FAILED", first[2]]]


def test_pages_of_tables_show_their_rows_also_after_a_run_that_left_them_alone(filled_home: Path) -> None:
    shown: dict[str, list[str | None]] = {}
    for key, event in ask(
        filled_home,
        "select asset_key, event from event_logs where dagster_event_type = 'ASSET_MATERIALIZATION' order by id",
        "dagster",
    ):
        rows = re.search(r'"value": (\d+)\}, "label": "dagster/row_count"', event)
        shown.setdefault(".".join(json.loads(key)), []).append(rows and rows[1])
    for table in WAREHOUSES:
        ((rows_there,),) = ask(filled_home, f"select count(*) from {table}")  # noqa: S608  our own names
        assert shown[table] == [rows_there, rows_there], "built, then left alone"


# Regression: what stood as it was got another version, so that all that is made from it was shown as out of sync; and
# it lost the origins of its columns.
def test_what_a_run_left_alone_keeps_its_version_and_its_columns(filled_home: Path) -> None:
    told: dict[str, list[str]] = {}
    query = "select asset_key, event from event_logs where dagster_event_type = 'ASSET_MATERIALIZATION' order by id"
    for key, event in ask(filled_home, query, "dagster"):
        told.setdefault(".".join(json.loads(key)), []).append(event)
    version = re.compile(r'"dagster/data_version": "([^"]+)"')
    for asset, events in told.items():
        first, again = (version.search(event) for event in events)
        assert first, asset
        assert again, asset
        assert first[1] == again[1], asset
        if asset.split(".")[0] in ("staging", "intermediate", "marts", "features"):
            assert "column_lineage" in events[1], asset
    assert '"dagster/column_schema"' in told["staging.stg_operations__route_stops"][1]


def test_a_bad_row_stops_scoring_is_named_and_leaves_yesterdays_predictions(filled_home: Path) -> None:
    predictions = "select as_of, customer_id, created_at from ml.churn_prediction order by 1, 2"
    before = ask(filled_home, predictions)
    oldest = "select customer_id, month, mrr_usd from features.customer_month order by month, customer_id limit 1"
    ((customer, month, mrr),) = ask(filled_home, oldest)

    def plant(value: str) -> None:
        with psycopg.connect(warehouse_url(filled_home)) as connection:
            connection.execute(
                "update features.customer_month set mrr_usd = %s where customer_id = %s and month = %s",
                [value, customer, month],
            )
            # customers are to be scored again, with no new row in the source that would build the bad one anew
            connection.execute("update etl.model_state set batch_id = 0 where model = 'ml.churn_prediction'")

    plant("-5")
    outcome = run_command(filled_home, "run")
    assert outcome.returncode == 1
    assert customer in outcome.stdout
    assert ask(filled_home, predictions) == before
    failed = json.loads(run_command(filled_home, "status", "--json").stdout)["run_failures"][0]
    assert failed["job"] == "everything"
    assert failed["run_id"] in outcome.stdout
    assert failed["sentence"] in outcome.stdout.replace("FAILED  ", "")

    plant(mrr)
    healed = run_command(filled_home, "run")
    assert healed.returncode == 0, healed.stdout + healed.stderr
    again = ask(filled_home, predictions)
    assert [row[:2] for row in again] == [row[:2] for row in before]
    assert all(row not in before for row in again), "scored anew"


EXECUTE_CHECK = """
import sys
from dagster import AssetCheckKey, AssetKey, AssetSelection, DagsterInstance, Definitions, define_asset_job
from warehouse_assets.definitions import defs
key = AssetCheckKey(AssetKey(["marts", "customer_current"]), "rfm_segment_known")
job = define_asset_job("one_check", AssetSelection.checks(key))
with DagsterInstance.get() as instance:
    resolved = Definitions.merge(defs, Definitions(jobs=[job])).resolve_job_def("one_check")
    for _ in sys.stdin:
        result = resolved.execute_in_process(instance=instance, raise_on_error=False)
        passed = [(check.check_name, check.passed) for check in result.get_asset_check_evaluations()]
        said = [event.job_failure_data.error.cause.message for event in result.all_events if event.is_run_failure]
        print("JUDGED", passed, said, flush=True)
"""


def test_a_check_is_executed_alone_when_asked_for(filled_home: Path) -> None:
    """As by its button in the UI: it judges the table as it is, though nothing is to be built."""
    environment = {**os.environ, **process_environment(Settings(home=filled_home)), "WAREHOUSE_HOME": str(filled_home)}
    child = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", EXECUTE_CHECK],
        env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, bufsize=1,
    )  # fmt: skip

    def execute() -> str:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write("\n")
        return next((line for line in child.stdout if line.startswith("JUDGED")), "it has ended")

    with child, psycopg.connect(warehouse_url(filled_home)) as connection:
        before = connection.execute("select customer_id, rfm_segment from marts.customer_current limit 1").fetchone()
        assert before
        connection.execute("update marts.customer_current set rfm_segment = 'x' where customer_id = %s", before[:1])
        connection.commit()
        assert "[('rfm_segment_known', False)]" in execute()
        connection.execute(
            "update marts.customer_current set rfm_segment = %s where customer_id = %s", (before[1], before[0])
        )
        connection.commit()
        # Regression: the run's page showed dbt's command, and dbt's words below the fold.
        connection.execute("alter table marts.customer_current rename to hidden")
        connection.commit()
        assert "UserError: Database Error in test rfm_segment_known" in execute()
        connection.execute("alter table marts.hidden rename to customer_current")
        connection.commit()
        assert "[('rfm_segment_known', True)]" in execute()


def test_an_hour_passes_and_the_route_job_follows(filled_home: Path) -> None:
    stops = "select count(*), max(updated_at) from raw.route_stops"
    before = ask(filled_home, stops)
    assert run_command(filled_home, "simulate", "--hours", "20").returncode == 0
    outcome = run_command(filled_home, "run", "--job", "route")
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    assert ask(filled_home, stops) != before
    ((missing,),) = ask(
        filled_home,
        "select count(*) from raw.route_stops r left join marts.route_stop m using (route_stop_id) "
        "where r._deleted_at is null and m.route_stop_id is null",
    )
    assert missing == "0"


def test_a_forced_range_rebuilds_the_days_it_touches_alone(filled_home: Path) -> None:
    content = "select md5(string_agg(r::text, ',' order by route_run_id)) from marts.route_run r"
    before = ask(filled_home, content)
    # surveys of these days speak of the seven before them
    ((first,),) = ask(filled_home, "select max(service_date) - 20 from marts.route_run")
    ((last,),) = ask(filled_home, "select max(service_date) - 18 from marts.route_run")
    outcome = run_command(filled_home, "run", "--job", "route", "--rebuild-from", first, "--rebuild-to", last)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    ((days,),) = ask(filled_home, "select days_rebuilt from etl.model_build where model = 'route_run'")
    assert days == "10"
    assert ask(filled_home, content) == before


def test_dbt_failing_half_way_is_told_and_the_next_run_heals(filled_home: Path) -> None:
    """A constraint that nothing can meet stops route_run between the models before it and those after."""
    assert run_command(filled_home, "simulate", "--hours", "8").returncode == 0

    def execute(statement: LiteralString) -> None:
        with psycopg.connect(warehouse_url(filled_home)) as connection:
            connection.execute(statement)

    before = ask(filled_home, "select count(*), sum(actual_miles) from marts.route_run")
    execute("alter table marts.route_run add constraint planted check (false) not valid")
    outcome = run_command(filled_home, "run", "--job", "operational")
    assert outcome.returncode == 1
    assert "route_run" in outcome.stdout
    assert "planted" in outcome.stdout
    assert "Traceback" not in outcome.stdout + outcome.stderr
    assert ask(filled_home, "select count(*), sum(actual_miles) from marts.route_run") == before

    execute("alter table marts.route_run drop constraint planted")
    healed = run_command(filled_home, "run", "--job", "operational")
    assert healed.returncode == 0, healed.stdout + healed.stderr
    ((missing,),) = ask(
        filled_home,
        "select count(*) from raw.route_runs r left join marts.route_run m using (route_run_id) "
        "where r._deleted_at is null and m.route_run_id is null",
    )
    assert missing == "0"


def start_run(home: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", "from warehouse_assets.cli import main; main()", "run", *arguments],
        env={**os.environ, "WAREHOUSE_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def start_begun_run(home: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start a run and wait until Dagster says that it is under way."""
    ((known,),) = ask(home, "select max(id) from runs", "dagster")
    begun = f"select id from runs where status = 'STARTED' and id > {known}"  # noqa: S608  a number
    run = start_run(home, *arguments)
    while not ask(home, begun, "dagster"):
        assert run.poll() is None, run.communicate()[0]
        time.sleep(0.1)
    return run


def test_two_runs_at_once_both_end_well(filled_home: Path) -> None:
    assert run_command(filled_home, "simulate", "--hours", "6").returncode == 0
    runs = [start_run(filled_home, "--job", "operational") for _ in range(2)]
    for run in runs:
        output, _ = run.communicate(timeout=300)
        assert run.returncode == 0, output
    ((twice,),) = ask(filled_home, "select count(*) - count(distinct route_stop_id) from marts.route_stop")
    assert twice == "0"


# Regression: at Ctrl-C, programs that Dagster had started for its logs ended in tracebacks on the terminal.
def test_an_interrupted_and_then_killed_run_heals(filled_home: Path) -> None:
    assert run_command(filled_home, "simulate", "--hours", "8").returncode == 0
    run = start_begun_run(filled_home)
    time.sleep(random.uniform(0.0, 2.0))  # noqa: S311  another instant each time
    os.killpg(run.pid, signal.SIGINT)  # as a terminal does
    output, _ = run.communicate(timeout=60)
    assert "Traceback" not in output
    assert "it was interrupted; what was finished stays" in output, output
    assert run.returncode == 1
    seconds = random.uniform(4.0, 16.0)  # noqa: S311  another instant each time: all must heal
    run = start_run(filled_home)
    time.sleep(seconds)
    os.killpg(run.pid, signal.SIGKILL)
    run.communicate()
    outcome = run_command(filled_home, "run")
    assert outcome.returncode == 0, f"killed after {seconds:.1f} s\n{outcome.stdout}{outcome.stderr}"
    ((missing,),) = ask(
        filled_home,
        "select count(*) from raw.route_runs r full join marts.route_run m using (route_run_id) "
        "where r._deleted_at is null and (m.route_run_id is null or r.route_run_id is null)",
    )
    assert missing == "0", f"killed after {seconds:.1f} s"


def test_a_server_stopped_under_a_run_is_one_sentence_and_the_next_run_heals(filled_home: Path) -> None:
    assert run_command(filled_home, "simulate", "--hours", "8").returncode == 0
    run = start_begun_run(filled_home, "--job", "operational")
    time.sleep(random.uniform(0.0, 5.0))  # noqa: S311  another instant each time
    assert run_command(filled_home, "stop").returncode == 0
    output, _ = run.communicate(timeout=120)
    assert run.returncode == 1
    assert "Traceback" not in output
    assert re.search(r"PostgreSQL stopped|server closed the connection|terminating connection", output), output
    healed = run_command(filled_home, "run", "--job", "operational")
    assert healed.returncode == 0, healed.stdout + healed.stderr
    ended = ask(
        filled_home,
        "select status from runs order by id desc limit 2",
        "dagster",
    )
    assert ended == [["SUCCESS"], ["FAILURE"]], "the broken run shows as failed"


# Regression: models of the job read tables that it does not extract, and a view on forecasts that nobody had made.
def test_a_job_may_be_the_first_of_a_warehouse(new_home: Callable[[str], Path]) -> None:
    company = [f"--set={setting}" for setting in ("customers=10", "days=40", "depots=1")]
    outcome = run_command(new_home("first"), "run", "--preset", "small", *company, "--job", "operational")
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


def test_reset_removes_everything(new_home: Callable[[str], Path]) -> None:
    home = new_home("reset")
    assert run_command(home, "start").returncode == 0
    assert run_command(home, "reset", "--yes").returncode == 0
    assert not home.exists()
