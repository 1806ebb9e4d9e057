"""How dbt's resources look as Dagster assets: keys, groups, owners, kinds. No execution belongs here."""

from collections.abc import Mapping, Sequence
from typing import Any

from dagster import AssetKey
from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings

OWNERS = {
    "raw": "team:data-engineering",
    "staging": "team:data-engineering",
    "route": "team:operations",
    "operational": "team:operations",
    "customer": "team:accounts",
    "financial": "team:finance",
    "features": "team:data-science",
    "churn": "team:data-science",
    "forecast": "team:data-science",
}


class WarehouseDbtTranslator(DagsterDbtTranslator):
    """Groups by layer (staging, features) or, from intermediate on, by domain; an owner for each group.

    dbt's source tests stay out of the graph: as checks they would pull the whole dbt step into every run that
    extracts a single table.
    """

    def __init__(self) -> None:
        super().__init__(DagsterDbtTranslatorSettings(enable_asset_checks=True, enable_source_tests_as_checks=False))

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str | None:
        """The layer for staging and features, the domain for intermediate models and marts."""
        folders: Sequence[str] = dbt_resource_props["fqn"][1:-1]
        if dbt_resource_props["resource_type"] != "model" or not folders:
            return super().get_group_name(dbt_resource_props)
        layer = folders[0]
        return folders[1] if layer in ("intermediate", "marts") and len(folders) > 1 else layer

    def get_owners(self, dbt_resource_props: Mapping[str, Any]) -> Sequence[str] | None:
        """The team that answers for the group."""
        owner = OWNERS.get(self.get_group_name(dbt_resource_props) or "")
        return [owner] if owner else None


def asset_key_of(manifest: Mapping[str, Any], model: str) -> AssetKey:
    """The asset key of a dbt model.

    Raises:
        KeyError: the project has no such model.
    """
    for unique_id, node in manifest["nodes"].items():
        if node["resource_type"] == "model" and node["name"] == model:
            key: AssetKey = WarehouseDbtTranslator().get_asset_spec(manifest, unique_id, None).key
            return key
    raise KeyError(model)
