"""dbt's data tests as asset checks: each is one, on a model of the set that can run it, and says what it looks for."""

from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from dagster import AssetCheckResult, MetadataValue

from warehouse_assets.settings import Settings
from warehouse_assets.source.contract import load_contract
from warehouse_assets.transform.assets import build_dbt_assets
from warehouse_assets.transform.pages import with_page_metadata
from warehouse_assets.transform.plan import data_tests, models_read
from warehouse_assets.transform.project import ensure_manifest, load_manifest
from warehouse_assets.transform.translator import describe_test, with_attached_tests


def generic(name: str, **values: Any) -> dict[str, Any]:
    return {"test_metadata": {"name": name, "kwargs": values}}


@pytest.mark.parametrize(
    ("test", "said"),
    [
        ({"description": "Written by hand.", "raw_code": "-- Not this."}, "Written by hand."),
        (
            {"raw_code": "-- Days on which\n-- nothing adds up.\nselect 1 -- no"},
            "Looks for days on which nothing adds up.",
        ),
        ({"raw_code": "select 1"}, ""),
        (generic("not_null", column_name="as_of"), "as_of is in every row."),
        (generic("unique", column_name="as_of"), "No two rows have the same as_of."),
        (generic("accepted_values", column_name="status", values=["a", "b"]), "status is one of a, b."),
        (
            generic("relationships", column_name="depot_id", to="ref('stg_depots')", field="depot_id"),
            "Every depot_id is a depot_id of stg_depots.",
        ),
        (generic("of_ones_own", column_name="x"), ""),
    ],
)
def test_a_check_says_what_it_looks_for(test: dict[str, Any], said: str) -> None:
    assert describe_test(test) == said


# Regression: tests of several models were run by dbt and shown nowhere, a failing warning included.
def test_every_data_test_is_a_check_of_the_set_that_can_run_it() -> None:
    manifest = load_manifest(ensure_manifest(Settings.from_env()))
    tests = data_tests(manifest)
    before, after = build_dbt_assets(manifest)
    checks = {key.name for key in [*before.check_keys, *after.check_keys]}
    assert checks == tests.keys()
    assert not [name for name, test in tests.items() if not describe_test(test)]
    built_later = {key.path[-1] for key in after.keys}
    for key in before.check_keys:
        assert built_later.isdisjoint(models_read(manifest, tests[key.name])), key


# Regression: stops and payments whose customer is nobody's left all customers without lifts, and no check said so.
def test_every_reference_of_the_contract_is_checked() -> None:
    tests = data_tests(load_manifest(ensure_manifest(Settings.from_env())))
    told = {name: describe_test(test) for name, test in tests.items()}
    contract = load_contract()
    for table in contract:
        for column in table.columns:
            if column.references:
                other = contract.table(column.references)
                said = f"Every {column.name} is a {other.primary_key[0]} of stg_{other.system}__{other.name}."
                assert told.get(f"{table.name}_{column.name}_resolves") == said


# Regression: a warned check showed a count among dbt's ids, and no way to the rows.
@pytest.mark.parametrize(
    ("path", "file"),
    [("models/_crm.yml", "models/_crm.yml/resolves.sql"), ("tests/adds_up.sql", "tests/adds_up.sql")],
)
def test_a_check_that_did_not_pass_says_how_many_rows_and_by_which_sql(path: str, file: str, tmp_path: Path) -> None:
    compiled = tmp_path / "compiled" / "warehouse" / file
    compiled.parent.mkdir(parents=True)
    compiled.write_text("\nselect 1 as ill\n")
    manifest = {"nodes": {"test.x": {"package_name": "warehouse", "original_file_path": path, "path": "resolves.sql"}}}

    def told(passed: bool) -> AssetCheckResult:
        metadata = {"unique_id": "test.x", "dagster_dbt/failed_row_count": MetadataValue.int(1200 * (not passed))}
        result = AssetCheckResult(asset_key="stops", check_name="x", passed=passed, metadata=metadata)
        shown = with_page_metadata(result, manifest, Mock(), Mock(), tmp_path)
        assert isinstance(shown, AssetCheckResult)
        return shown

    ill = told(passed=False)
    assert ill.description == "1,200 failing rows"
    assert ill.metadata["failing_rows"] == MetadataValue.md("```sql\nselect 1 as ill\n```")
    assert told(passed=True).description is None


def test_a_test_of_several_tables_is_a_check_of_the_last_model_it_reads() -> None:
    def node(unique_id: str, parents: list[str], **more: Any) -> dict[str, Any]:
        kind, _, name = unique_id.split(".")
        config = {"meta": {}, "materialized": "ephemeral" if name == "joined" else "table"}
        parts = {"name": name, "unique_id": unique_id, "resource_type": kind, "config": config}
        return {**parts, "depends_on": {"nodes": parents}, **more}

    nodes = {
        each["unique_id"]: each
        for each in (
            node("model.w.runs", []),
            node("model.w.joined", ["model.w.runs"]),
            node("model.w.scored", ["source.w.ml.prediction"]),
            node("model.w.sums", ["model.w.joined"]),
            node("test.w.agree", ["model.w.sums", "model.w.runs"]),
            node("test.w.late", ["model.w.sums", "model.w.scored"]),
            node("test.w.resolves", ["model.w.sums", "model.w.runs"], attached_node="model.w.runs"),
            node("test.w.resolves_late", ["model.w.scored", "model.w.runs"], attached_node="model.w.runs"),
            node("test.w.raw", ["source.w.operations.runs", "model.w.runs"]),
            node("test.w.through", ["model.w.joined", "model.w.runs"]),
            node("test.w.alone", ["model.w.runs"]),
        )
    }
    manifest = {
        "nodes": nodes,
        "sources": {"source.w.ml.prediction": {"schema": "ml"}, "source.w.operations.runs": {"schema": "raw"}},
        "parent_map": {name: each["depends_on"]["nodes"] for name, each in nodes.items()},
    }
    attached = {
        each["name"]: each["config"]["meta"]["dagster"]["ref"]["name"] if each["config"]["meta"] else None
        for each in with_attached_tests(manifest)["nodes"].values()
        if each["resource_type"] == "test"
    }
    assert attached == {
        "agree": "sums",
        "late": "scored",
        "resolves": None,
        "resolves_late": "scored",
        "raw": "runs",
        "through": "runs",
        "alone": None,
    }
    assert nodes["test.w.agree"]["config"]["meta"] == {}, "the manifest itself stays as dbt wrote it"
