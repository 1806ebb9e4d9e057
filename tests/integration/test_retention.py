"""Old runs are let go of with all that Dagster keeps of them; what they brought, and newer ones, stay."""

from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from dagster import AssetCheckResult, DagsterInstance, asset, asset_check, materialize
from psycopg import sql

from warehouse_assets.commands.home import process_environment
from warehouse_assets.database.embedded import EmbeddedServer
from warehouse_assets.operate import retention
from warehouse_assets.settings import Settings

TABLES = ("runs", "event_logs", "asset_check_executions")


@asset
def loads() -> None:
    """Tons."""


@asset_check(asset=loads, name="weighed")
def weighed() -> AssetCheckResult:
    """Every load has a weight."""
    return AssetCheckResult(passed=True)


def kept(url: str) -> dict[str, set[str]]:
    """The runs of which a table of Dagster's holds rows."""
    with psycopg.connect(url) as connection:
        return {
            table: {
                run
                for (run,) in connection.execute(
                    sql.SQL("select distinct run_id from {}").format(sql.Identifier(table))
                )
            }
            for table in TABLES
        }


def test_only_old_runs_beyond_the_newest_go(
    server: EmbeddedServer, make_database: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = make_database(server)
    settings = Settings(tmp_path, warehouse_url=url, source_url=url, dagster_url=url)
    for name, value in (("DAGSTER_POSTGRES_URL", url), ("DAGSTER_HOME", str(tmp_path / "dagster"))):
        monkeypatch.setenv(name, value)
    process_environment(settings)
    (tmp_path / "log").mkdir()
    monkeypatch.setattr(retention, "KEPT_RUNS", 2)
    with DagsterInstance.get() as instance:
        runs = [materialize([loads, weighed], instance=instance).run_id for _ in range(4)]
        logs = [tmp_path / "log" / f"run-{run}.log" for run in runs]
        for log in logs:
            log.touch()
        assert retention.let_go_of_old_runs(instance, tmp_path) == 0, "none is a month old"
        with psycopg.connect(url) as connection:
            connection.execute("update runs set create_timestamp = create_timestamp - interval '31 days'")
        assert retention.let_go_of_old_runs(instance, tmp_path) == 2
        assert kept(url) == {table: set(runs[2:]) for table in TABLES}
        assert [log.exists() for log in logs] == [False, False, True, True]
        stored = {path.name for path in (tmp_path / "dagster" / "storage").iterdir()}
        assert stored.isdisjoint(runs[:2])
        assert retention.let_go_of_old_runs(instance, tmp_path) == 0
        assert instance.get_latest_materialization_event(loads.key) is not None
