"""Gives a SELECT the line each row came from, without asking its author. Nothing else belongs here."""

import json
from typing import Any

from warehouse_assets.source.profiles.spool import FILE, LINE


def with_lines(connection: Any, select: str) -> str:
    """The SELECT with ``_file`` and ``_line`` of the first table it reads added to its columns.

    Added only where each result row is one row of that table: no grouping, DISTINCT or set operation, and DuckDB
    accepts the statement. Otherwise the SELECT is returned as it is. It is parsed by DuckDB, never by us.
    """
    import duckdb

    answer = connection.execute("select json_serialize_sql(?::varchar)", [select]).fetchall()[0]
    tree = json.loads(answer[0])
    if tree.get("error") or len(tree["statements"]) != 1:
        return select
    node = tree["statements"][0]["node"]
    is_row_by_row = (
        node["type"] == "SELECT_NODE"
        and not (node["group_expressions"] or node["having"] or node["qualify"] or node["modifiers"])
        and node["aggregate_handling"] == "STANDARD_HANDLING"  # anything else is `group by all`
    )
    if not is_row_by_row:
        return select
    given = {item.get("alias") or (item.get("column_names") or [""])[-1] for item in node["select_list"]}
    if {FILE, LINE} & given or any(item["class"] == "STAR" for item in node["select_list"]):
        return select
    name = _first_table(node["from_table"])
    if name is None:
        return select
    for column in (FILE, LINE):
        node["select_list"].append(
            {"class": "COLUMN_REF", "type": "COLUMN_REF", "alias": column, "column_names": [name, column]}
        )
    try:
        text = connection.execute("select json_deserialize_sql(?::json)", [json.dumps(tree)]).fetchall()[0][0]
        traced = str(text).strip().rstrip(";")
        connection.execute("describe " + traced).fetchall()
    except duckdb.Error:
        return select
    return traced


def _first_table(source: dict[str, Any]) -> str | None:
    while source["type"] == "JOIN":
        source = source["left"]
    if source["type"] != "BASE_TABLE":
        return None
    return str(source["alias"] or source["table_name"])
