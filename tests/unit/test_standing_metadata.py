"""Figures of a model's asset stand on its page as long as they hold."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from dagster import AssetExecutionContext, AssetKey, DagsterInstance, MaterializeResult, asset, materialize

from warehouse_assets.lifecycle.standing import metadata_of


def pages(outcomes: list[tuple[str, dict[str, Any]]]) -> Iterator[Mapping[str, Any]]:
    """The metadata on the asset's page after each of the runs."""
    coming = iter(outcomes)

    @asset(key_prefix="ml")
    def model(context: AssetExecutionContext) -> MaterializeResult[Any]:
        return MaterializeResult(metadata=metadata_of(context.instance, context.asset_key.path, *next(coming)))

    with DagsterInstance.ephemeral() as instance:
        for _ in outcomes:
            materialize([model], instance=instance)
            event = instance.get_latest_materialization_event(AssetKey(["ml", "model"]))
            assert event
            assert event.asset_materialization
            yield {key: value.value for key, value in event.asset_materialization.metadata.items()}


# Regression: after a run with nothing new, thus nearly always, the page of a model said "unchanged" and nothing else.
@pytest.mark.parametrize("state", ["unchanged", "unchanged: version 1 has seen the same", "day unchanged"])
def test_figures_stand_while_nothing_changes(state: str) -> None:
    trained = ("trained, in service", {"auc": 0.90001})
    first, second, third, fourth = pages([trained, (state, {}), (state, {}), ("no predictions: no rows", {})])
    assert first == {"state": "trained, in service", "auc": 0.9}
    assert second == third == {"state": state, "last_change": "trained, in service", "auc": 0.9}
    assert fourth == {"state": "no predictions: no rows"}


def test_without_a_result_before_there_is_nothing_to_stand() -> None:
    assert list(pages([("unchanged", {})])) == [{"state": "unchanged"}]
