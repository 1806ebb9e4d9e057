"""The raw tables as Dagster assets: one subsettable multi-asset per system, generated from the contract. Thin."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import psycopg
from dagster import (
    AssetCheckResult,
    AssetExecutionContext,
    AssetsDefinition,
    AssetSpec,
    DataVersion,
    MaterializeResult,
    MetadataValue,
    RetryRequested,
    TableColumn,
    TableColumnConstraints,
    TableSchema,
    multi_asset,
)

from warehouse_assets.database.resource import WarehouseResource
from warehouse_assets.errors import UserError
from warehouse_assets.extract.checks import asset_key, check_specs, evaluate, unread
from warehouse_assets.extract.load import ExtractionError, extract_system
from warehouse_assets.extract.record import TableLoad
from warehouse_assets.options import RunOptions
from warehouse_assets.source.contract import Contract, Table
from warehouse_assets.source.profiles import Profile, open_profile
from warehouse_assets.source.profiles.choice import DEFAULT_PROFILE, remember_profile, stored_profile
from warehouse_assets.telling import now_and_then, tell_run

GROUP = "raw"
OWNER = "team:data"
#: A broken connection is tried again this often, after a pause; everything else fails at once.
RETRIES = 2
PAUSE_SECONDS = 10.0


def _column(table: Table, name: str) -> TableColumn:
    column = table.column(name)
    return TableColumn(
        name=name,
        type=column.data_type,
        description=column.description,
        constraints=TableColumnConstraints(
            nullable=not (column.is_required or name in table.primary_key), unique=table.primary_key == (name,)
        ),
    )


def _spec(table: Table) -> AssetSpec:
    return AssetSpec(
        key=asset_key(table.name),
        description=table.description,
        group_name=GROUP,
        owners=[OWNER],
        kinds={"postgres"},
        tags={"system": table.system},
        metadata={
            "dagster/column_schema": TableSchema([_column(table, name) for name in table.column_names]),
            "dagster/table_name": f"raw.{table.name}",
            "primary_key": ", ".join(table.primary_key),
            "cursor": table.cursor or "none: read whole",
            "delete_policy": table.delete_policy,
            "quarantine": f"quarantine.{table.name}",
        },
    )


def _metadata(load: TableLoad) -> dict[str, Any]:
    """The figures of a load; the job log's row says the same in SQL."""
    values: dict[str, Any] = {
        "dagster/row_count": load.rows_raw,
        "state": load.status,
        "rows_extracted": load.rows_extracted,
        "rows_inserted": load.rows_inserted,
        "rows_updated": load.rows_updated,
        "rows_deleted": load.rows_deleted,
        "rows_rejected": load.rows_rejected,
        "rows_quarantined": load.rows_quarantined,
        "bytes": load.bytes,
        "seconds": round(load.seconds, 3),
        "dirty_days": load.dirty_days,
        "job_log": MetadataValue.text(
            f"select * from etl.job_log where job_log_id = {load.job_log_id}"  # noqa: S608  shown, never run
        ),
    }
    if load.batch_id is not None:
        values["batch"] = load.batch_id
    if load.watermark_to is not None:
        values["watermark"] = load.watermark_to
    if load.warnings:
        values["warnings"] = "; ".join(load.warnings)
    return values


def profile_of(warehouse: WarehouseResource, options: RunOptions) -> Profile:
    """The profile of a run: the one asked for, else the one this warehouse is filled from, else the default.

    Raises:
        UserError: the profile is not there, lacks a setting, or is another than this warehouse is filled from.
    """
    databases = warehouse.databases
    with warehouse.connect() as connection:
        known, known_settings = stored_profile(connection) or (None, {})
    wanted = options.profile or warehouse.settings.profile or known or DEFAULT_PROFILE
    # opened first: a warehouse is not bound to a profile that cannot be opened
    profile = open_profile(wanted, {**known_settings, **options.profile_settings}, databases.operational)
    remember_profile(databases, wanted, options.profile_settings)
    return profile


def build_extract_assets(contract: Contract) -> list[AssetsDefinition]:
    """Make the multi-asset of each system of the contract."""
    return [_system_assets(contract, system) for system in contract.systems]


def _system_assets(contract: Contract, system: str) -> AssetsDefinition:
    tables = contract.tables_of(system)
    names_by_key = {asset_key(table.name): table.name for table in tables}

    @multi_asset(
        name=f"extract_{system}",
        specs=[_spec(table) for table in tables],
        check_specs=check_specs(tables),
        can_subset=True,
        description=f"Copies the tables of {system} from the source into raw, what has changed only.",
    )
    def extract(
        context: AssetExecutionContext, warehouse: WarehouseResource, options: RunOptions
    ) -> Iterator[MaterializeResult[None] | AssetCheckResult]:
        selected = {names_by_key[key] for key in context.selected_asset_keys}
        # a check executed alone judges what a reading did, so the table is read for it
        checked = {names_by_key[key.asset_key] for key in context.selected_asset_check_keys}
        options.require_range()
        tell = tell_run(context)
        tell_of = now_and_then(tell)
        failure: ExtractionError | None = None
        profile = profile_of(warehouse, options)
        try:
            loads: Sequence[TableLoad] = extract_system(
                warehouse.databases,
                warehouse.settings,
                profile,
                system,
                tables=sorted(selected | checked),
                contract=contract,
                run_id=context.run.run_id,
                full_refresh=options.full_refresh,
                on_table=lambda table, rows: tell_of(table, f"{rows:,} rows so far"),
                tell=tell,
            )
        except ExtractionError as error:
            if error.is_transient and context.retry_number < RETRIES:
                raise RetryRequested(max_retries=RETRIES, seconds_to_wait=PAUSE_SECONDS) from error
            failure = error
            loads = error.loads
        finally:
            profile.close()
        for load in loads:
            for warning in load.warnings:
                context.log.warning(warning)
        done: Mapping[str, TableLoad] = {load.table: load for load in loads if load.status != "failed"}
        for name, load in done.items():
            if name in selected:
                # the same version while nothing changes: what is built from the table stays in sync
                version = DataVersion(f"batch {load.changed_batch_id or 0}")
                yield MaterializeResult(asset_key=asset_key(name), metadata=_metadata(load), data_version=version)
        asked, time_zone = context.selected_asset_check_keys, warehouse.settings.time_zone
        if failure is None:
            with warehouse.connect() as connection:
                yield from evaluate(connection, contract, done, asked, time_zone)
            return
        if done:  # some tables are ill, the others well: each is said of itself
            with contextlib.suppress(psycopg.OperationalError, UserError), warehouse.connect() as connection:
                yield from evaluate(connection, contract, done, asked, time_zone)
            yield from unread(loads, asked)
        raise UserError(str(failure)) from failure

    return extract
