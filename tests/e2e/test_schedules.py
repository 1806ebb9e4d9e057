"""Ticks of the schedules: each asks about the tables and models of its own job."""

import json
import os
import subprocess
import sys
from pathlib import Path

import psycopg
from warehouse_command import run_command

from warehouse_assets.commands.home import process_environment
from warehouse_assets.database.databases import resolve
from warehouse_assets.settings import Settings

TICK = """
import json
from dagster import DagsterInstance, build_schedule_context
from warehouse_assets.definitions import defs
repository = defs.get_repository_def()
causes = {}
with DagsterInstance.get() as instance:
    for job in ("route", "operational", "customer", "financial"):
        context = build_schedule_context(instance=instance, repository_def=repository)
        tick = repository.get_schedule_def(f"{job}_schedule").evaluate_tick(context)
        causes[job] = tick.run_requests[0].tags["cause"] if tick.run_requests else None
print(json.dumps(causes))
"""


def causes(home: Path) -> dict[str, str | None]:
    """What each schedule would start a run for now; None where it would not."""
    environment = {**os.environ, **process_environment(Settings(home=home)), "WAREHOUSE_HOME": str(home)}
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", TICK], env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    told: dict[str, str | None] = json.loads(ended.stdout.splitlines()[-1])
    return told


def test_a_tick_starts_a_run_for_its_own_tables_and_models_only(filled_home: Path) -> None:
    assert run_command(filled_home, "run").returncode == 0
    databases = resolve(Settings(home=filled_home))
    with psycopg.connect(databases.operational, autocommit=True) as source:
        source.execute(
            "update leads set updated_at = (select max(updated_at) + interval '1 minute' from leads) "
            "where lead_id = (select max(lead_id) from leads)"
        )
    with psycopg.connect(databases.warehouse, autocommit=True) as warehouse:
        warehouse.execute(
            "update etl.model_state set batch_id = 1 where model = 'route_run' and source_table = 'loads'"
        )
    told = causes(filled_home)
    assert told == {
        "route": "to be built or tested: route_run",
        "operational": "to be built or tested: route_run",
        "customer": "new in the source: leads",  # no mart reads it: the customer job takes it along
        "financial": None,
    }

    with psycopg.connect(databases.warehouse, autocommit=True) as warehouse:
        warehouse.execute(
            "update etl.model_state set batch_id = 10000 where model = 'route_run' and source_table = 'loads'"
        )
        warehouse.execute("delete from etl.test_pass where test = 'every_run_is_scored_between_0_and_100'")
    assert causes(filled_home)["route"] == "to be built or tested: every_run_is_scored_between_0_and_100"
