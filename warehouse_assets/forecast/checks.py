"""Asset checks of the forecasts: the series they are made from, and how good they would have been."""

from __future__ import annotations

from typing import Any

from dagster import AssetCheckResult, AssetChecksDefinition, AssetCheckSeverity, asset_check

from warehouse_assets.database.resource import WarehouseResource
from warehouse_assets.quality.expectations import judge_frame
from warehouse_assets.quality.memory import judge_unless_held

LEAST_COVERAGE, MOST_COVERAGE = 0.80, 0.98
"""Coverage of 90% intervals in the backtest, beyond which they are not to be believed."""


def series_expectations() -> list[Any]:
    """Great Expectations for a frame of series: one finite value per series and date."""
    import great_expectations.expectations as gxe

    from warehouse_assets.forecast.service import LARGEST

    return [
        gxe.ExpectColumnValuesToNotBeNull(column="series_id"),
        gxe.ExpectColumnValuesToNotBeNull(column="ds"),
        gxe.ExpectColumnValuesToNotBeNull(column="y"),
        gxe.ExpectCompoundColumnsToBeUnique(column_list=["series_id", "ds"]),
        gxe.ExpectColumnValuesToBeBetween(column="y", min_value=-LARGEST, max_value=LARGEST),
    ]


def quality_problems(metrics: dict[str, Any]) -> list[str]:
    """What is wrong with the figures of a forecast's backtest, a sentence each; empty when nothing is."""
    problems = []
    own, naive, coverage = (metrics.get(name) for name in ("mase", "mase_seasonal_naive", "coverage"))
    if own is not None and naive is not None and own > naive:
        problems.append(f"MASE {own:.3f} is above that of the seasonal naive forecast ({naive:.3f})")
    if coverage is not None and not LEAST_COVERAGE <= coverage <= MOST_COVERAGE:
        problems.append(f"90% intervals covered {coverage:.3f} in the backtest")
    return problems


def build_forecast_checks() -> list[AssetChecksDefinition]:
    """The blocking checks of the series and the warning check of the forecasts."""
    return [_series_sound("daily_series"), _series_sound("monthly_series"), _forecast_quality()]


def _series_sound(table: str) -> AssetChecksDefinition:
    @asset_check(
        asset=["features", table],
        name=f"{table}_sound",
        blocking=True,
        description="One finite value per series and date; a broken row stops the forecasts.",
    )
    def series_sound(warehouse: WarehouseResource) -> AssetCheckResult:
        from warehouse_assets.forecast.storage import read_series

        with warehouse.connect(f"check {table}") as connection:
            return judge_unless_held(
                connection,
                "features",
                table,
                series_expectations,
                lambda: judge_frame(read_series(connection, table), series_expectations(), ["series_id", "ds"]),
            )

    return series_sound


def _forecast_quality() -> AssetChecksDefinition:
    @asset_check(
        asset=["ml", "forecast"],
        name="forecast_quality",
        description="Where a backtest can tell, forecasts beat seasonal naive, and intervals cover what they claim.",
    )
    def forecast_quality(warehouse: WarehouseResource) -> AssetCheckResult:
        from warehouse_assets.forecast.storage import GRAINS
        from warehouse_assets.lifecycle.registry import champion

        problems: list[str] = []
        unjudged: list[str] = []
        metadata: dict[str, Any] = {}
        with warehouse.connect("check forecast") as connection:
            for grain in GRAINS:
                version = champion(connection, f"forecast_{grain.name}")
                if version is not None:
                    problems += [f"by {grain.name}: {problem}" for problem in quality_problems(version.metrics)]
                    if version.metrics.get("mase_seasonal_naive") is None:
                        unjudged.append(f"By {grain.name} the histories are too short to be judged by a backtest.")
                    metadata |= {
                        f"{name} by {grain.name}": value for name, value in version.metrics.items() if value is not None
                    }
        return AssetCheckResult(
            passed=not problems,
            severity=AssetCheckSeverity.WARN,
            description="; ".join(problems)
            or " ".join(["Sound." if metadata else "There are no forecasts yet.", *unjudged]),
            metadata=metadata,
        )

    return forecast_quality
