"""What transformation costs: dbt beside psql on the same compiled SQL, and one more day beside a full build.

For each length of history a company is simulated, extracted and built (as a run does, tests included). Then the same
compiled SQL runs through psql: every model as ``create table as``, every test as a query, as many sessions as dbt has
threads, no model before what it reads. After that the company lives five more days, a build each: weekdays differ, and
what is corrected late; the middle one counts.

Run with ``.venv/bin/python -m benchmarks.transform_days [--customers 1500] [--days 365 730]``.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from benchmarks.psql import PSQL, psql_environment
from warehouse_assets.database.databases import Databases, resolve
from warehouse_assets.database.embedded import EmbeddedServer
from warehouse_assets.database.migrate import migrate
from warehouse_assets.extract.load import extract_system
from warehouse_assets.settings import DBT_PROJECT_DIR, Settings
from warehouse_assets.source.contract import load_contract
from warehouse_assets.source.profiles import open_profile
from warehouse_assets.source.simulator import advance, simulate_company
from warehouse_assets.transform.invoke import dbt_build_args
from warehouse_assets.transform.plan import data_tests, models_of, passes_of, plan_build, plan_tests, untouched_tests
from warehouse_assets.transform.project import dbt_environment
from warehouse_assets.transform.state import noting_passes, read_state

DAYS_MORE = 5
FOLDERS = ["--project-dir", str(DBT_PROJECT_DIR), "--profiles-dir", str(DBT_PROJECT_DIR)]


@dataclass(frozen=True)
class Build:
    """Seconds of one dbt build: the whole command, and its models alone (summed over threads)."""

    wall: float
    models: float
    by_model: Mapping[str, float]


@contextmanager
def company(customers: int, days: int) -> Iterator[tuple[Settings, Databases]]:
    """A home with a server and a simulated company, extracted; gone afterwards."""
    home = Path(tempfile.mkdtemp(prefix="warehouse-bench-"))
    home.chmod(0o755)
    settings = Settings(home=home, threads=2)
    try:
        databases = resolve(settings)
        migrate(databases.warehouse)
        simulate_company(databases.operational, None, "demo", overrides={"customers": customers, "days": days})
        extract(settings, databases)
        yield settings, databases
    finally:
        EmbeddedServer(home).destroy()
        shutil.rmtree(home, ignore_errors=True)


def extract(settings: Settings, databases: Databases) -> None:
    """Bring raw up to date."""
    profile = open_profile("default", {}, databases.operational)
    for system in load_contract().systems:
        extract_system(databases, settings, profile, system)


def dbt(settings: Settings, databases: Databases, *arguments: str) -> float:
    """Run dbt and return the seconds it took."""
    return run_dbt(settings, databases, "--quiet", *arguments)[0]


def run_dbt(settings: Settings, databases: Databases, *arguments: str, **environment: str) -> tuple[float, str]:
    """Run dbt and return the seconds it took, and what it said."""
    target = settings.home / "dbt"
    command = [str(Path(sys.executable).with_name("dbt")), *arguments, *FOLDERS]
    started = time.monotonic()
    ended = subprocess.run(
        [*command, "--target-path", str(target), "--log-path", str(target)],
        env={**os.environ, **dbt_environment(settings, databases.warehouse), **environment},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return time.monotonic() - started, ended.stdout


def build(settings: Settings, databases: Databases) -> Build:
    """Build and test what a run would: every model that something has changed for."""
    manifest = json.loads((settings.home / "dbt" / "manifest.json").read_text())
    with psycopg.connect(databases.warehouse) as connection:
        state = read_state(connection)
    models = plan_build(manifest, models_of(manifest), state, settings.time_zone).build
    tests = plan_tests(manifest, data_tests(manifest), models, state, settings.time_zone).run
    with (
        psycopg.connect(databases.warehouse) as connection,
        noting_passes(connection, passes_of(manifest, tests, state), untouched_tests(manifest, models, tests)),
    ):
        arguments = dbt_build_args(list(models), list(tests), full_refresh=False)
        # as a run does it: results are told as events, and not written a second time as JSON
        wall, said = run_dbt(settings, databases, *arguments, DBT_LOG_FORMAT="json", DBT_WRITE_JSON="false")
    events = [json.loads(line) for line in said.splitlines()]
    results = [event["data"] for event in events if event["info"]["name"] == "LogModelResult"]
    by_model = {result["node_info"]["node_name"]: result["execution_time"] for result in results}
    return Build(wall, sum(by_model.values()), by_model)


def psql_seconds(settings: Settings, databases: Databases) -> float:
    """Seconds for the compiled SQL of a full build and its tests in psql, in dbt's order and with dbt's threads."""
    dbt(settings, databases, "compile", "--full-refresh")
    manifest = json.loads((settings.home / "dbt" / "manifest.json").read_text())
    nodes: dict[str, Any] = {
        name: node
        for name, node in manifest["nodes"].items()
        if node["resource_type"] in ("model", "test") and node["config"]["materialized"] != "ephemeral"
    }

    def stored_parents(name: str) -> set[str]:
        direct = manifest["parent_map"].get(name, [])
        return {p for p in direct if p in nodes}.union(
            *(stored_parents(p) for p in direct if p in manifest["nodes"] and p not in nodes)
        )

    with psycopg.connect(databases.warehouse, autocommit=True) as connection:
        connection.execute("drop schema if exists bench cascade")
        connection.execute("create schema bench")

    environment = psql_environment(databases.warehouse)

    def run(name: str) -> None:
        node = nodes[name]
        compiled = node["compiled_code"]
        if node["resource_type"] == "model":
            kind = "view" if node["config"]["materialized"] == "view" else "table"
            head = sql.SQL("create {} bench.{} as ").format(sql.SQL(kind), sql.Identifier(node["name"])).as_string()
            statement = f"{head}{compiled};"
        else:
            statement = f"select count(*) from ({compiled}) as failures;"  # noqa: S608  dbt's own SQL
        subprocess.run(
            [PSQL, "-q", "-v", "ON_ERROR_STOP=1", "-o", os.devnull],
            env=environment, input=statement, text=True, check=True,
        )  # fmt: skip

    started = time.monotonic()
    waiting = {name: stored_parents(name) for name in nodes}
    running: dict[str, Future[None]] = {}
    with ThreadPoolExecutor(settings.threads) as pool:
        while waiting or running:
            for name in [name for name, parents in waiting.items() if not parents]:
                running[name] = pool.submit(run, name)
                del waiting[name]
            for name in [name for name, future in running.items() if future.done()]:
                running.pop(name).result()
                for parents in waiting.values():
                    parents.discard(name)
            time.sleep(0.005)
    return time.monotonic() - started


def drop_psql(databases: Databases) -> None:
    """Drop what psql has made."""
    with psycopg.connect(databases.warehouse, autocommit=True) as connection:
        connection.execute("drop schema bench cascade")


def settle(databases: Databases) -> None:
    """Do what autovacuum does in a night, so that the day before does not burden the next."""
    with psycopg.connect(databases.warehouse, autocommit=True) as connection:
        connection.execute("vacuum (analyze)")
        connection.execute("checkpoint")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, default=1500)
    parser.add_argument("--days", type=int, nargs="+", default=[365, 730])
    options = parser.parse_args()
    day_models: dict[int, float] = {}
    for days in options.days:
        later: list[Build] = []
        with company(options.customers, days) as (settings, databases):
            dbt(settings, databases, "parse")
            full = build(settings, databases)
            psql = psql_seconds(settings, databases)
            drop_psql(databases)
            for _ in range(DAYS_MORE):
                settle(databases)
                advance(databases.operational, None, 24)
                extract(settings, databases)
                later.append(build(settings, databases))
            day = sorted(later, key=lambda one: one.models)[DAYS_MORE // 2]
            day_models[days] = day.models
            with psycopg.connect(databases.warehouse) as connection:
                (stops,) = connection.execute("select count(*) from marts.route_stop").fetchone() or (0,)
            print(f"{days} days, {stops:,} route stops")
            print(f"  full dbt build        {full.wall:7.1f} s   models {full.models:7.1f} s")
            print(f"  the same SQL in psql  {psql:7.1f} s   dbt/psql {full.wall / psql:.2f}")
            print(f"  one more day          {day.wall:7.1f} s   models {day.models:7.1f} s   "
                  f"of the full build's models {day.models / full.models:.1%} "
                  f"({', '.join(f'{one.models / full.models:.1%}' for one in later)})")  # fmt: skip
            for label, by_model in (("full", full.by_model), ("day", day.by_model)):
                slowest = sorted(by_model.items(), key=lambda item: -item[1])[:8]
                print(f"  {label:4} " + ", ".join(f"{name} {seconds:.2f}" for name, seconds in slowest))
    if len(day_models) > 1:
        shortest, longest = min(day_models), max(day_models)
        print(f"a day on {longest} days of history / on {shortest}: {day_models[longest] / day_models[shortest]:.2f}")


if __name__ == "__main__":
    main()
