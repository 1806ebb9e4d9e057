"""Which dbt models a run has to build and which data tests to run: manifest and control tables in, plans out.

A model is built when it never was, when its SQL changed, or when a table it is built from (at any distance) has a batch
it has not seen. A test runs when a model it reads is built, when such a table has a batch since it passed, or when it
has not passed: it is new, it failed, or a killed run left it out.
"""

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from warehouse_assets.transform.project import macros_version

# What shapes a model's table, beside its SQL and its columns.
_MODEL_SETTINGS = ("materialized", "day", "sources", "reach", "running", "indexes")
# What a test does about failures, beside its SQL.
_TEST_SETTINGS = ("severity", "where", "error_if", "warn_if", "fail_calc", "limit")


@dataclass(frozen=True)
class PassedTest:
    """A data test as it last passed: its version, and the last batch of each source table of what it reads."""

    version: int
    batches: Mapping[str, int]


@dataclass(frozen=True)
class WarehouseState:
    """What the control tables say.

    Attributes:
        changed_batches: last batch that changed rows, by source table.
        codes: version of the code that built it, by model.
        seen: last batch that was built in, by (model, source table).
        passes: by data test.
        existing: models that have a relation in the database.
    """

    changed_batches: Mapping[str, int]
    codes: Mapping[str, int]
    seen: Mapping[tuple[str, str], int]
    passes: Mapping[str, PassedTest]
    existing: Collection[str]


@dataclass(frozen=True)
class BuildPlan:
    """Models to build with the reason for each, and the ones that are current. Names, not unique ids."""

    build: Mapping[str, str]
    current: tuple[str, ...]


@dataclass(frozen=True)
class DueTests:
    """Tests to run and tests that wait for another run, each with the reason, and those that stand as they passed."""

    run: Mapping[str, str]
    standing: tuple[str, ...] = ()
    waiting: Mapping[str, str] = field(default_factory=dict)

    def with_unknown(self, known: Iterable[str]) -> "DueTests":
        """The same, but standing tests run whose last result is not among the ``known``: Dagster's storage is new."""
        names = set(known)
        kept = tuple(name for name in self.standing if name in names)
        unknown = [name for name in self.standing if name not in kept]
        return DueTests({**self.run, **dict.fromkeys(unknown, "its last result is not stored")}, kept, self.waiting)


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


def _sources_above(manifest: Mapping[str, Any]) -> Callable[[str], frozenset[str]]:
    """What gives the source tables that a node is made from at any distance, by its unique id."""
    parents: Mapping[str, list[str]] = manifest["parent_map"]

    @cache
    def above(unique_id: str) -> frozenset[str]:
        if unique_id.startswith("source."):
            return frozenset({source_table(manifest["sources"][unique_id])})
        return frozenset().union(*(above(parent) for parent in parents.get(unique_id, ())))

    return above


def sources_above(manifest: Mapping[str, Any]) -> dict[str, frozenset[str]]:
    """For every model, the source tables it is built from at any distance."""
    above = _sources_above(manifest)
    return {name: above(node["unique_id"]) for name, node in models_of(manifest).items()}


def sources_by_model(manifest: Mapping[str, Any]) -> dict[str, frozenset[str]]:
    """For every model, the source tables whose changes concern it.

    These are the ones its ``sources`` config names, else all it is built from at any distance.
    """
    above = sources_above(manifest)
    return {name: frozenset(node["config"].get("sources") or above[name]) for name, node in models_of(manifest).items()}


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


def code_version(manifest: Mapping[str, Any], unique_id: str, time_zone: str, macros: str) -> int:
    """One number for a model's code and contract, those of all models above it, and all macros.

    The macro of this name must agree: else each build makes every model anew.

    Args:
        manifest: dbt's manifest.
        unique_id: the model's.
        time_zone: the company's.
        macros: what `macros_version` gives.
    """
    seen: dict[str, str] = {}
    waiting = [unique_id]
    while waiting:
        node = manifest["nodes"].get(name := waiting.pop())
        if node is not None and name not in seen:
            seen[name] = f"{node['name']}={node['checksum']['checksum']}={_shape(node)}"
            waiting += node["depends_on"]["nodes"]
    entries = [*sorted(seen.values()), f"time_zone={time_zone}", f"macros={macros}"]
    return _number(",".join(entries))


def _shape(node: Mapping[str, Any]) -> str:
    """What YAML says of a model's table: its contract, constraints and settings. A description alone builds nothing."""
    constraints = [[each["type"], each.get("columns")] for each in node.get("constraints", ())]
    columns = [
        [column["name"], [each["type"] for each in column.get("constraints", ())]]
        for column in node.get("columns", {}).values()
    ]
    settings = [node["config"].get(key) for key in _MODEL_SETTINGS]
    checksum = node.get("contract", {}).get("checksum")
    return json.dumps([checksum, constraints, columns, settings], sort_keys=True)


