"""Which dbt models a run has to build. Pure: the manifest and the control tables' rows in, a plan out.

A model is built when it never was, when its SQL changed, when a table it is built from (at any distance) has a batch it
has not seen, or when its tests have not passed since: a test that is new, that failed, or that a killed run left out.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any


@dataclass(frozen=True)
class ModelState:
    """What the warehouse remembers of the last build: code and passed tests by model, batches by (model, source)."""

    codes: Mapping[str, int]
    seen: Mapping[tuple[str, str], int]
    tests: Mapping[str, int]


@dataclass(frozen=True)
class BuildPlan:
    """Models to build with the reason for each, and the ones that are current. Names, not unique ids."""

    build: Mapping[str, str]
    current: tuple[str, ...]


def source_table(node: Mapping[str, Any]) -> str:
    """The name a source goes by in the control tables: the bare table for raw, ``ml.<table>`` for predictions."""
    name = str(node["name"])
    return name if node["schema"] == "raw" else f"{node['schema']}.{name}"


def models_of(manifest: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The models that exist in the database, by name."""
    return {
        node["name"]: node
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model" and node["config"]["materialized"] != "ephemeral"
    }


def sources_by_model(manifest: Mapping[str, Any]) -> dict[str, frozenset[str]]:
    """For every model, the source tables whose changes concern it.

    These are the ones its ``sources`` config names, else all it is built from at any distance.
    """
    parents: Mapping[str, list[str]] = manifest["parent_map"]

    @cache
    def sources_above(unique_id: str) -> frozenset[str]:
        if unique_id.startswith("source."):
            return frozenset({source_table(manifest["sources"][unique_id])})
        return frozenset().union(*(sources_above(parent) for parent in parents.get(unique_id, ())))

    return {
        name: frozenset(node["config"].get("sources") or sources_above(node["unique_id"]))
        for name, node in models_of(manifest).items()
    }


def unnamed_sources(manifest: Mapping[str, Any], undated: Collection[str]) -> dict[str, list[str]]:
    """Source tables that a stored model is made from and its ``sources`` leave out: it would not follow their changes.

    Args:
        manifest: dbt's manifest.
        undated: raw tables without a business date. They touch no days: models by days may leave them out, and so may
            what is made of those.
    """
    parents: Mapping[str, list[str]] = manifest["parent_map"]
    models = models_of(manifest)

    @cache
    def above(unique_id: str) -> frozenset[str]:
        if unique_id.startswith("source."):
            return frozenset({source_table(manifest["sources"][unique_id])})
        found = frozenset[str]().union(*(above(parent) for parent in parents.get(unique_id, ())))
        by_days = manifest["nodes"][unique_id]["config"]["materialized"] == "business_days"
        return found - frozenset(undated) if by_days else found

    missing = {}
    for name, node in models.items():
        if node["config"]["materialized"] not in ("business_days", "tracked_table"):
            continue
        named = frozenset(node["config"].get("sources") or ())
        # a day table made by dbt, such as intermediate.int_x, stands for what it is made from
        day_tables = [models[source.rpartition(".")[2]] for source in named if source.rpartition(".")[2] in models]
        named = named.union(*(above(table["unique_id"]) for table in day_tables))
        if left_out := above(node["unique_id"]) - named:
            missing[name] = sorted(left_out)
    return missing


def code_version(manifest: Mapping[str, Any], unique_id: str, time_zone: str) -> int:
    """One number for a model's code and that of all models above it; the dbt macro of the same name must agree."""
    seen: dict[str, str] = {}
    waiting = [unique_id]
    while waiting:
        node = manifest["nodes"].get(name := waiting.pop())
        if node is not None and name not in seen:
            seen[name] = f"{node['name']}={node['checksum']['checksum']}"
            waiting += node["depends_on"]["nodes"]
    entries = [*sorted(seen.values()), f"time_zone={time_zone}"]
    return _number(",".join(entries))


def versions_of_tests(manifest: Mapping[str, Any]) -> dict[str, int]:
    """One number for the data tests of every model; 0 for a model without."""
    entries: dict[str, list[str]] = {name: [] for name in models_of(manifest)}
    for unique_id, node in manifest["nodes"].items():
        if node["resource_type"] != "test":
            continue
        # The name of a generic test holds its arguments; what it is to do about failures stands in its config.
        settings = [node["config"].get(key) for key in ("severity", "where", "error_if", "warn_if")]
        entry = f"{unique_id}={node['checksum']['checksum']}={settings}"
        for parent in node["depends_on"]["nodes"]:
            if (model := manifest["nodes"].get(parent)) is not None and model["name"] in entries:
                entries[model["name"]].append(entry)
    return {name: _number(",".join(sorted(tests))) if tests else 0 for name, tests in entries.items()}


def _number(text: str) -> int:
    return int(hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()[:15], 16)


def plan_build(
    manifest: Mapping[str, Any],
    names: Iterable[str],
    changed_batches: Mapping[str, int],
    state: ModelState,
    existing: Collection[str],
    time_zone: str,
    rebuild_all: bool = False,
) -> BuildPlan:
    """Choose the models to build among ``names``.

    Args:
        manifest: dbt's manifest.
        names: models the caller may build.
        changed_batches: last batch that changed rows, by source table.
        state: what the last builds saw.
        existing: models that have a relation in the database.
        time_zone: the company's, which is part of every model's code.
        rebuild_all: build every one of them whatever the state.
    """
    models, sources, tests = models_of(manifest), sources_by_model(manifest), versions_of_tests(manifest)
    build: dict[str, str] = {}
    current: list[str] = []
    for name in names:
        node = models[name]
        is_view = node["config"]["materialized"] == "view"
        moved = [
            table for table in sorted(sources[name]) if changed_batches.get(table, 0) > state.seen.get((name, table), 0)
        ]
        if rebuild_all:
            build[name] = "asked for"
        elif name not in existing:
            build[name] = "not built before"
        elif state.codes.get(name) != code_version(manifest, node["unique_id"], time_zone):
            build[name] = "its code changed"
        elif moved and not is_view:
            build[name] = f"new batches of {', '.join(moved[:3])}{' and more' if len(moved) > 3 else ''}"
        elif tests[name] != state.tests.get(name, 0):
            build[name] = "its tests have not passed"
        else:
            current.append(name)
    return BuildPlan(build, tuple(current))
