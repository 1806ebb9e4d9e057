"""The dbt models as two sets of assets: those built before the models of Python, and those that read predictions.

One dbt invocation builds a set. Models whose inputs have not moved, and their tests, are not handed to dbt at all.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg
from dagster import (
    AssetExecutionContext,
    AssetKey,
    AssetsDefinition,
    DagsterInstance,
    MaterializeResult,
    Output,
    TableColumn,
    TableColumnDep,
    TableColumnLineage,
    TableSchema,
)
from dagster_dbt import dbt_assets
from dagster_dbt.errors import DagsterDbtCliRuntimeError

from warehouse_assets.database.raw_lock import raw_stands_still
from warehouse_assets.database.resource import WarehouseResource
from warehouse_assets.errors import UserError
from warehouse_assets.options import RunOptions
from warehouse_assets.source.contract import load_contract
from warehouse_assets.telling import now_and_then, tell_run
from warehouse_assets.transform.invoke import dbt_sentence, start_dbt_build
from warehouse_assets.transform.lineage import UntraceableSqlError, column_sources
from warehouse_assets.transform.plan import (
    all_asked_for,
    data_tests,
    models_of,
    models_read,
    passes_of,
    plan_build,
    plan_tests,
    unnamed_sources,
    untouched_tests,
)
from warehouse_assets.transform.standing_checks import standing_results
from warehouse_assets.transform.state import column_types, noting_passes, read_state, row_counts
from warehouse_assets.transform.translator import WarehouseDbtTranslator, with_attached_tests

#: Metadata of a table's columns, which stand while the table is not built again.
_OF_COLUMNS = ("dagster/column_schema", "dagster/column_lineage", "column_lineage")

# Everything that reads a prediction, at any distance.
AFTER_MODELS = "source:ml+"


def model_built(event: Any) -> str | None:
    """The unique id of the model that ``event`` tells was built; None for any other event."""
    if isinstance(event, Output) and "unique_id" in event.metadata:
        return str(event.metadata["unique_id"].value)
    return None


class Unchanged:
    """The models that stand as they are, handed out in time: Dagster wants what is upstream first.

    ``kept`` is metadata by model that still holds.
    """

    def __init__(
        self, manifest: Mapping[str, Any], keys: Mapping[str, AssetKey], kept: Mapping[str, Mapping[str, Any]]
    ) -> None:
        self._parents: Mapping[str, list[str]] = manifest["parent_map"]
        self._waiting: dict[str, MaterializeResult[None]] = {
            models_of(manifest)[model]["unique_id"]: MaterializeResult(
                asset_key=key, metadata={**kept.get(model, {}), "state": "unchanged"}
            )
            for model, key in keys.items()
        }

    def above(self, event: Any) -> Iterator[MaterializeResult[None]]:
        """Those upstream of the model that ``event`` tells was built."""
        if (built := model_built(event)) is not None:
            yield from self._upstream_of(built)

    def rest(self) -> Iterator[MaterializeResult[None]]:
        """Those not handed out yet."""
        for unique_id in list(self._waiting):
            yield from self._upstream_of(unique_id)
            yield from self._hand_out(unique_id)

    def _upstream_of(self, unique_id: str) -> Iterator[MaterializeResult[None]]:
        for parent in self._parents.get(unique_id, ()):
            if self._waiting:
                yield from self._upstream_of(parent)
                yield from self._hand_out(parent)

    def _hand_out(self, unique_id: str) -> Iterator[MaterializeResult[None]]:
        if unique_id in self._waiting:
            yield self._waiting.pop(unique_id)


def kept_metadata(
    instance: DagsterInstance, keys: Mapping[str, AssetKey], rows: Mapping[str, int]
) -> dict[str, dict[str, Any]]:
    """What pages of models that stand still show: rows, and columns with their origin as the last build told them."""
    kept: dict[str, dict[str, Any]] = {model: dict(row_count(rows, model)) for model in keys}
    models = {key: model for model, key in keys.items()}
    for record in instance.get_asset_records(list(models)) if models else ():
        if last := record.asset_entry.last_materialization:
            told = last.asset_materialization.metadata if last.asset_materialization else {}
            kept[models[record.asset_entry.asset_key]] |= {name: told[name] for name in _OF_COLUMNS if name in told}
    return kept


def row_count(rows: Mapping[str, int], model: str) -> dict[str, int]:
    """The metadata from which an asset's page takes its number of rows; a view has none."""
    return {"dagster/row_count": rows[model]} if model in rows else {}


def with_row_count(event: Any, manifest: Mapping[str, Any], connection: psycopg.Connection) -> Any:
    """Add the rows of its table to the event that tells a model was built; other events pass."""
    if (built := model_built(event)) is None:
        return event
    model = manifest["nodes"][built]["name"]
    return event.with_metadata({**event.metadata, **row_count(row_counts(connection), model)})


def with_column_types(event: Any, manifest: Mapping[str, Any], connection: psycopg.Connection) -> Any:
    """Add the columns as PostgreSQL knows them, where the project does not give their types; other events pass."""
    if (built := model_built(event)) is None:
        return event
    node = manifest["nodes"][built]
    if all(column.get("data_type") for column in node["columns"].values()):
        return event
    described = {name: column.get("description") for name, column in node["columns"].items()}
    columns = [
        TableColumn(name, type_name, description=described.get(name))
        for name, type_name in column_types(connection, node["schema"], node["alias"])
    ]
    return event.with_metadata({**event.metadata, "dagster/column_schema": TableSchema(columns)}) if columns else event


