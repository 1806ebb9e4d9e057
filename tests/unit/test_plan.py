"""Which models a run builds and which tests it runs: only what is new, changed, or fed by a batch it has not seen."""

import copy
from dataclasses import replace
from typing import Any

import pytest
from dagster import AssetKey, Output

from warehouse_assets.errors import UserError
from warehouse_assets.transform.assets import Unchanged, require_named_sources, require_tests_of_models
from warehouse_assets.transform.plan import (
    WarehouseState,
    code_version,
    passes_of,
    plan_build,
    plan_tests,
    sources_by_model,
    unnamed_sources,
    untouched_tests,
)
from warehouse_assets.transform.project import macros_version


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
            *(
                node(name, parents=[f"model.w.{parent}" for parent in parents], severity="ERROR")
                | {"unique_id": f"test.w.{name}", "resource_type": "test"}
                for name, parents in {
                    "weights_known": ["stg_loads"],
                    "runs_unique": ["route_run"],
                    "sums_agree": ["route_run", "summary"],
                }.items()
            ),
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
TESTS = ["weights_known", "runs_unique", "sums_agree"]
BATCHES = {"loads": 7, "holidays": 3, "ml.forecast": 8}
NEW = WarehouseState(changed_batches=BATCHES, codes={}, seen={}, passes={}, existing=NAMES)
CURRENT = replace(
    NEW,
    codes={name: code_version(MANIFEST, f"model.w.{name}", ZONE, macros_version()) for name in NAMES},
    seen={
        ("route_run", "loads"): 7,
        ("summary", "loads"): 7,
        ("summary", "holidays"): 3,
        ("summary", "ml.forecast"): 8,
    },
    passes=passes_of(MANIFEST, TESTS, NEW),
)


def test_a_models_sources_are_its_own_list_or_all_above_it() -> None:
    sources = sources_by_model(MANIFEST)
    assert sources["route_run"] == {"loads"}
    assert sources["summary"] == {"loads", "holidays", "ml.forecast"}


@pytest.mark.parametrize(
    ("state", "built"),
    [
        # what the warehouse remembers                                             what must be built
        (CURRENT, set()),
        (replace(CURRENT, changed_batches={**BATCHES, "loads": 9}), {"route_run", "summary"}),
        (replace(CURRENT, changed_batches={**BATCHES, "ml.forecast": 9}), {"summary"}),
        (replace(CURRENT, changed_batches={**BATCHES, "holidays": 9}), {"summary"}),
        (replace(CURRENT, existing=["route_run", "summary"]), {"stg_loads"}),
        (replace(NEW, existing=[]), {"stg_loads", "route_run", "summary"}),
        (replace(CURRENT, codes={**CURRENT.codes, "stg_loads": 1}), {"stg_loads"}),
        (replace(CURRENT, passes={}), set()),
        (replace(CURRENT, changed_batches={}), set()),
    ],
)
def test_only_what_moved_is_built(state: WarehouseState, built: set[str]) -> None:
    plan = plan_build(MANIFEST, NAMES, state, ZONE)
    assert set(plan.build) == built
    assert set(plan.current) == set(NAMES) - built


@pytest.mark.parametrize(
    ("state", "build", "run", "waiting"),
    [
        # what the warehouse remembers                                this run builds         tests run          wait
        (CURRENT, [], set(), set()),
        (CURRENT, ["summary"], {"sums_agree"}, set()),  # asked for
        (replace(CURRENT, passes={}), [], set(TESTS), set()),  # new, failed, or left out by a killed run
        (replace(CURRENT, changed_batches={**BATCHES, "loads": 9}), ["route_run", "summary"], set(TESTS), set()),
        # another job builds summary, or even route_run: what would be compared is not of one time
        (
            replace(CURRENT, changed_batches={**BATCHES, "loads": 9}),
            ["route_run"],
            {"weights_known", "runs_unique"},
            {"sums_agree"},
        ),
        (
            replace(CURRENT, changed_batches={**BATCHES, "loads": 9}),
            [],
            {"weights_known"},
            {"runs_unique", "sums_agree"},
        ),
        # built by another job meanwhile, which did not have the test
        (
            replace(
                CURRENT,
                changed_batches={**BATCHES, "loads": 9},
                seen={**CURRENT.seen, ("route_run", "loads"): 9, ("summary", "loads"): 9},
            ),
            [],
            set(TESTS),
            set(),
        ),
    ],
)
def test_only_tests_of_what_moved_are_run(
    state: WarehouseState, build: list[str], run: set[str], waiting: set[str]
) -> None:
    tests = plan_tests(MANIFEST, TESTS, build, state, ZONE)
    assert (set(tests.run), set(tests.waiting)) == (run, waiting)
    assert set(tests.standing) == set(TESTS) - run - waiting


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("checksum", {"checksum": "edited"}),
        # Regression: of what only YAML said, nothing was built.
        ("contract", {"enforced": True, "checksum": "edited"}),
        ("constraints", [{"type": "primary_key", "columns": ["load_id"]}]),
        ("columns", {"load_id": {"name": "load_id", "constraints": [{"type": "not_null"}]}}),
        ("config", {"materialized": "ephemeral", "indexes": [{"columns": ["load_id"]}]}),
    ],
)
def test_a_change_above_changes_the_code_of_all_below(key: str, value: Any) -> None:
    changed = copy.deepcopy(MANIFEST)
    changed["nodes"]["model.w.joined"][key] = value
    moved = {
        name
        for name in NAMES
        if code_version(changed, f"model.w.{name}", ZONE, macros_version()) != CURRENT.codes[name]
    }
    assert moved == {"route_run", "summary"}


