"""Which columns a model's columns are made from, read from its compiled SQL with sqlglot. Pure.

Ephemeral models stand in the compiled SQL as common table expressions, so that lineage ends at real tables.
"""

from collections.abc import Mapping
from typing import Any

from warehouse_assets.extract.names import SYSTEM_COLUMNS

ColumnSources = dict[str, list[tuple[str, str]]]
"""For every column of a model, the (unique id, column) pairs it is made from; empty for a constant."""


class UntraceableSqlError(Exception):
    """The SQL of a model cannot be traced; the model is none the worse for it."""


def _relations(manifest: Mapping[str, Any]) -> dict[tuple[str, str], str]:
    """Unique ids by (schema, table) for everything a model can read."""
    nodes = [node for node in manifest["nodes"].values() if node["resource_type"] in ("model", "seed", "snapshot")]
    relations = {(node["schema"], node["alias"]): node["unique_id"] for node in nodes}
    for source in manifest["sources"].values():
        relations[(source["schema"], source["identifier"])] = source["unique_id"]
    return relations


def _schema(manifest: Mapping[str, Any], parents: list[str]) -> dict[str, dict[str, dict[str, str]]]:
    schema: dict[str, dict[str, dict[str, str]]] = {}
    waiting, seen = list(parents), set()
    while waiting:
        unique_id = waiting.pop()
        if unique_id in seen:
            continue
        seen.add(unique_id)
        node = manifest["nodes"].get(unique_id) or manifest["sources"].get(unique_id)
        if node is None:
            continue
        if node.get("config", {}).get("materialized") == "ephemeral":
            waiting += manifest["parent_map"].get(unique_id, [])
            continue
        name = node.get("alias") or node["identifier"]
        columns = {column: meta.get("data_type") or "text" for column, meta in node["columns"].items()}
        schema.setdefault(node["schema"], {})[name] = columns | (
            SYSTEM_COLUMNS if unique_id.startswith("source.") else {}
        )
    return schema


def column_sources(manifest: Mapping[str, Any], unique_id: str, compiled_sql: str) -> ColumnSources:
    """Trace every column of a model to the columns of the tables it reads.

    Args:
        manifest: dbt's manifest, whose columns are the schema that ``*`` and bare names are resolved with.
        unique_id: the model.
        compiled_sql: its SQL as dbt compiled it.

    Raises:
        UntraceableSqlError: the SQL cannot be read or a name in it cannot be resolved.
    """
    from sqlglot import exp
    from sqlglot.errors import SqlglotError
    from sqlglot.lineage import Node, lineage

    relations = _relations(manifest)
    schema = _schema(manifest, manifest["parent_map"].get(unique_id, []))
    try:
        roots = lineage(None, compiled_sql, schema, dialect="postgres", trim_selects=False)
    except SqlglotError as error:
        raise UntraceableSqlError(str(error)) from error
    known: dict[int, frozenset[tuple[str, str]]] = {}

    def origins(node: Node) -> frozenset[tuple[str, str]]:
        if id(node) not in known:
            known[id(node)] = frozenset()  # nodes are shared, and a recursive query names itself
            table = node.expression
            upstream = relations.get((table.db, table.name)) if isinstance(table, exp.Table) else None
            if upstream:
                known[id(node)] = frozenset({(upstream, node.name.rpartition(".")[2].strip('"'))})
            else:
                known[id(node)] = frozenset().union(*(origins(child) for child in node.downstream))
        return known[id(node)]

    return {column: sorted(origins(node)) for column, node in roots.items()}
