"""The dbt models as two sets of assets: those built before the models of Python, and those that read predictions.

One dbt invocation builds a set. Models whose inputs have not moved, and their tests, are not handed to dbt at all.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from dagster import (
    AssetExecutionContext,
    AssetKey,
    AssetsDefinition,
    MaterializeResult,
)
from dagster_dbt import dbt_assets
from dagster_dbt.errors import DagsterDbtCliRuntimeError

from warehouse_assets.database.raw_lock import raw_stands_still
from warehouse_assets.database.resource import WarehouseResource
from warehouse_assets.errors import UserError
from warehouse_assets.options import RunOptions
from warehouse_assets.source.contract import load_contract
from warehouse_assets.telling import now_and_then, tell_run
from warehouse_assets.transform.invoke import dbt_sentence, ended_on_leaving, start_dbt_build
from warehouse_assets.transform.pages import kept_metadata, model_built, with_page_metadata
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
from warehouse_assets.transform.state import noting_passes, read_state
from warehouse_assets.transform.translator import WarehouseDbtTranslator, with_attached_tests

# Everything that reads a prediction, at any distance.
AFTER_MODELS = "source:ml+"


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
            unchanged = Unchanged(manifest, current, kept_metadata(context.instance, current, connection))
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
                        with ended_on_leaving(invocation.process):
                            for event in invocation.stream():
                                built += model_built(event) is not None
                                tell_of("dbt", f"{built} of {len(plan.build)} models built")
                                yield from unchanged.above(event)
                                yield with_page_metadata(
                                    event, manifest, translator, connection, invocation.target_path
                                )
                    except DagsterDbtCliRuntimeError as error:
                        yield from standing  # a failed run shows them too
                        raise UserError(dbt_sentence(str(error))) from error
            yield from unchanged.rest()
            yield from standing

    return run_dbt
