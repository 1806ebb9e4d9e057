"""How dbt's resources look as Dagster assets. Groups and owners stand in ``dbt_project.yml``, by folder."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from dagster import AssetCheckSpec, AssetSpec
from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings, DbtProject

from warehouse_assets.transform.plan import data_tests, models_of


def with_attached_tests(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest with each test of several tables attached to one model, of those it reads the one built last.

    dagster-dbt shows a test that is attached to none nowhere. A generic test stays with the model it stands below,
    unless it also reads a model that is built from predictions, which come after all others.
    """
    parents: Mapping[str, list[str]] = manifest["parent_map"]

    @cache
    def above(unique_id: str) -> frozenset[str]:
        direct = parents.get(unique_id, ())
        return frozenset(direct).union(*(above(parent) for parent in direct))

    def is_late(unique_id: str) -> bool:
        return any(manifest["sources"].get(name, {}).get("schema") == "ml" for name in above(unique_id))

    nodes = dict(manifest["nodes"])
    stored = {node["unique_id"] for node in models_of(manifest).values()}
    for test in data_tests(manifest).values():
        read = [name for name in test["depends_on"]["nodes"] if name in stored]
        if not read or len(test["depends_on"]["nodes"]) == 1:
            continue
        last = max(read, key=lambda name: (is_late(name), len(above(name)), name))
        below = str(test.get("attached_node") or "")
        if below in stored and is_late(below) == is_late(last):
            continue
        meta = {**(test["config"].get("meta") or {}), "dagster": {"ref": {"name": nodes[last]["name"]}}}
        nodes[test["unique_id"]] = {**test, "config": {**test["config"], "meta": meta}}
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