def with_column_lineage(
    event: Any, manifest: Mapping[str, Any], translator: WarehouseDbtTranslator, target_path: Path
) -> Any:
    """Add the origin of every column to the event that tells a model was built; other events pass."""
    if (unique_id := model_built(event)) is None:
        return event
    node = manifest["nodes"][unique_id]
    compiled = target_path / "compiled" / node["package_name"] / node["original_file_path"]
    try:
        sources = column_sources(manifest, unique_id, compiled.read_text(encoding="utf-8"))
    except UntraceableSqlError as error:
        return event.with_metadata({**event.metadata, "column_lineage": f"not traced: {error}"})
    keys = {
        upstream: translator.get_asset_spec(manifest, upstream, None).key
        for pairs in sources.values()
        for upstream, _ in pairs
    }
    lineage = TableColumnLineage(
        {
            column: [TableColumnDep(asset_key=keys[upstream], column_name=name) for upstream, name in pairs]
            for column, pairs in sources.items()
        }
    )
    return event.with_metadata({**event.metadata, "dagster/column_lineage": lineage})


def build_dbt_assets(manifest: Mapping[str, Any]) -> list[AssetsDefinition]:
    """Make the two sets of assets of the dbt project described by ``manifest``."""
    manifest = with_attached_tests(manifest)
    return [
        _asset_set(manifest, name="transform", select="fqn:*", exclude=AFTER_MODELS),
        _asset_set(manifest, name="transform_after_models", select=AFTER_MODELS, exclude=None),
    ]


def require_named_sources(manifest: Mapping[str, Any]) -> None:
    """See that every stored model names all tables it has to follow.

    Raises:
        UserError: some do not; all are told at once, since one input of a mart is above several models.
    """
    undated = {table.name for table in load_contract() if table.business_date is None}
    if unnamed := unnamed_sources(manifest, undated):
        models = models_of(manifest)
        to_add = [f"{', '.join(tables)} in {models[name]['original_file_path']}" for name, tables in unnamed.items()]
        raise UserError(
            "Models are made from tables whose changes they would not follow. Add to their `sources`: "
            f"{'; '.join(to_add)} (docs/how-to/add-a-metric.md)."
        )


def require_tests_of_models(manifest: Mapping[str, Any]) -> None:
    """See that every data test reads a model: no run would run another, nor say so.

    Raises:
        UserError: one does not.
    """
    models = models_of(manifest)
    for name, test in data_tests(manifest).items():
        if models.keys().isdisjoint(models_read(manifest, test)):
            raise UserError(
                f"Test {name} reads no model, so no run would run it: let it read the staging model "
                f"({test['original_file_path']})."
            )


def _asset_set(manifest: Mapping[str, Any], *, name: str, select: str, exclude: str | None) -> AssetsDefinition:
    translator = WarehouseDbtTranslator()
    names_by_key = {
        translator.get_asset_spec(manifest, node["unique_id"], None).key: model
        for model, node in models_of(manifest).items()
    }

    @dbt_assets(manifest=manifest, select=select, exclude=exclude, name=name, dagster_dbt_translator=translator)
    def run_dbt(context: AssetExecutionContext, warehouse: WarehouseResource, options: RunOptions) -> Iterator[Any]:
        options.require_range()
        require_named_sources(manifest)
        require_tests_of_models(manifest)
        selected = {names_by_key[key]: key for key in context.selected_asset_keys}
        known_tests = data_tests(manifest)
        checks = {key.name: key for key in context.selected_asset_check_keys if key.name in known_tests}
        tell = tell_run(context)
        tell_of = now_and_then(tell)
        with warehouse.connect() as connection, raw_stands_still(connection, tell):
            state = read_state(connection)
            connection.commit()  # a build takes minutes: no transaction stays open beside it
            time_zone = warehouse.settings.time_zone
            plan = plan_build(manifest, selected, state, time_zone, rebuild_all=options.rebuilds)
            tests = plan_tests(manifest, checks, plan.build, state, time_zone) if selected else all_asked_for(checks)
            standing = list(standing_results(context.instance, [checks[name] for name in tests.standing]))
            tests = tests.with_unknown(result.check_name or "" for result in standing)
            for name, reason in [*sorted(plan.build.items()), *sorted(tests.run.items()), *tests.waiting.items()]:
                context.log.info(f"{name}: {reason}")
            current = {model: selected[model] for model in plan.current}
            unchanged = Unchanged(manifest, current, kept_metadata(context.instance, current, row_counts(connection)))
            if plan.build or tests.run:
                untouched = untouched_tests(manifest, plan.build, tests.run)
                with noting_passes(connection, passes_of(manifest, tests.run, state), untouched):
                    invocation = start_dbt_build(
                        manifest,
                        sorted(plan.build),
                        sorted(tests.run),
                        translator,
                        context,
                        warehouse.settings,
                        warehouse.databases,
                        options,
                    )
                    try:
                        built = 0
                        for event in invocation.stream():
                            built += model_built(event) is not None
                            tell_of("dbt", f"{built} of {len(plan.build)} models built")
                            yield from unchanged.above(event)
                            counted = with_row_count(event, manifest, connection)
                            typed = with_column_types(counted, manifest, connection)
                            yield with_column_lineage(typed, manifest, translator, invocation.target_path)
                    except DagsterDbtCliRuntimeError as error:
                        yield from standing  # a failed run shows them too
                        raise UserError(dbt_sentence(str(error))) from error
            yield from unchanged.rest()
            yield from standing

    return run_dbt
