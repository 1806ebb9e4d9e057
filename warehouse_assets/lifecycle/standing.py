"""Metadata of models' assets. An asset's page shows its last materialization: figures stand there while they hold."""

from collections.abc import Mapping, Sequence
from typing import Any

from dagster import AssetKey, DagsterInstance

#: What was done when the figures were made, where later runs found nothing to do.
LAST_CHANGE = "last_change"


def metadata_of(
    instance: DagsterInstance, key: Sequence[str], state: str, figures: Mapping[str, Any]
) -> dict[str, Any]:
    """The state and the figures, to four decimals; those of the last materialization where nothing changed."""
    if figures or "unchanged" not in state:
        shown = {name: round(value, 4) if isinstance(value, float) else value for name, value in figures.items()}
        return {"state": state, **shown}
    event = instance.get_latest_materialization_event(AssetKey(key))
    if event is None or event.asset_materialization is None:
        return {"state": state}
    last = dict(event.asset_materialization.metadata)
    return {LAST_CHANGE: last.get("state", state), **last, "state": state}
