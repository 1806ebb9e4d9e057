"""What `warehouse status` reads: nothing of a new home, exact rows of small tables, checks the project still has."""

import json
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from warehouse_assets.cli import console
from warehouse_assets.commands.status import (
    FailedTick,
    LastRun,
    RunFailure,
    WarehouseStatus,
    read_checks,
    read_failed_ticks,
    read_last_runs,
    read_status,
    read_tables,
)
from warehouse_assets.commands.status_told import print_status
from warehouse_assets.settings import Settings


# Regression: a traceback, after a server had been made for it.
def test_a_new_home_holds_nothing_and_none_is_made(tmp_path: Path) -> None:
    status = read_status(Settings(home=tmp_path / "home"))
    assert status == WarehouseStatus()
    assert not (tmp_path / "home").exists()
    with console.capture() as captured:
        print_status(console, status)
    assert captured.get() == "Nothing here yet; begin with `warehouse run`.\n"


# Regression: a traceback.
def test_a_database_without_the_warehouses_tables_holds_nothing(settings: Settings, operational_url: str) -> None:
    own = Settings(settings.home, operational_url, operational_url, operational_url)
    assert read_status(own) == WarehouseStatus()


# Regression: a table that PostgreSQL never analysed showed no rows.
def test_a_small_table_shows_the_rows_it_has(warehouse_url: str) -> None:
    with psycopg.connect(warehouse_url) as connection:
        connection.execute("create table ml.unheard as select generate_series(1, 7) as i")
        rows = {table.table: table.rows for table in read_tables(connection)}
    assert rows["ml.unheard"] == 7
    assert rows["ml.model_version"] == 0


# Regression: the age of the models was called unknown, though each says when it was trained.
def test_the_models_are_as_old_as_the_youngest(warehouse_url: str) -> None:
    with psycopg.connect(warehouse_url) as connection:
        connection.execute(
            "insert into ml.model_version (model, version, algorithm, created_at) "
            "values ('churn', 1, 'a', '2026-01-01 00:00+00'), ('churn', 2, 'a', '2026-02-01 00:00+00')"
        )
        ages = {table.table: table.updated_at for table in read_tables(connection)}
    assert ages["ml.model_version"] == datetime(2026, 2, 1, tzinfo=UTC)
    assert ages["ml.churn_prediction"] is None


@pytest.fixture(name="dagster_url")
def dagster_url_fixture(operational_url: str) -> str:
    """A database with the columns of Dagster's table of check results that are read."""
    with psycopg.connect(operational_url) as connection:
        connection.execute(
            "create table asset_check_executions (id serial, asset_key text, check_name text, execution_status text, "
            "evaluation_event text, create_timestamp timestamp default now())"
        )
    return operational_url


def store(url: str, path: list[str], name: str, **event: object) -> None:
    stored = {"dagster_event": {"event_specific_data": {"success": False, "metadata": {}, **event}}}
    with psycopg.connect(url) as connection:
        connection.execute(
            "insert into asset_check_executions (asset_key, check_name, execution_status, evaluation_event) "
            "values (%s, %s, 'FAILED', %s)",
            [json.dumps(path), name, json.dumps(stored)],
        )


# Regression: the last failure of a test that was taken out of the project was shown for ever.
def test_checks_that_the_project_has_no_more_are_not_shown(dagster_url: str, tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.json"
    manifest.write_text(
        json.dumps({
            "nodes": {"test.w.kept.1": {"name": "kept", "resource_type": "test"}},
            "sources": {"source.w.fleet.loads": {"name": "loads"}},
        })
    )  # fmt: skip
    of_dbt = {"unique_id": {"text": "test.w.any"}}
    store(dagster_url, ["marts", "route_run"], "kept", metadata=of_dbt)
    store(dagster_url, ["marts", "route_run"], "removed", metadata=of_dbt)
    store(dagster_url, ["features", "daily_series"], "daily_series_sound")
    store(dagster_url, ["raw", "loads"], "matches_source")
    store(dagster_url, ["raw", "removed"], "matches_source")
    present = ["features/daily_series: daily_series_sound", "marts/route_run: kept", "raw/loads: matches_source"]
    assert [check.check for check in read_checks(dagster_url, manifest)] == present
    assert len(read_checks(dagster_url, tmp_path / "none.json")) == 5, "without a manifest nothing is known to be gone"


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        ({"description": "column 'tons' is missing"}, "column 'tons' is missing"),
        ({"metadata": {"dagster_dbt/failed_row_count": {"value": 1}}}, "1 failing row"),
        ({"metadata": {"dagster_dbt/failed_row_count": {"value": 1200}}}, "1,200 failing rows"),
        ({"metadata": {"dagster_dbt/failed_row_count": {"value": None}}}, ""),
        ({"description": "word " * 100}, " ".join(["word"] * 23) + " …"),
    ],
)
def test_a_check_gives_its_reason_in_one_clause(dagster_url: str, event: dict[str, object], reason: str) -> None:
    store(dagster_url, ["raw", "loads"], "matches_source", **event)
    (check,) = read_checks(dagster_url)
    assert check.reason == reason
    with console.capture() as captured:
        print_status(console, WarehouseStatus(checks=[check]))
    assert reason.partition(" ")[0] in captured.get()