def data_tests(manifest: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The data tests by name."""
    return {node["name"]: node for node in manifest["nodes"].values() if node["resource_type"] == "test"}


def models_read(manifest: Mapping[str, Any], test: Mapping[str, Any]) -> list[str]:
    """The names of the models that a data test reads."""
    parents = (manifest["nodes"].get(parent) for parent in test["depends_on"]["nodes"])
    return [parent["name"] for parent in parents if parent is not None and parent["resource_type"] == "model"]


def passes_of(manifest: Mapping[str, Any], names: Iterable[str], state: WarehouseState) -> dict[str, PassedTest]:
    """What to remember of data tests that pass on the warehouse as ``state`` has it."""
    # all above, not the sources that models name: the tables of days that a build writes itself move with the build
    tests, above = data_tests(manifest), _sources_above(manifest)
    passes = {}
    for name in names:
        # The name of a generic test holds its arguments; what it is to do about failures stands in its config.
        settings = [tests[name]["config"].get(key) for key in _TEST_SETTINGS]
        version = _number(f"{tests[name]['unique_id']}={tests[name]['checksum']['checksum']}={settings}")
        tables = frozenset[str]().union(*(above(parent) for parent in tests[name]["depends_on"]["nodes"]))
        passes[name] = PassedTest(version, {table: state.changed_batches.get(table, 0) for table in sorted(tables)})
    return passes


def untouched_tests(manifest: Mapping[str, Any], build: Collection[str], run: Collection[str]) -> list[str]:
    """The data tests whose passes hold when the models ``build`` are built and the tests ``run`` are run.

    A test of another job that reads one of these models is not among them, nor is one that the project no longer has:
    it may come back.
    """
    return [
        name
        for name, test in data_tests(manifest).items()
        if name not in run and set(build).isdisjoint(models_read(manifest, test))
    ]


def _number(text: str) -> int:
    return int(hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()[:15], 16)


def plan_build(
    manifest: Mapping[str, Any],
    names: Iterable[str],
    state: WarehouseState,
    time_zone: str,
    rebuild_all: bool = False,
) -> BuildPlan:
    """Choose the models to build among ``names``.

    Args:
        manifest: dbt's manifest.
        names: models the caller may build.
        state: what the last builds saw.
        time_zone: the company's, which is part of every model's code.
        rebuild_all: build every one of them whatever the state.
    """
    models, sources = models_of(manifest), sources_by_model(manifest)
    macros = macros_version()
    build: dict[str, str] = {}
    current: list[str] = []
    for name in names:
        node = models[name]
        is_view = node["config"]["materialized"] == "view"
        moved = [
            table
            for table in sorted(sources[name])
            if state.changed_batches.get(table, 0) > state.seen.get((name, table), 0)
        ]
        if rebuild_all:
            build[name] = "asked for"
        elif name not in state.existing:
            build[name] = "not built before"
        elif state.codes.get(name) != code_version(manifest, node["unique_id"], time_zone, macros):
            build[name] = "its code changed"
        elif moved and not is_view:
            build[name] = f"new batches of {', '.join(moved[:3])}{' and more' if len(moved) > 3 else ''}"
        else:
            current.append(name)
    return BuildPlan(build, tuple(current))


def all_asked_for(names: Iterable[str]) -> DueTests:
    """Every one of ``names`` runs, whatever the state: somebody executes these checks alone."""
    return DueTests(dict.fromkeys(names, "asked for"))


def plan_tests(
    manifest: Mapping[str, Any], names: Iterable[str], build: Collection[str], state: WarehouseState, time_zone: str
) -> DueTests:
    """Choose the data tests to run among ``names`` in a run that builds the models ``build``.

    A test that compares a model of this run with one that another job has yet to build would fail over nothing: it
    waits for the run that builds the last of them.
    """
    tests, passes = data_tests(manifest), passes_of(manifest, names, state)
    behind = plan_build(manifest, models_of(manifest), state, time_zone).build.keys() - set(build)
    run: dict[str, str] = {}
    standing: list[str] = []
    waiting: dict[str, str] = {}
    for name, now in passes.items():
        models = models_read(manifest, tests[name])
        before = state.passes.get(name)
        if late := sorted(behind.intersection(models)):
            waiting[name] = f"waits for a run that builds {late[0]}"
        elif built := sorted(set(build).intersection(models)):
            run[name] = f"{built[0]} is built"
        elif before is None or before.version != now.version:
            run[name] = "it has not passed"
        elif before.batches != now.batches:
            run[name] = "new batches since it passed"
        else:
            standing.append(name)
    return DueTests(run, tuple(standing), waiting)
