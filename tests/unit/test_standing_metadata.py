"""Figures of a model's asset stand on its page as long as they hold."""

from collections.abc import Iterator
from typing import Any

import pytest
from dagster import AssetExecutionContext, AssetKey, DagsterInstance, MaterializeResult, asset, materialize

from warehouse_assets.lifecycle.standing import result_of


def pages(outcomes: list[tuple[str, dict[str, Any]]], what: str = "metadata") -> Iterator[Any]:
    """The metadata on the asset's page after each of the runs, or the version of its data."""
    coming = iter(outcomes)

    @asset(key_prefix="ml")
    def model(context: AssetExecutionContext) -> MaterializeResult[Any]:
        return result_of(context.instance, context.asset_key.path, *next(coming))

    with DagsterInstance.ephemeral() as instance:
        for _ in outcomes:
            materialize([model], instance=instance)
            event = instance.get_latest_materialization_event(AssetKey(["ml", "model"]))
            assert event
            assert event.asset_materialization
            if what == "version":
                yield (event.asset_materialization.tags or {})["dagster/data_version"]
                continue
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


# Regression: a run with new days and no new month took the figures of the months off the page.
def test_figures_of_a_part_leave_the_others_standing() -> None:
    both = ("day forecast; month forecast", {"mase by day": 0.5, "mase by month": 0.7})
    _, page = pages([both, ("day forecast; month unchanged", {"mase by day": 0.4})])
    assert page == {"state": "day forecast; month unchanged", "mase by day": 0.4, "mase by month": 0.7}


# Regression: what had not changed got a new version, and all that is made from it was shown as out of sync.
def test_what_has_not_changed_keeps_its_version() -> None:
    versions = list(pages([("trained", {"auc": 0.9}), ("unchanged", {}), ("trained", {"auc": 0.8})], "version"))
    assert versions[0] == versions[1] != versions[2]
