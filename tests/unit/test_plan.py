"""Which models a run builds: only what is new, changed, or fed by a batch it has not seen."""

import copy
from dataclasses import replace
from typing import Any

import pytest
from dagster import AssetKey, Output

from warehouse_assets.errors import UserError
from warehouse_assets.transform.assets import Unchanged, require_named_sources
from warehouse_assets.transform.plan import (
    ModelState,
    code_version,
    plan_build,
    sources_by_model,
    unnamed_sources,
    versions_of_tests,
)


def node(name: str, materialized: str = "table", parents: list[str] | None = None, **config: Any) -> dict[str, Any]:
    return {
        "name": name,
        "unique_id": f"model.w.{name}",
        "resource_type": "model",
        "original_file_path": f"models/{name}.sql",
        "checksum": {"checksum": f"sum-{name}"},
        "config": {"materialized": materialized, **config},
        "depends_on": {"nodes": parents or []},
    }


# loads ─► stg_loads (view) ─► joined (ephemeral) ─► route_run ─► summary ◄─ ml.forecast
MANIFEST: dict[str, Any] = {
    "nodes": {
        each["unique_id"]: each
        for each in (
            node("stg_loads", "view"),
            node("joined", "ephemeral", ["model.w.stg_loads"]),
            node("route_run", parents=["model.w.joined"], sources=["loads"]),
            node("summary", parents=["model.w.route_run", "source.w.ml.forecast"]),
            node("sums_agree", parents=["model.w.route_run", "model.w.summary"], severity="ERROR")
            | {"unique_id": "test.w.sums_agree", "resource_type": "test"},
        )
    },
    "sources": {
        "source.w.operations.loads": {"name": "loads", "schema": "raw"},
        "source.w.market.holidays": {"name": "holidays", "schema": "raw"},
        "source.w.ml.forecast": {"name": "forecast", "schema": "ml"},
    },
    "parent_map": {
        "model.w.stg_loads": ["source.w.operations.loads"],
        "model.w.joined": ["model.w.stg_loads", "source.w.market.holidays"],
        "model.w.route_run": ["model.w.joined"],
        "model.w.summary": ["model.w.route_run", "source.w.ml.forecast"],
    },
}
ZONE = "America/Chicago"
NAMES = ["stg_loads", "route_run", "summary"]
CURRENT = ModelState(
    codes={name: code_version(MANIFEST, f"model.w.{name}", ZONE) for name in NAMES},
    seen={
        ("route_run", "loads"): 7,
        ("summary", "loads"): 7,
        ("summary", "holidays"): 3,
        ("summary", "ml.forecast"): 8,
    },
    tests=versions_of_tests(MANIFEST),
)
BATCHES = {"loads": 7, "holidays": 3, "ml.forecast": 8}


def test_a_models_sources_are_its_own_list_or_all_above_it() -> None:
    sources = sources_by_model(MANIFEST)
    assert sources["route_run"] == {"loads"}
    assert sources["summary"] == {"loads", "holidays", "ml.forecast"}


@pytest.mark.parametrize(
    ("batches", "existing", "state", "built"),
    [
        # last batches                relations that exist   what was seen   what must be built
        (BATCHES, NAMES, CURRENT, set()),
        ({**BATCHES, "loads": 9}, NAMES, CURRENT, {"route_run", "summary"}),
        ({**BATCHES, "ml.forecast": 9}, NAMES, CURRENT, {"summary"}),
        ({**BATCHES, "holidays": 9}, NAMES, CURRENT, {"summary"}),
        (BATCHES, ["route_run", "summary"], CURRENT, {"stg_loads"}),
        (BATCHES, [], ModelState({}, {}, {}), {"stg_loads", "route_run", "summary"}),
        (BATCHES, NAMES, replace(CURRENT, codes={**CURRENT.codes, "stg_loads": 1}), {"stg_loads"}),
        (BATCHES, NAMES, replace(CURRENT, tests={}), {"route_run", "summary"}),
        ({}, NAMES, CURRENT, set()),
    ],
)
def test_only_what_moved_is_built(
    batches: dict[str, int], existing: list[str], state: ModelState, built: set[str]
) -> None:
    plan = plan_build(MANIFEST, NAMES, batches, state, existing, ZONE)
    assert set(plan.build) == built
    assert set(plan.current) == set(NAMES) - built


def test_a_change_above_changes_the_code_of_all_below() -> None:
    changed = copy.deepcopy(MANIFEST)
    changed["nodes"]["model.w.joined"]["checksum"]["checksum"] = "edited"
    moved = {name for name in NAMES if code_version(changed, f"model.w.{name}", ZONE) != CURRENT.codes[name]}
    assert moved == {"route_run", "summary"}


@pytest.mark.parametrize(("key", "value"), [("checksum", {"checksum": "edited"}), ("config", {"severity": "WARN"})])
def test_a_test_that_changed_is_to_pass_again(key: str, value: dict[str, str]) -> None:
    changed = copy.deepcopy(MANIFEST)
    changed["nodes"]["test.w.sums_agree"][key] = value
    assert set(plan_build(changed, NAMES, BATCHES, CURRENT, NAMES, ZONE).build) == {"route_run", "summary"}


def test_a_stored_model_names_all_it_has_to_follow() -> None:
    stored = copy.deepcopy(MANIFEST)
    stored["nodes"]["model.w.route_run"]["config"]["materialized"] = "business_days"
    assert unnamed_sources(stored, undated=()) == {"route_run": ["holidays"]}
    assert unnamed_sources(stored, undated={"holidays"}) == {}
    stored["parent_map"]["model.w.route_run"].append("source.w.ml.forecast")
    with pytest.raises(UserError, match=r"Model route_run is made from .*ml.forecast and would not follow"):
        require_named_sources(stored)


def test_a_full_refresh_builds_everything() -> None:
    plan = plan_build(MANIFEST, NAMES, BATCHES, CURRENT, NAMES, ZONE, rebuild_all=True)
    assert set(plan.build) == set(NAMES)


# Regression: a model that stood as it was came after a model built from it, and Dagster refused the step.
def test_unchanged_models_come_before_what_is_built_from_them() -> None:
    unchanged = Unchanged(MANIFEST, {name: AssetKey(name) for name in ("route_run", "stg_loads")})
    event = Output(None, metadata={"unique_id": "model.w.summary"})
    assert [str(result.asset_key.path[-1]) for result in unchanged.above(event)] == ["stg_loads", "route_run"]
    assert list(unchanged.rest()) == []


def test_what_nothing_was_built_from_comes_last() -> None:
    unchanged = Unchanged(MANIFEST, {name: AssetKey(name) for name in ("summary", "stg_loads")})
    assert [str(result.asset_key.path[-1]) for result in unchanged.rest()] == ["stg_loads", "summary"]
