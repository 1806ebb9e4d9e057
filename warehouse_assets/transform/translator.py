"""How dbt's resources look as Dagster assets. Groups and owners stand in ``dbt_project.yml``, by folder."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from dagster import AssetCheckSpec, AssetSpec
from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings, DbtProject


def with_attached_tests(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest with each test of several models attached to one of them: the one that is built last.

    dagster-dbt shows a test that is attached to none nowhere. A ``dagster: {ref: …}`` in the test's own meta stays.
    """
    parents: Mapping[str, list[str]] = manifest["parent_map"]

    @cache
    def above(unique_id: str) -> frozenset[str]:
        direct = parents.get(unique_id, ())
        return frozenset(direct).union(*(above(parent) for parent in direct))

    def place(unique_id: str) -> tuple[bool, int, str]:
        """Where a model stands in the order of building: those that read predictions come after all others."""
        reads_predictions = any(manifest["sources"].get(name, {}).get("schema") == "ml" for name in above(unique_id))
        return reads_predictions, len(above(unique_id)), unique_id

    nodes = dict(manifest["nodes"])
    for unique_id, node in nodes.items():
        models = [name for name in node["depends_on"]["nodes"] if name.startswith("model.")]
        if node["resource_type"] != "test" or len(models) < 2 or node.get("attached_node"):
            continue
        meta = node["config"].get("meta") or {}
        last = nodes[max(models, key=place)]["name"]
        attached = {"dagster": {"ref": {"name": last}}, **meta}
        nodes[unique_id] = {**node, "config": {**node["config"], "meta": attached}}
    return {**manifest, "nodes": nodes}


def describe_test(test: Mapping[str, Any]) -> str:
    """What a data test of the manifest looks for: its description, its comment, or the sense of a generic one."""
    if said := test.get("description"):
        return str(said)
    generic = test.get("test_metadata")
    if generic is None:
        comment = []
        for line in str(test["raw_code"]).splitlines():
            if not line.startswith("--"):
                break
            comment.append(line.removeprefix("--").strip())
        text = " ".join(comment)
        return f"Looks for {text[0].lower()}{text[1:]}" if text else ""
    values: Mapping[str, Any] = generic["kwargs"]
    column = values.get("column_name")
    match generic["name"]:
        case "not_null":
            return f"{column} is in every row."
        case "unique":
            return f"No two rows have the same {column}."
        case "accepted_values":
            return f"{column} is one of {', '.join(map(str, values['values']))}."
        case "relationships":
            parent = str(values["to"]).removeprefix("ref('").removesuffix("')")
            return f"Every {column} is a {values['field']} of {parent}."
    return ""


class WarehouseDbtTranslator(DagsterDbtTranslator):
    """dbt's tests are asset checks, but its source tests are not.

    As checks they would pull the whole dbt step into every run that extracts a single table (50-75 s).
    """

    def __init__(self) -> None:
        super().__init__(DagsterDbtTranslatorSettings(enable_asset_checks=True, enable_source_tests_as_checks=False))

    def get_description(self, dbt_resource_props: Mapping[str, Any]) -> str:
        """The words alone: the SQL with its templates, which dagster-dbt adds, hides them."""
        return str(dbt_resource_props.get("description") or "")

    def get_asset_check_spec(
        self, asset_spec: AssetSpec, manifest: Mapping[str, Any], unique_id: str, project: DbtProject | None
    ) -> AssetCheckSpec | None:
        """The check of a test, with what it looks for."""
        spec = super().get_asset_check_spec(asset_spec, manifest, unique_id, project)
        if spec is None:
            return None
        return spec._replace(description=describe_test(manifest["nodes"][unique_id]) or None)
