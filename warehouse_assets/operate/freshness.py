"""How old data may grow, applied to every asset once, by group."""

from collections.abc import Iterable
from datetime import timedelta

from dagster import AssetChecksDefinition, AssetsDefinition, AssetSpec, FreshnessPolicy

Asset = AssetsDefinition | AssetChecksDefinition

# Warned of after twice the cadence of the job that refreshes the group, with a margin for a long run. Few runs start
# while the source has nothing new, so only what is older than a long weekend has failed.
_DAILY = timedelta(hours=36)
_WARN = {
    "route": timedelta(minutes=45),
    "operational": timedelta(hours=3),
    "customer": _DAILY,
    "financial": _DAILY,
    "features": _DAILY,
    "churn": _DAILY,
    "forecast": _DAILY,
}
_FAIL = timedelta(hours=84)


def with_freshness(assets: Iterable[Asset]) -> list[Asset]:
    """Give every asset of a group that a job refreshes the freshness policy of the group."""
    return [
        asset.map_asset_specs(_with_policy)
        if isinstance(asset, AssetsDefinition) and not isinstance(asset, AssetChecksDefinition)
        else asset
        for asset in assets
    ]


def _with_policy(spec: AssetSpec) -> AssetSpec:
    window = _WARN.get(spec.group_name or "")
    if window is None or spec.freshness_policy is not None:
        return spec
    return spec.replace_attributes(freshness_policy=FreshnessPolicy.time_window(fail_window=_FAIL, warn_window=window))
