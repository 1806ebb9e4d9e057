"""What an asset's page shows of a table of schema ml: its name and its columns, as dbt's source describes them."""

from functools import cache
from typing import Any

import yaml
from dagster import TableColumn, TableSchema

from warehouse_assets.settings import DBT_PROJECT_DIR


def table_metadata(table: str) -> dict[str, Any]:
    """The name and columns of ``ml.<table>``."""
    columns = [TableColumn(column["name"], column["data_type"], column["description"]) for column in _columns()[table]]
    return {"dagster/table_name": f"ml.{table}", "dagster/column_schema": TableSchema(columns)}


@cache
def _columns() -> dict[str, list[dict[str, str]]]:
    document = yaml.safe_load((DBT_PROJECT_DIR / "models" / "staging" / "ml" / "_ml.yml").read_text(encoding="utf-8"))
    return {table["name"]: table["columns"] for source in document["sources"] for table in source["tables"]}
