"""The raw tables as Dagster assets: what a run materializes, checks, refuses and tries again."""

from pathlib import Path
from typing import Any

import psycopg
import pytest
from dagster import (
    AssetCheckKey,
    AssetCheckSeverity,
    AssetKey,
    AssetSelection,
    ExecuteInProcessResult,
    asset,
    materialize,
)
from test_extract_company import (  # noqa: F401  fixtures
    AGREEMENTS,
    STOPS,
    TRUCKS,
    Company,
    add_stops,
    by_cursor_fixture,
    company_fixture,
)

from warehouse_assets.database.resource import WarehouseResource
from warehouse_assets.extract import checks
from warehouse_assets.extract.assets import asset_key, build_extract_assets
from warehouse_assets.options import RunOptions
from warehouse_assets.source.contract import Contract, load_contract

SHOP = Contract({table.name: table for table in (STOPS, TRUCKS, AGREEMENTS)})


@asset(deps=[asset_key("stops")])
def scores() -> int:
    """Stands for what is computed from the stops."""
    return 1


@pytest.fixture(name="shop")
def shop_fixture(company: Company, monkeypatch: pytest.MonkeyPatch) -> Company:
    """The company as the environment names it, its stops read by a model."""
    monkeypatch.setenv("WAREHOUSE_SOURCE_URL", company.operational)
    monkeypatch.setenv("WAREHOUSE_DATABASE_URL", company.warehouse)
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", company.warehouse)
    monkeypatch.setenv("WAREHOUSE_HOME", str(company.settings.home))
    monkeypatch.setattr(checks, "MODEL_TABLES", frozenset({"stops"}))
    add_stops(company, 20)
    return company


def run(
    company: Company, selection: AssetSelection | None = None, profile: str | None = None
) -> ExecuteInProcessResult:
    """Materialize the shop's tables and what stands for a model."""
    folder = company.settings.home / "shop"
    if not folder.exists():  # the contract of these tests is not the installation's: a profile names the tables
        folder.mkdir()
        (folder / "profile.yml").write_text("kind: postgres\ntables_from: public\n", encoding="utf-8")
    return materialize(
        [*build_extract_assets(SHOP), scores],
        resources={
            "warehouse": WarehouseResource(),
            "options": RunOptions(profile=profile or str(folder)),
        },
        selection=selection,
        raise_on_error=False,
    )


@pytest.fixture(autouse=True)
def _profiles_know_the_shop(monkeypatch: pytest.MonkeyPatch) -> None:
    from warehouse_assets.source.profiles import profile

    monkeypatch.setattr(profile, "load_contract", lambda: SHOP)


def metadata(result: ExecuteInProcessResult, table: str) -> dict[str, Any]:
    [event] = [
        event
        for event in result.get_asset_materialization_events()
        if event.materialization.asset_key == asset_key(table)
    ]
    return {name: value.value for name, value in event.materialization.metadata.items()}


def outcome(result: ExecuteInProcessResult, table: str, check: str) -> Any:
    [found] = [
        evaluation
        for evaluation in result.get_asset_check_evaluations()
        if (evaluation.asset_key, evaluation.check_name) == (asset_key(table), check)
    ]
    return found


def failure(result: ExecuteInProcessResult) -> str:
    [event] = [event for event in result.all_events if event.is_step_failure]
    error = event.step_failure_data.error
    assert error is not None
    return " ".join(str(part.message) for part in (error, error.cause) if part is not None)


def test_every_contracted_table_is_an_asset_with_columns_owner_and_group() -> None:
    contract = load_contract()
    definitions = build_extract_assets(contract)
    specs = {spec.key: spec for definition in definitions for spec in definition.specs}
    assert set(specs) == {AssetKey(["raw", name]) for name in contract.tables}
    assert len(definitions) == len(contract.systems)
    for name, table in contract.tables.items():
        spec = specs[asset_key(name)]
        assert (spec.group_name, list(spec.owners)) == ("raw", ["team:data"])
        assert [column.name for column in spec.metadata["dagster/column_schema"].columns] == list(table.column_names)


def test_a_materialization_tells_the_figures_of_the_job_log(shop: Company) -> None:
    result = run(shop)
    assert result.success
    told = metadata(result, "stops")
    assert told["dagster/row_count"] == told["rows_extracted"] == 20
    assert told["watermark"].startswith("2024-03-01 12:19")
    assert told["bytes"] > 0
    with psycopg.connect(shop.warehouse) as connection:
        logged = connection.execute(f"select source_table, batch_id, run_id from ({told['job_log']}) as log").fetchall()  # noqa: S608  the query shown
    assert logged == [("stops", told["batch"], result.run_id)]
    assert {evaluation.passed for evaluation in result.get_asset_check_evaluations()} == {True}
    assert metadata(run(shop), "stops")["state"] == "unchanged"


# Regression: without a batch to name it by, Dagster made up another version at each run.
def test_a_table_that_was_always_empty_keeps_its_version(shop: Company) -> None:
    shop.source("delete from agreements")

    def version() -> str:
        events = run(shop).get_asset_materialization_events()
        (event,) = [event for event in events if event.asset_key == asset_key("agreements")]
        return (event.materialization.tags or {})["dagster/data_version"]

    assert version() == version() == "batch 0"


def test_one_table_can_be_extracted_alone(shop: Company) -> None:
    result = run(shop, AssetSelection.assets(asset_key("trucks")))
    assert result.success
    assert [event.asset_key for event in result.get_asset_materialization_events()] == [asset_key("trucks")]
    assert shop.ask("select source_table from etl.job_log") == ["trucks"]


