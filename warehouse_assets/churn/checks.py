"""Asset checks of the churn model: the features that training and scoring read, and the model's quality."""

from __future__ import annotations

from typing import Any

from dagster import AssetCheckResult, AssetChecksDefinition, AssetCheckSeverity, asset_check

from warehouse_assets.database.resource import WarehouseResource
from warehouse_assets.quality.expectations import FrameVerdict, judge_frame
from warehouse_assets.quality.memory import judge_unless_held

MOST_CALIBRATION_ERROR = 0.05


def quality_problems(metrics: dict[str, Any]) -> list[str]:
    """What is wrong with a churn model's stored metrics, a sentence each; empty when nothing is."""
    problems = []
    area = metrics.get("auc")
    for name, title in (("factor_score", "the eight-factor score"), ("logistic", "a logistic regression")):
        other = (metrics.get(name) or {}).get("auc")
        if area is not None and other is not None and round(area, 3) < round(other, 3):
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
        from warehouse_assets.churn import soundness
        from warehouse_assets.churn.storage import FEATURES_SCHEMA, FEATURES_TABLE, read_customer_months

        def judge() -> FrameVerdict:
            frame = read_customer_months(connection)
            return judge_frame(frame, soundness.feature_expectations(list(frame.columns)), soundness.KEY)

        with warehouse.connect("check customer_month") as connection:
            return judge_unless_held(connection, FEATURES_SCHEMA, FEATURES_TABLE, soundness, judge)

    @asset_check(
        asset=["ml", "churn_model"],
        name="churn_model_quality",
        description="A model in service beats the eight-factor score and a logistic regression, and is calibrated.",
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
