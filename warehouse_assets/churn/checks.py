"""Asset checks of the churn model: the features that training and scoring read, and the model's quality."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dagster import AssetCheckResult, AssetChecksDefinition, AssetCheckSeverity, asset_check

from warehouse_assets.database.resource import WarehouseResource

if TYPE_CHECKING:
    from collections.abc import Sequence

CHECK = "features.customer_month: sound"

# Column → lowest and highest value that can be true; null is allowed. Ratios of change have no upper end.
RANGES: dict[str, tuple[float | None, float | None]] = {
    "tenure_months": (0, 1200),
    "mrr_usd": (0, None),
    "overdue_usd": (0, None),
    "overdue_ratio": (0, None),
    "days_past_due_max": (0, None),
    "missed_pickup_ratio_90d": (0, 1),
    "satisfaction_avg_180d": (1, 5),
    "nps_last": (0, 10),
    "discount_ratio": (0, 1),
    "tons_90d": (0, None),
    "lifts_90d": (0, None),
    "missed_pickups_90d": (0, None),
    "complaints_90d": (0, None),
    "portal_sessions_90d": (0, None),
    "mrr_change_90d_ratio": (-1, None),
    "tons_change_90d_ratio": (-1, None),
    "portal_sessions_change_90d_ratio": (-1, None),
}
MOST_CALIBRATION_ERROR = 0.05


def feature_expectations(columns: Sequence[str]) -> list[Any]:
    """Great Expectations for a frame of customer-months with these columns: keys, ranges."""
    import great_expectations.expectations as gxe

    rules: list[Any] = [
        gxe.ExpectColumnValuesToNotBeNull(column="customer_id"),
        gxe.ExpectColumnValuesToNotBeNull(column="month"),
        gxe.ExpectCompoundColumnsToBeUnique(column_list=["customer_id", "month"]),
    ]
    return rules + [
        gxe.ExpectColumnValuesToBeBetween(column=column, min_value=low, max_value=high)
        for column, (low, high) in RANGES.items()
        if column in columns
    ]


def quality_problems(metrics: dict[str, Any]) -> list[str]:
    """What is wrong with a churn model's stored metrics, a sentence each; empty when nothing is."""
    problems = []
    area = metrics.get("auc")
    for name, title in (("factor_score", "the eight-factor score"), ("logistic", "a logistic regression")):
        other = (metrics.get(name) or {}).get("auc")
        if area is not None and other is not None and area < other:
            problems.append(f"AUC {area:.3f} is below that of {title} ({other:.3f})")
    error = metrics.get("ece")
    if error is not None and error > MOST_CALIBRATION_ERROR:
        problems.append(f"calibration error {error:.3f} is above {MOST_CALIBRATION_ERROR}")
    return problems


def build_churn_checks() -> list[AssetChecksDefinition]:
    """The blocking check of the features and the warning check of the model."""

    @asset_check(
        asset=["features", "customer_month"],
        name="customer_months_sound",
        blocking=True,
        description="Keys unique and not null, values in their ranges; a broken row stops training and scoring.",
    )
    def customer_months_sound(warehouse: WarehouseResource) -> AssetCheckResult:
        from warehouse_assets.churn.service import TRAINING_INPUTS
        from warehouse_assets.churn.storage import read_customer_months, read_unsound
        from warehouse_assets.extract.state import inputs_moved, inputs_seen, record_inputs
        from warehouse_assets.quality.expectations import as_check_result, judge_frame

        with warehouse.connect("check customer_month") as connection:
            # Great Expectations takes 6 s to import: a table it has passed and dbt has not touched since is only
            # asked, in SQL, whether it still keeps the same rules.
            moved = inputs_moved(connection, CHECK, TRAINING_INPUTS)
            if not moved and read_unsound(connection, RANGES) == 0:
                return AssetCheckResult(passed=True, description="unchanged since the rules last held")
            seen = inputs_seen(connection, TRAINING_INPUTS)
            frame = read_customer_months(connection)
            verdict = judge_frame(frame, feature_expectations(list(frame.columns)), ["customer_id", "month"])
            if not verdict.broken:
                record_inputs(connection, CHECK, TRAINING_INPUTS, seen)
        return as_check_result(verdict)

    @asset_check(
        asset=["ml", "churn_model"],
        name="churn_model_quality",
        description="The champion beats the eight-factor score and a logistic regression, and is calibrated.",
    )
    def churn_model_quality(warehouse: WarehouseResource) -> AssetCheckResult:
        from warehouse_assets.churn.service import MODEL
        from warehouse_assets.lifecycle.registry import champion

        with warehouse.connect("check churn_model") as connection:
            version = champion(connection, MODEL)
        if version is None:
            return AssetCheckResult(passed=True, description="There is no churn model in service yet.")
        problems = quality_problems(version.metrics)
        return AssetCheckResult(
            passed=not problems,
            severity=AssetCheckSeverity.WARN,
            description="; ".join(problems) or f"Version {version.version} is sound.",
            metadata={"version": version.version, **{k: v for k, v in version.metrics.items() if v is not None}},
        )

    return [customer_months_sound, churn_model_quality]
