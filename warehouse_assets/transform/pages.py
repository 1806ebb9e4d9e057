"""What an asset's page in the UI shows of a model beyond what dbt tells: rows, and columns with types and origin."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg
from dagster import (
    AssetCheckResult,
    AssetKey,
    DagsterInstance,
    IntMetadataValue,
    MetadataValue,
    Output,
    TableColumn,
    TableColumnDep,
    TableColumnLineage,
    TableSchema,
    TextMetadataValue,
)

from warehouse_assets.database.errors import explain_error
from warehouse_assets.transform.lineage import UntraceableSqlError, column_sources
from warehouse_assets.transform.state import row_counts
from warehouse_assets.transform.translator import WarehouseDbtTranslator

#: What stands while the table is not built again.
_OF_COLUMNS = ("dagster/column_schema", "dagster/column_lineage", "column_lineage")


def model_built(event: Any) -> str | None:
    """The unique id of the model that ``event`` tells was built; None for any other event."""
    if isinstance(event, Output) and "unique_id" in event.metadata:
        return str(event.metadata["unique_id"].value)
    return None


def with_page_metadata(
    event: Any,
    manifest: Mapping[str, Any],
    translator: WarehouseDbtTranslator,
    connection: psycopg.Connection,
    target_path: Path,
) -> Any:
    """Add what a page shows to the event that tells a model was built or a test failed; other events pass.

    Raises:
        UserError: the server went away meanwhile.
    """
    if isinstance(event, AssetCheckResult) and not event.passed:
        return _with_failing_rows(event, manifest, target_path)
    if (built := model_built(event)) is None:
        return event
    node = manifest["nodes"][built]
    return event.with_metadata(
        {
            **event.metadata,
            **_row_count(row_counts(connection), node["name"]),
            **_column_schema(node, connection),
            **_column_lineage(manifest, built, translator, target_path),
        }
    )


def _with_failing_rows(result: AssetCheckResult, manifest: Mapping[str, Any], target_path: Path) -> AssetCheckResult:
    """Say how many rows a test found, and by which SQL: `warehouse sql` shows them with it."""
    known = dict(result.metadata)
    counted, unique_id = known.get("dagster_dbt/failed_row_count"), known.get("unique_id")
    if (
        not isinstance(counted, IntMetadataValue)
        or counted.value is None
        or not isinstance(unique_id, TextMetadataValue)
    ):
        return result
    test = manifest["nodes"][str(unique_id.value)]
    compiled = target_path / "compiled" / test["package_name"] / test["original_file_path"]
    if compiled.is_dir():  # a generic test's, named after the file that it stands in
        compiled /= test["path"]
    return result._replace(
        description=result.description or f"{counted.value:,} failing row{'s' * (counted.value != 1)}",
        metadata={
            **known,
            "failing_rows": MetadataValue.md(f"```sql\n{compiled.read_text(encoding='utf-8').strip()}\n```"),
        },
    )


def kept_metadata(
    instance: DagsterInstance, keys: Mapping[str, AssetKey], connection: psycopg.Connection
) -> dict[str, dict[str, Any]]:
    """What pages of models that stand still show: rows, and columns with their origin as the last build told them.

    Raises:
        UserError: the server went away meanwhile.
    """
    rows = row_counts(connection)
    kept: dict[str, dict[str, Any]] = {model: dict(_row_count(rows, model)) for model in keys}
    models = {key: model for model, key in keys.items()}
    for record in instance.get_asset_records(list(models)) if models else ():
        if last := record.asset_entry.last_materialization:
            told = last.asset_materialization.metadata if last.asset_materialization else {}
            kept[models[record.asset_entry.asset_key]] |= {name: told[name] for name in _OF_COLUMNS if name in told}
    return kept


def _row_count(rows: Mapping[str, int], model: str) -> dict[str, int]:
    """The metadata from which a page takes its number of rows; a view has none."""
    return {"dagster/row_count": rows[model]} if model in rows else {}


def _column_schema(node: Mapping[str, Any], connection: psycopg.Connection) -> dict[str, TableSchema]:
    """The columns as PostgreSQL knows them, where the project does not give their types."""
    if all(column.get("data_type") for column in node["columns"].values()):
        return {}
    described = {name: column.get("description") for name, column in node["columns"].items()}
    columns = [
        TableColumn(name, type_name, description=described.get(name))
        for name, type_name in _column_types(connection, node["schema"], node["alias"])
    ]
    return {"dagster/column_schema": TableSchema(columns)} if columns else {}


def _column_types(connection: psycopg.Connection, schema: str, relation: str) -> list[tuple[str, str]]:
    """Name and type of every column of a table or view, in its order; nothing where there is none."""
    with explain_error("reading the types of columns"), connection.transaction():
        return connection.execute(
            """
            select attname::text, format_type(atttypid, atttypmod)
            from pg_attribute
            where attrelid = to_regclass(format('%%I.%%I', %s::text, %s::text)) and attnum > 0 and not attisdropped
            order by attnum
            """,
            (schema, relation),
        ).fetchall()


def _column_lineage(
    manifest: Mapping[str, Any], unique_id: str, translator: WarehouseDbtTranslator, target_path: Path
) -> dict[str, TableColumnLineage | str]:
    """The origin of every column, or why it is not known."""
    node = manifest["nodes"][unique_id]
    compiled = target_path / "compiled" / node["package_name"] / node["original_file_path"]
    try:
        sources = column_sources(manifest, unique_id, compiled.read_text(encoding="utf-8"))
    except UntraceableSqlError as error:
        return {"column_lineage": f"not traced: {error}"}
    keys = {
        upstream: translator.get_asset_spec(manifest, upstream, None).key
        for pairs in sources.values()
        for upstream, _ in pairs
    }
    lineage = {
        column: [TableColumnDep(asset_key=keys[upstream], column_name=name) for upstream, name in pairs]
        for column, pairs in sources.items()
    }
    return {"dagster/column_lineage": TableColumnLineage(lineage)}
