"""How old data may grow, applied to every asset once, by group."""

from datetime import timedelta

from dagster import AssetSpec, Definitions, FreshnessPolicy

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


def with_freshness(definitions: Definitions) -> Definitions:
    """Give every asset of a group that a job refreshes the freshness policy of the group."""

    def apply(spec: AssetSpec) -> AssetSpec:
        window = _WINDOWS.get(spec.group_name or "")
        if window is None or spec.freshness_policy is not None:
            return spec
        return spec.replace_attributes(freshness_policy=FreshnessPolicy.time_window(fail_window=window))

    return definitions.map_asset_specs(func=apply)