@pytest.mark.parametrize(
    ("key", "value"),
    [("checksum", {"checksum": "edited"}), ("config", {"severity": "WARN"}), ("config", {"fail_calc": "sum(n)"})],
)
def test_a_test_that_changed_is_to_pass_again(key: str, value: dict[str, str]) -> None:
    changed = copy.deepcopy(MANIFEST)
    changed["nodes"]["test.w.sums_agree"][key] = value
    assert plan_tests(changed, TESTS, [], CURRENT, ZONE).run == {"sums_agree": "it has not passed"}


# Regression: with a new storage of Dagster's, standing tests had no result to show, warnings included.
def test_a_standing_test_without_a_result_is_run() -> None:
    tests = plan_tests(MANIFEST, TESTS, [], CURRENT, ZONE).with_unknown(["sums_agree"])
    assert (set(tests.run), tests.standing) == ({"weights_known", "runs_unique"}, ("sums_agree",))


# Regression: a test of another job stood as passed on a model that was built anew without it.
@pytest.mark.parametrize(
    ("build", "run", "untouched"),
    [
        ([], [], set(TESTS)),
        (["summary"], [], {"weights_known", "runs_unique"}),
        (["route_run"], ["runs_unique"], {"weights_known"}),
        ([], ["weights_known"], {"runs_unique", "sums_agree"}),
    ],
)
def test_a_build_leaves_the_passes_of_what_it_does_not_touch(
    build: list[str], run: list[str], untouched: set[str]
) -> None:
    assert set(untouched_tests(MANIFEST, build, run)) == untouched


def test_a_test_follows_the_sources_it_reads_itself_and_through_ephemeral_models() -> None:
    direct = copy.deepcopy(MANIFEST)
    direct["nodes"]["test.w.runs_unique"]["depends_on"]["nodes"] += ["source.w.ml.forecast"]
    direct["nodes"]["test.w.weights_known"]["depends_on"]["nodes"] += ["model.w.joined"]
    passes = passes_of(direct, TESTS, NEW)
    assert passes["runs_unique"].batches == BATCHES
    assert passes["weights_known"].batches == {"loads": 7, "holidays": 3}


def test_a_test_that_no_run_would_run_is_refused() -> None:
    require_tests_of_models(MANIFEST)
    changed = copy.deepcopy(MANIFEST)
    changed["nodes"]["test.w.sums_agree"]["depends_on"]["nodes"] = ["source.w.operations.loads"]
    with pytest.raises(UserError, match=r"Test sums_agree reads no model.* \(models/sums_agree\.sql\)"):
        require_tests_of_models(changed)


def test_a_stored_model_names_all_it_has_to_follow() -> None:
    stored = copy.deepcopy(MANIFEST)
    stored["nodes"]["model.w.route_run"]["config"]["materialized"] = "business_days"
    assert unnamed_sources(stored, undated=()) == {"route_run": ["holidays"]}
    assert unnamed_sources(stored, undated={"holidays"}) == {}
    stored["parent_map"]["model.w.route_run"].append("source.w.ml.forecast")
    # Regression: one model was named at a time, and an input that six are made from took six runs to name everywhere.
    stored["nodes"]["model.w.summary"]["config"] |= {"materialized": "tracked_table", "sources": ["loads"]}
    with pytest.raises(UserError, match=r"ml\.forecast in \S+route_run\.sql; .*ml\.forecast in \S+summary\.sql "):
        require_named_sources(stored)


def test_a_full_refresh_builds_everything() -> None:
    plan = plan_build(MANIFEST, NAMES, CURRENT, ZONE, rebuild_all=True)
    assert set(plan.build) == set(NAMES)


# Regression: a model that stood as it was came after a model built from it, and Dagster refused the step.
def test_unchanged_models_come_before_what_is_built_from_them() -> None:
    unchanged = Unchanged(MANIFEST, {name: AssetKey(name) for name in ("route_run", "stg_loads")}, {})
    event = Output(None, metadata={"unique_id": "model.w.summary"})
    assert [str(result.asset_key.path[-1]) for result in unchanged.above(event)] == ["stg_loads", "route_run"]
    assert list(unchanged.rest()) == []


def test_what_nothing_was_built_from_comes_last() -> None:
    unchanged = Unchanged(
        MANIFEST, {name: AssetKey(name) for name in ("summary", "stg_loads")}, {"summary": {"dagster/row_count": 12}}
    )
    results = list(unchanged.rest())
    assert [str(result.asset_key.path[-1]) for result in results] == ["stg_loads", "summary"]
    assert [result.metadata for result in results] == [
        {"state": "unchanged"},
        {"state": "unchanged", "dagster/row_count": 12},
    ]
