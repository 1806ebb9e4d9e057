"""Simulated rows into tables: keys and words written out, COPY for the first load, merge for later ones."""

from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np
import psycopg
from psycopg import sql

from warehouse_assets.database.copy import copy_columns
from warehouse_assets.source.contract import Column, Table
from warehouse_assets.source.simulator.rows import Array, Rows
from warehouse_assets.source.simulator.schema import refuse_required
from warehouse_assets.source.simulator.vocabulary import KEYS, words_of

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS = 60_000


def format_keys(numbers: Array, target: str) -> "pa.Array":
    """Return the keys of table ``target`` as text (Arrow); negative numbers are null."""
    import pyarrow as pa

    prefix, digits = KEYS[target]
    count, width = len(numbers), len(prefix) + digits
    text = np.empty((count, width), dtype=np.uint8)
    text[:, : len(prefix)] = np.frombuffer(prefix.encode(), dtype=np.uint8)
    rest = np.maximum(numbers, 0).astype(np.uint32)
    for place in range(width - 1, len(prefix) - 1, -1):
        quotient = rest // np.uint32(10)
        text[:, place] = (rest - quotient * np.uint32(10)).astype(np.uint8) + 48
        rest = quotient
    offsets = np.arange(0, (count + 1) * width, width, dtype=np.int32)
    missing = numbers < 0
    validity = None
    if missing.any():
        validity = pa.array(~missing).buffers()[1]
    return pa.Array.from_buffers(pa.string(), count, [validity, pa.py_buffer(offsets), pa.py_buffer(text)])


def text_of(values: Array, table: str, column: Column, primary_key: tuple[str, ...]) -> "pa.Array":
    """Return a text column's values as Arrow strings: keys from numbers, words from codes, or bytes as they are."""
    import pyarrow as pa

    if values.dtype.kind == "S":
        return pa.array(values.tolist(), pa.binary(), mask=values == b"").cast(pa.string())
    words = words_of(table, column.name)
    if words is not None:
        codes = pa.array(values.astype(np.int8), mask=values < 0)
        return pa.DictionaryArray.from_arrays(codes, pa.array(words))
    if column.references:
        return format_keys(values, column.references)
    if (column.name,) == primary_key:
        return format_keys(values, table)
    raise TypeError(f"{table}.{column.name}: numbers {values.dtype} stand for no words or keys")


def arrow_columns(table: Table, rows: Rows) -> dict[str, "Array | pa.Array"]:
    """Return the contracted columns of ``rows`` as ``copy_columns`` takes them; one they lack stays null.

    Raises:
        UserError: the contract requires a column that the simulator does not write.
    """
    data: dict[str, Array | pa.Array] = {}
    for column in table.columns:
        if column.name not in rows:
            refuse_required(table, column)
            continue
        values = rows[column.name]
        if column.data_type in ("text", "jsonb"):
            data[column.name] = text_of(values, table.name, column, table.primary_key)
        else:
            data[column.name] = values
    return data


def column_types(table: Table, data: Mapping[str, object]) -> dict[str, str]:
    """Column name → PostgreSQL type of the columns of ``data``, as ``copy_columns`` takes them."""
    return {name: table.column(name).data_type for name in data}


def copy_rows(connection: psycopg.Connection, table: Table, rows: Rows) -> int:
    """Append ``rows`` to the table in schema public; returns how many."""
    if not rows:
        return 0
    data = arrow_columns(table, rows)
    return copy_columns(data, connection, sql.Identifier("public", table.name), column_types(table, data)).rows


class Loader:
    """Appends rows to tables while the caller goes on: gathered to large batches, copied by a thread of its own.

    The connection is the loader's until ``finish`` returns. Memory: up to two batches wait.
    """

    def __init__(self, connection: psycopg.Connection):
        self.rows: dict[str, int] = {}
        self._connection = connection
        self._gathered: dict[str, tuple[Table, list[Rows]]] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="simulate")
        self._waiting: deque[Future[int]] = deque()

    def __enter__(self) -> "Loader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and any(not future.done() for future in self._waiting):
            self._connection.cancel_safe(timeout=5)
        self._thread.shutdown(wait=True, cancel_futures=True)

    def add(self, table: Table, rows: Rows) -> None:
        """Take ``rows`` of ``table``; they are copied soon, or by ``finish``."""
        count = len(rows)
        if not count:
            return
        self.rows[table.name] = self.rows.get(table.name, 0) + count
        _, parts = self._gathered.setdefault(table.name, (table, []))
        parts.append(rows)
        if sum(map(len, parts)) >= BATCH_ROWS:
            self._send(table.name)

    def finish(self) -> None:
        """Copy what is left and wait for the end."""
        for name in list(self._gathered):
            self._send(name)
        while self._waiting:
            self._waiting.popleft().result()

    def _send(self, name: str) -> None:
        table, parts = self._gathered.pop(name)
        while len(self._waiting) >= 2:
            self._waiting.popleft().result()
        self._waiting.append(self._thread.submit(self._copy, table, parts))

    def _copy(self, table: Table, parts: list[Rows]) -> int:
        rows = parts[0]
        if len(parts) > 1:
            written = [name for name in table.column_names if name in rows]
            rows = Rows({name: np.concatenate([part[name] for part in parts]) for name in written})
        return copy_rows(self._connection, table, rows)


def merge_rows(connection: psycopg.Connection, table: Table, rows: Rows) -> int:
    """Insert ``rows`` or, where their keys stand already, overwrite; returns how many."""
    if not rows:
        return 0
    target, staged = sql.Identifier("public", table.name), sql.Identifier(f"new_{table.name}")
    data = arrow_columns(table, rows)
    names = sql.SQL(", ").join(map(sql.Identifier, data))
    connection.execute(
        sql.SQL("create temporary table {} on commit drop as select {} from {} with no data").format(
            staged, names, target
        )
    )
    copy_columns(data, connection, staged, column_types(table, data))
    others = [name for name in data if name not in table.primary_key]
    overwrite = sql.SQL(", ").join(sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name)) for name in others)
    key = sql.SQL(", ").join(map(sql.Identifier, table.primary_key))
    connection.execute(
        sql.SQL("insert into {} ({}) select {} from {} on conflict ({}) do update set {}").format(
            target, names, names, staged, key, overwrite
        )
    )
    return len(rows)


def delete_rows(connection: psycopg.Connection, table: Table, rows: Rows) -> int:
    """Delete the rows with the keys of ``rows``; returns how many went."""
    if not rows:
        return 0
    key = table.primary_key[0]
    keys = format_keys(rows[key], table.name).to_pylist()
    done = connection.execute(
        sql.SQL("delete from {} where {} = any(%s)").format(sql.Identifier("public", table.name), sql.Identifier(key)),
        [keys],
    )
    return done.rowcount
