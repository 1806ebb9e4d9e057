"""The jobs: which assets run together. When they run stands in ``schedules`` and ``sensors``."""

from collections.abc import Sequence

from dagster import AssetSelection, define_asset_job
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from warehouse_assets.operate.job_names import EVERYTHING, JOB_NAMES


def _built_from(*groups: str, without: Sequence[str]) -> AssetSelection:
    """Groups of marts and all they are built from, but not the models of Python and their features in ``without``.

    The views on predictions stay: marts read them, and there are tables below them before there is a model.
    """
    views = AssetSelection.key_prefixes("staging")
    return AssetSelection.groups(*groups).upstream() - (AssetSelection.groups(*without) - views)


# Models of Python run with `customer` and `financial`, once a day. Tables that no mart reads come with `customer`,
# their views and tests too.
_SELECTIONS = {
    "route": _built_from("route", without=("features", "churn", "forecast")),
    "operational": _built_from("route", "operational", without=("features", "churn", "forecast")),
    "customer": _built_from("customer", "churn", without=("forecast",)) | AssetSelection.groups("raw", "staging"),
    "financial": _built_from("financial", "forecast", without=("churn",)),
    EVERYTHING: AssetSelection.all(),
}
_DESCRIPTIONS = {
    "route": "Route warehouse: runs and stops of the road, every 15 minutes.",
    "operational": "Operational warehouse: depots by the hour, every hour.",
    "customer": "Customer warehouse with the churn model, and every raw table, every day.",
    "financial": "Financial warehouse with the forecasts, every day.",
    EVERYTHING: "Every asset: what a first run does, and what new source data starts.",
}


def build_jobs() -> Sequence[UnresolvedAssetJobDefinition]:
    """The five jobs."""
    return [define_asset_job(name, selection=_SELECTIONS[name], description=_DESCRIPTIONS[name]) for name in JOB_NAMES]
