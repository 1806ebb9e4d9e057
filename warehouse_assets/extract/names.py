"""Names of the relations and columns that extraction writes, as SQL. No statements belong here."""

from collections.abc import Iterable

from psycopg import sql

from warehouse_assets.source.contract import Column, Table

#: Columns of every raw table beside the contracted ones, with their types.
SYSTEM_COLUMNS = {
    "_batch_id": "bigint",
    "_extracted_at": "timestamptz",
    "_flags": "text[]",
    "_deleted_at": "timestamptz",
}
#: Columns of every quarantine table beside the key of the row.
QUARANTINE_COLUMNS = ("quarantine_id", "batch_id", "quarantined_at", "rule", "rules", "row")

STAGING = sql.Identifier("pg_temp", "extract_staging")
SOURCE_KEYS = sql.Identifier("pg_temp", "extract_source_keys")


def raw(name: str) -> sql.Identifier:
    """The raw table of a contract table."""
    return sql.Identifier("raw", name)


def quarantine(name: str) -> sql.Identifier:
    """The quarantine table of a contract table."""
    return sql.Identifier("quarantine", name)


def columns(names: Iterable[str], alias: str | None = None) -> sql.Composed:
    """A comma-separated list of columns, each behind ``alias`` where one is given."""
    return sql.SQL(", ").join(sql.Identifier(alias, name) if alias else sql.Identifier(name) for name in names)


def all_present(names: Iterable[str], alias: str | None = None) -> sql.Composed:
    """The condition that no column is null."""
    return sql.SQL(" and ").join(
        sql.SQL("{} is not null").format(sql.Identifier(alias, name) if alias else sql.Identifier(name))
        for name in names
    )


def same(names: Iterable[str], left: str, right: str) -> sql.Composed:
    """The condition that two aliases agree in the columns, none of which is null."""
    return sql.SQL(" and ").join(
        sql.SQL("{} = {}").format(sql.Identifier(left, name), sql.Identifier(right, name)) for name in names
    )


def type_of(column: Column) -> sql.SQL:
    """The column's type as SQL; the contract lets none through that is no type."""
    return sql.SQL(column.data_type)


def definition(table: Table, column: Column) -> sql.Composed:
    """The column in a ``create table``: name, type and, for keys, the collation in which any two keys compare.

    Collation "C" makes sorting and joining text keys several times cheaper than a linguistic one.
    """
    is_key = column.name in table.primary_key or column.references is not None
    collation = sql.SQL(' collate "C"' if is_key and column.data_type == "text" else "")
    return sql.SQL("{} {}{}").format(sql.Identifier(column.name), type_of(column), collation)


def definitions(table: Table, names: Iterable[str] | None = None) -> sql.Composed:
    """The definitions of all contracted columns, or of ``names``."""
    wanted = table.columns if names is None else tuple(table.column(name) for name in names)
    return sql.SQL(", ").join(definition(table, column) for column in wanted)
