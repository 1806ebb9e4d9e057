"""How old data may grow, applied to every asset once, by group."""

from collections.abc import Iterable
from datetime import timedelta

from dagster import AssetChecksDefinition, AssetsDefinition, AssetSpec, FreshnessPolicy

Asset = AssetsDefinition | AssetChecksDefinition

# Twice the cadence of the job that refreshes the group, and a margin for a long run.
_WINDOWS = {
    "route": timedelta(minutes=45),
    "operational": timedelta(hours=3),
    "customer": timedelta(hours=36),
    "financial": timedelta(hours=36),
    "features": timedelta(hours=36),
    "churn": timedelta(hours=36),
    "forecast": timedelta(hours=36),
}


def with_freshness(assets: Iterable[Asset]) -> list[Asset]:
    """Give every asset of a group that a job refreshes the freshness policy of the group."""
    return [
        asset.map_asset_specs(_with_policy)
        if isinstance(asset, AssetsDefinition) and not isinstance(asset, AssetChecksDefinition)
        else asset
        for asset in assets
    ]


def _with_policy(spec: AssetSpec) -> AssetSpec:
    window = _WINDOWS.get(spec.group_name or "")
    if window is None or spec.freshness_policy is not None:
        return spec
    return spec.replace_attributes(freshness_policy=FreshnessPolicy.time_window(fail_window=window))
