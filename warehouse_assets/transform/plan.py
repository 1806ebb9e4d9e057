"""Which dbt models a run has to build. Pure: the manifest and the control tables' rows in, a plan out.

A model is built when it never was, when its SQL changed, or when a table it is built from (at any distance) has a
batch it has not seen. Nothing else costs time.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any


@dataclass(frozen=True)
class ModelState:
    """What the warehouse remembers of the last build: the code by model, batches by (model, source table)."""

    codes: Mapping[str, int]
    seen: Mapping[tuple[str, str], int]


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
    return int(hashlib.md5(",".join(entries).encode(), usedforsecurity=False).hexdigest()[:15], 16)


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
    models, sources = models_of(manifest), sources_by_model(manifest)
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
        else:
            current.append(name)
    return BuildPlan(build, tuple(current))