def test_the_last_run_of_a_job_is_the_one_that_ended_last(dagster_url: str) -> None:
    with psycopg.connect(dagster_url) as connection:
        connection.execute(
            "create table runs (run_id text, pipeline_name text, status text, end_time double precision)"
        )
        connection.execute(
            "insert into runs values ('a', 'route', 'FAILURE', 100), ('b', 'route', 'SUCCESS', 200), "
            "('c', 'everything', 'CANCELED', 300), ('d', 'everything', 'STARTED', null)"
        )
    told = [(run.run_id, run.is_success, run.is_cancelled) for run in read_last_runs(dagster_url)]
    assert told == [("c", False, True), ("b", True, False)]


# Regression: ten failed runs were shown, and no word of those that had made up for them.
def test_failures_that_were_made_up_for_are_counted_and_others_shown() -> None:
    def at(hour: int) -> datetime:
        return datetime(2026, 3, 1, hour, tzinfo=UTC)

    failures = [RunFailure(job, job, at(3), f"{job} has no disk") for job in ("route", "customer", "everything")]
    runs = [
        LastRun("customer", "2", is_success=True, ended_at=at(4)),
        LastRun("route", "1", is_success=True, ended_at=at(2)),
        LastRun("__ASSET_JOB", "0", is_success=False, ended_at=at(1)),
        LastRun("financial", "4", is_success=False, ended_at=at(1), is_cancelled=True),
    ]
    with console.capture() as captured:
        print_status(console, WarehouseStatus(last_runs=runs, run_failures=failures))
    shown = " ".join(captured.get().split())
    assert "The last run of the job customer succeeded" in shown
    assert "The last run of assets chosen by hand failed" in shown
    assert "The last run of the job financial was cancelled" in shown
    assert "customer has no disk" not in shown
    assert "route has no disk" in shown
    assert "everything has no disk" in shown
    assert "1 run that failed has been made up for since" in shown
    runs.append(LastRun("everything", "3", is_success=True, ended_at=at(5)))
    with console.capture() as captured:
        print_status(console, WarehouseStatus(last_runs=runs, run_failures=failures))
    assert "no disk" not in captured.get()


# Regression: a source that nobody could reach failed every tick, and the status showed runs alone.
def test_a_sensor_whose_last_tick_failed_says_why(dagster_url: str) -> None:
    def body(name: str, error: object = None) -> str:
        return json.dumps({"job_name": name, "error": error})

    cause = {"cls_name": "UnreachableError", "message": "warehouse_assets.errors.UnreachableError: Nobody answers.\n"}
    refused = {"cls_name": "SensorExecutionError", "message": "Error occurred", "cause": {**cause, "cause": None}}
    assert read_failed_ticks(dagster_url) == [], "before Dagster made its tables"
    with psycopg.connect(dagster_url) as connection:
        connection.execute(
            "create table job_ticks (id serial, selector_id text, status text, type text, timestamp timestamp, "
            "tick_body text)"
        )
        connection.cursor().executemany(
            "insert into job_ticks (selector_id, status, type, timestamp, tick_body) values (%s, %s, %s, %s, %s)",
            [
                ("a", "FAILURE", "SENSOR", "2026-03-01 12:00", body("mended", refused)),
                ("b", "SKIPPED", "SENSOR", "2026-03-01 12:00", body("new_source_data")),
                ("a", "SKIPPED", "SENSOR", "2026-03-01 12:01", body("mended")),
                ("b", "FAILURE", "SENSOR", "2026-03-01 12:01", body("new_source_data", refused)),
                ("b", "STARTED", "SENSOR", "2026-03-01 12:02", body("new_source_data")),
            ],
        )
    (tick,) = read_failed_ticks(dagster_url)
    assert tick == FailedTick("new_source_data", "sensor", datetime(2026, 3, 1, 12, 1, tzinfo=UTC), "Nobody answers.")
    with console.capture() as captured:
        print_status(console, WarehouseStatus(failed_ticks=[tick]))
    assert "The sensor new_source_data last failed" in captured.get()
    assert "ago: Nobody answers." in " ".join(captured.get().split())
