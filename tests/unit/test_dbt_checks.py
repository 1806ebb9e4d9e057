"""dbt's data tests as asset checks: each is one, on a model of the set that can run it, and says what it looks for."""

from typing import Any

import pytest

from warehouse_assets.settings import Settings
from warehouse_assets.transform.assets import build_dbt_assets
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
    built_later = {key.path[-1] for key in after.keys}
    for key in before.check_keys:
        assert built_later.isdisjoint(models_read(manifest, tests[key.name])), key


def test_a_test_of_several_models_is_a_check_of_the_last_unless_it_says_otherwise() -> None:
    def node(name: str, parents: list[str], kind: str = "model", **meta: Any) -> dict[str, Any]:
        return {
            "name": name.split(".")[-1],
            "resource_type": kind,
            "depends_on": {"nodes": parents},
            "config": {"meta": meta},
        }

    nodes = {
        "model.w.runs": node("model.w.runs", []),
        "model.w.scored": node("model.w.scored", ["source.w.ml.prediction"]),
        "model.w.sums": node("model.w.sums", ["model.w.runs"]),
        "test.w.agree": node("test.w.agree", ["model.w.sums", "model.w.runs"], "test"),
        "test.w.late": node("test.w.late", ["model.w.sums", "model.w.scored"], "test"),
        "test.w.named": node(
            "test.w.named", ["model.w.sums", "model.w.runs"], "test", dagster={"ref": {"name": "runs"}}
        ),
        "test.w.alone": node("test.w.alone", ["model.w.runs"], "test"),
    }
    manifest = {
        "nodes": nodes,
        "sources": {"source.w.ml.prediction": {"schema": "ml"}},
        "parent_map": {name: each["depends_on"]["nodes"] for name, each in nodes.items()},
    }
    meta = {name: each["config"]["meta"] for name, each in with_attached_tests(manifest)["nodes"].items()}
    assert {name: meta[f"test.w.{name}"] for name in ("agree", "late", "named", "alone")} == {
        "agree": {"dagster": {"ref": {"name": "sums"}}},
        "late": {"dagster": {"ref": {"name": "scored"}}},
        "named": {"dagster": {"ref": {"name": "runs"}}},
        "alone": {},
    }
    assert nodes["test.w.agree"]["config"]["meta"] == {}, "the manifest itself stays as dbt wrote it"