# Regression: a check executed alone in the UI ended well without a result.
def test_a_check_can_be_executed_alone(shop: Company) -> None:
    assert run(shop).success
    shop.source("delete from stops where stop_id > 'S12'")
    result = run(shop, AssetSelection.checks(AssetCheckKey(asset_key("stops"), checks.FRESH_AND_FULL)))
    assert result.success
    [found] = result.get_asset_check_evaluations()
    assert (found.asset_key, found.check_name, found.passed) == (asset_key("stops"), checks.FRESH_AND_FULL, False)
    assert not result.get_asset_materialization_events()


def test_a_failed_table_leaves_the_others_materialized_and_is_named(shop: Company) -> None:
    shop.source("alter table stops drop column status")
    result = run(shop)
    assert not result.success
    done = {event.asset_key for event in result.get_asset_materialization_events()}
    assert done == {asset_key("trucks"), asset_key("agreements")}
    assert "stops could not be extracted: Table stops" in failure(result)
    assert "lacks column 'status'" in failure(result)
    # Regression: the checks of the others were red, without a reason.
    unlike = outcome(result, "stops", checks.MATCHES_SOURCE)
    assert not unlike.passed
    assert "lacks column 'status'" in unlike.description
    for table in ("trucks", "agreements"):
        assert outcome(result, table, checks.MATCHES_SOURCE).passed
        assert outcome(result, table, checks.FRESH_AND_FULL).passed


def test_a_bad_row_planted_in_raw_is_healed_where_the_table_is_read_whole(shop: Company) -> None:
    assert run(shop).success
    shop.change_warehouse("update raw.stops set weight_lb = -7 where stop_id = 'S13'")
    assert run(shop).success
    assert shop.rows("stops", "raw") == shop.rows("stops", "source")


def test_a_bad_row_planted_in_raw_stops_what_follows_and_is_named(shop: Company, by_cursor: None) -> None:
    add_stops(shop, 100, start=1000)
    assert run(shop).success
    shop.change_warehouse("update raw.stops set weight_lb = -7 where stop_id = 'S13'")
    result = run(shop)
    found = outcome(result, "stops", checks.MATCHES_SOURCE)
    assert (found.passed, found.severity, found.blocking) == (False, AssetCheckSeverity.ERROR, True)
    assert found.metadata["failing_rows"].value == "weight_plausible (S13)"
    assert scores.key not in {event.asset_key for event in result.get_asset_materialization_events()}
    assert not result.success


def test_a_table_mostly_in_quarantine_or_half_gone_is_a_warning(shop: Company) -> None:
    shop.source("update stops set weight_lb = -1 where stop_id in ('S1', 'S2')")
    result = run(shop)
    found = outcome(result, "stops", checks.FRESH_AND_FULL)
    assert (result.success, found.passed, found.severity) == (True, False, AssetCheckSeverity.WARN)
    assert "2 of its rows are in quarantine" in found.description
    shop.source("update stops set weight_lb = 1 where stop_id in ('S1', 'S2'); delete from stops where stop_id > 'S15'")
    shop.change_warehouse("update etl.job_log set finished_at = finished_at - interval '8 days'")
    lost = "it had 18 rows within the last week and has 8"
    assert outcome(run(shop), "stops", checks.FRESH_AND_FULL).description == lost


# Regression: only the rows of a week ago were compared with, so that for a week after a first load none could be lost.
def test_rows_lost_in_the_days_after_they_came_are_a_warning(shop: Company) -> None:
    assert run(shop).success
    shop.source("delete from stops where stop_id > 'S12'")
    assert "it had 20 rows" in outcome(run(shop), "stops", checks.FRESH_AND_FULL).description
    shop.source("insert into stops select stop_id || 'b', truck_id, service_date, status, 1, extra, now() from stops")
    assert outcome(run(shop), "stops", checks.FRESH_AND_FULL).passed


def test_a_broken_connection_is_tried_again(shop: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    from warehouse_assets.extract import assets

    monkeypatch.setattr(assets, "PAUSE_SECONDS", 0.0)
    shop.change_warehouse(
        "create function cut() returns trigger language plpgsql as "
        "'begin if (select last_value from etl.batch_id) < 3 then "
        "perform pg_terminate_backend(pg_backend_pid()); end if; return new; end'; "
        "create trigger cut before insert on etl.job_log for each row when (new.status = 'succeeded') "
        "execute function cut()"
    )
    result = run(shop)
    assert result.success
    assert shop.ask("select count(*) > 0 from etl.job_log where status = 'failed'") == [True]
    assert shop.rows("stops", "raw") == shop.rows("stops", "source")


def test_no_password_stands_in_events_or_logs(shop: Company, capfd: pytest.CaptureFixture[str]) -> None:
    password = shop.operational.split(":")[2].split("@")[0]
    shop.source("alter table stops drop column status")
    result = run(shop)
    assert password not in "".join(str(event) for event in result.all_events)
    assert password not in "".join(capfd.readouterr())


def test_a_profile_that_is_not_there_is_one_sentence(shop: Company, tmp_path: Path) -> None:
    assert "There is no profile" in failure(run(shop, profile=str(tmp_path / "nowhere")))


# Regression: a profile given in the launchpad replaced the rows of the one that the warehouse was filled from.
def test_a_run_of_another_profile_is_refused(shop: Company, tmp_path: Path) -> None:
    assert run(shop).success
    other = tmp_path / "other"
    other.mkdir()
    (other / "profile.yml").write_text("kind: postgres\ntables_from: public\n", encoding="utf-8")
    (other / "stops.sql").write_text(
        "select 'X' || stop_id as stop_id, service_date, updated_at from stops", encoding="utf-8"
    )
    result = run(shop, profile=str(other))
    assert "This warehouse is filled from profile" in failure(result)
    assert shop.rows("stops", "raw") == shop.rows("stops", "source")
