"""The jobs: which assets run together. When they run stands in ``schedules`` and ``sensors``."""

from collections.abc import Sequence

from dagster import AssetSelection, define_asset_job
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from warehouse_assets.operate.job_names import JOB_NAMES

_MODEL_GROUPS = ("features", "churn", "forecast")

# Marts by domain and all they are built from, but not the models of Python: these run with `customer` and
# `financial`, once a day. Raw tables that no mart reads come with `customer`.
_SELECTIONS = {
    "route": (AssetSelection.groups("route").upstream() - AssetSelection.groups(*_MODEL_GROUPS)),
    "operational": (AssetSelection.groups("route", "operational").upstream() - AssetSelection.groups(*_MODEL_GROUPS)),
    "customer": AssetSelection.groups("customer", "churn").upstream() - AssetSelection.groups("forecast")
    | AssetSelection.groups("raw"),
    "financial": AssetSelection.groups("financial", "forecast").upstream() - AssetSelection.groups("churn"),
    "everything": AssetSelection.all(),
}
_DESCRIPTIONS = {
    "route": "Route warehouse: runs and stops of the road, every 15 minutes.",
    "operational": "Operational warehouse: depots by the hour, every hour.",
    "customer": "Customer warehouse with the churn model, and every raw table, every day.",
    "financial": "Financial warehouse with the forecasts, every day.",
    "everything": "Every asset: what a first run does.",
}


def build_jobs() -> Sequence[UnresolvedAssetJobDefinition]:
    """The five jobs."""
    return [define_asset_job(name, selection=_SELECTIONS[name], description=_DESCRIPTIONS[name]) for name in JOB_NAMES]
