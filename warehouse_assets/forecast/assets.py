"""The forecasts as assets: read, call, write, report. What is done stands in ``service``."""

from collections.abc import Iterator
from typing import Any

from dagster import (
    AssetChecksDefinition,
    AssetExecutionContext,
    AssetsDefinition,
    AssetSpec,
    MaterializeResult,
    MetadataValue,
    multi_asset,
)

from warehouse_assets.database.resource import WarehouseResource
from warehouse_assets.forecast.checks import build_forecast_checks
from warehouse_assets.lifecycle.columns import table_metadata
from warehouse_assets.lifecycle.standing import result_of
from warehouse_assets.options import RunOptions

_SHARED: dict[str, Any] = {
    "deps": [["features", "daily_series"], ["features", "monthly_series"]],
    "group_name": "forecast",
    "owners": ["team:finance"],
    "kinds": {"python", "lightgbm", "prophet"},
}


def build_forecast_assets() -> list[AssetsDefinition | AssetChecksDefinition]:
    """The two tables of the forecasts, made in one step, and their checks."""

    @multi_asset(
        name="forecast",
        specs=[
            AssetSpec(
                ["ml", "forecast"],
                description="Tons, lifts, revenue, cost and tickets, 30 days ahead; revenue and cost, 12 months ahead.",
                metadata=table_metadata("forecast"),
                **_SHARED,
            ),
            AssetSpec(
                ["ml", "forecast_backtest"],
                description="How well each method would have forecast each series from earlier origins.",
                metadata=table_metadata("forecast_backtest"),
                **_SHARED,
            ),
        ],
    )
    def forecast(
        context: AssetExecutionContext, warehouse: WarehouseResource, options: RunOptions
    ) -> Iterator[MaterializeResult[Any]]:
        from warehouse_assets.forecast.service import forecast_warehouse

        with warehouse.connect("forecast") as connection:
            outcome = forecast_warehouse(
                connection, context.run_id, warehouse.settings.threads, options.full_refresh, context.log.info
            )
        context.log.info(outcome.state)
        table = {"methods": MetadataValue.md(outcome.table)} if outcome.table else {}
        for name, figures in (
            ("forecast", {**outcome.figures, **table}),
            ("forecast_backtest", outcome.backtest_figures),
        ):
            key = ["ml", name]
            yield result_of(context.instance, key, outcome.state, figures)

    return [forecast, *build_forecast_checks()]
