"""The churn model and its predictions as assets: read, call, write, report. What is done stands in ``service``."""

from typing import Any

from dagster import AssetChecksDefinition, AssetExecutionContext, AssetsDefinition, MaterializeResult, asset

from warehouse_assets.churn.checks import build_churn_checks
from warehouse_assets.database.resource import WarehouseResource
from warehouse_assets.lifecycle.columns import table_metadata
from warehouse_assets.lifecycle.standing import result_of
from warehouse_assets.options import RunOptions

_SHARED: dict[str, Any] = {"group_name": "churn", "owners": ["team:customer-success"], "key_prefix": ["ml"]}


def build_churn_assets() -> list[AssetsDefinition | AssetChecksDefinition]:
    """The two assets and the checks of the churn model."""

    @asset(
        **_SHARED,
        name="churn_model",
        deps=[["features", "customer_month"]],
        kinds={"python", "lightgbm"},
        metadata=table_metadata("model_version"),
        description="Calibrated churn model, trained when labelled customer-months change; kept in ml.model_version.",
    )
    def churn_model(
        context: AssetExecutionContext, warehouse: WarehouseResource, options: RunOptions
    ) -> MaterializeResult[Any]:
        from warehouse_assets.churn.service import train_model

        with warehouse.connect("churn_model") as connection:
            outcome = train_model(connection, context.run.run_id, force=options.full_refresh)
        context.log.info(outcome.state)
        key = context.asset_key.path
        return result_of(context.instance, key, outcome.state, outcome.figures)

    @asset(
        **_SHARED,
        name="churn_prediction",
        deps=[["features", "customer_month"], ["ml", "churn_model"]],
        kinds={"python", "postgres"},
        metadata=table_metadata("churn_prediction"),
        description="Probability of leaving within 90 days for each customer, with factors, reasons and an action.",
    )
    def churn_prediction(
        context: AssetExecutionContext, warehouse: WarehouseResource, options: RunOptions
    ) -> MaterializeResult[Any]:
        from warehouse_assets.churn.service import score_customers

        with warehouse.connect("churn_prediction") as connection:
            outcome = score_customers(connection, context.run.run_id, force=options.full_refresh)
        context.log.info(outcome.state)
        key = context.asset_key.path
        return result_of(context.instance, key, outcome.state, outcome.figures)

    return [churn_model, churn_prediction, *build_churn_checks()]
