"""Metadata and check results that the models' assets report to Dagster.

An asset's page shows its last materialization alone: figures are handed on as long as they hold.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from dagster import AssetKey, DagsterInstance, DataVersion, MaterializeResult

#: What was done when the figures were made, where later runs found nothing to do.
LAST_CHANGE = "last_change"
_VERSION_TAG = "dagster/data_version"


def result_of(
    instance: DagsterInstance, key: Sequence[str], state: str, figures: Mapping[str, Any]
) -> MaterializeResult[Any]:
    """The state and the figures, to four decimals, beside those of the last materialization that still hold.

    What has not changed keeps its data version, so that what is made from it is not called out of sync.
    """
    shown = {name: round(value, 4) if isinstance(value, float) else value for name, value in figures.items()}
    event = instance.get_latest_materialization_event(AssetKey(key)) if "unchanged" in state else None
    last = event.asset_materialization if event else None
    if last is None:
        return MaterializeResult(asset_key=AssetKey(key), metadata={"state": state, **shown})
    kept = dict(last.metadata)
    if shown:  # of a part: the rest stands
        kept.pop(LAST_CHANGE, None)
        return MaterializeResult(asset_key=AssetKey(key), metadata={**kept, **shown, "state": state})
    version = (last.tags or {}).get(_VERSION_TAG)
    return MaterializeResult(
        asset_key=AssetKey(key),
        metadata={LAST_CHANGE: kept.get("state", state), **kept, "state": state},
        data_version=DataVersion(version) if version else None,
    )
