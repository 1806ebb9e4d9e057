"""Everything Dagster knows of the warehouse, composed. No logic belongs here."""

import gc

import dagster_dbt  # noqa: F401
from dagster import Definitions, in_process_executor

# What Dagster and dbt have imported stays as long as the process: the collector need not look at its half a million
# objects again and again while the rest is imported and composed (a third of that time, measured).
gc.freeze()

from warehouse_assets.churn.assets import build_churn_assets
from warehouse_assets.database.resource import WarehouseResource
from warehouse_assets.extract.assets import build_extract_assets
from warehouse_assets.forecast.assets import build_forecast_assets
from warehouse_assets.operate.freshness import with_freshness
from warehouse_assets.operate.jobs import build_jobs
from warehouse_assets.operate.schedules import build_schedules
from warehouse_assets.operate.sensors import build_sensors
from warehouse_assets.options import RunOptions
from warehouse_assets.settings import Settings
from warehouse_assets.source.contract import load_contract
from warehouse_assets.transform.assets import build_dbt_assets
from warehouse_assets.transform.project import ensure_manifest, load_manifest


def build_defs() -> Definitions:
    """Compose the code location; which databases it works on is said by the environment, read when a run starts."""
    manifest = load_manifest(ensure_manifest(Settings.from_env()))
    jobs = build_jobs()
    assets = [
        *build_extract_assets(load_contract()),
        *build_dbt_assets(manifest),
        *build_churn_assets(),
        *build_forecast_assets(),
    ]
    return Definitions(
        assets=with_freshness(assets),
        jobs=jobs,
        schedules=build_schedules(jobs, manifest),
        sensors=build_sensors(jobs),
        resources={"warehouse": WarehouseResource(), "options": RunOptions()},
        # One process on one machine: a process per step costs about 15 s a run on 2 cores.
        executor=in_process_executor,
    )


defs = build_defs()
