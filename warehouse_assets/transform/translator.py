"""How dbt's resources look as Dagster assets. Groups and owners stand in ``dbt_project.yml``, by folder."""

from collections.abc import Mapping
from typing import Any

from dagster import AssetKey
from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings


class WarehouseDbtTranslator(DagsterDbtTranslator):
    """dbt's tests are asset checks, but its source tests are not.

    As checks they would pull the whole dbt step into every run that extracts a single table (50-75 s).
    """

    def __init__(self) -> None:
        super().__init__(DagsterDbtTranslatorSettings(enable_asset_checks=True, enable_source_tests_as_checks=False))


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
