"""The one COPY helper: rows from query, Arrow, pandas or numpy into a table, streamed. No merging belongs here.

Every function works inside the caller's transaction on ``target`` and leaves commit and rollback to it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql
from psycopg.abc import PQGen
from psycopg.pq import ExecStatus
from psycopg.waiting import WAIT_R

from warehouse_assets.database.errors import explain_error
from warehouse_assets.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa

BUFFER_BYTES = 1024 * 1024
BATCH_ROWS = 50_000
BATCH_BYTES = 32 * 1024 * 1024

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class CopyCount:
    """Rows and bytes (of COPY data) that travelled."""

    rows: int
    bytes: int


def copy_between(
    source: psycopg.Connection,
    select: sql.Composable,
    target: psycopg.Connection,
    table: sql.Composable,
    columns: Sequence[str],
    on_progress: Progress | None = None,
) -> CopyCount:
    """Stream the rows of ``select`` on ``source`` into ``columns`` of ``table`` on ``target``, in binary.

    The select's column types must be exactly the table's. Memory stays at a few MiB whatever the number of rows.

    Args:
        source: connection that runs the select.
        select: a query, without semicolon.
        target: connection that receives the rows.
        table: the target table, such as ``sql.Identifier("raw", "customers")``.
        columns: its columns, in the select's order.
        on_progress: called about once a MiB with rows (within one) and bytes so far.

    Raises:
        UserError: a value cannot be stored, or source or target fail; names the table.
    """
    copy_out = sql.SQL("copy ({}) to stdout (format binary)").format(select)
    rows = sent = 0
    name = table.as_string(target).replace('"', "")
    cursor = target.cursor()
    with explain_error(f"copying into {name}"), cursor.copy(_copy_in(table, columns)) as sink:
        for messages, buffer in _buffers(source, copy_out):
            sink.write(buffer)
            rows, sent = rows + messages, sent + len(buffer)
            if on_progress is not None:
                on_progress(rows, sent)
    if on_progress is not None:
        on_progress(cursor.rowcount, sent)
    return CopyCount(cursor.rowcount, sent)


def _buffers(source: psycopg.Connection, copy_out: sql.Composed) -> Iterator[tuple[int, memoryview]]:
    """Yield what ``copy_out`` sends, joined to buffers of about a MiB, each with its number of messages (rows).

    psycopg's own loop over a COPY costs 1.5 us of processor time a row, keeping rows to join them 0.8 us, asking
    libpq itself and copying each row at once 0.35 us (measured; of this libpq and psycopg 0.23 us).
    """
    with explain_error("reading the source"), source.cursor().copy(copy_out):
        connection = source.pgconn
        next_row, without_waiting = connection.get_copy_data, repeat(1)
        buffer, messages, more = bytearray(), 0, True
        while more:
            for size, row in map(next_row, without_waiting):
                if size > 0:
                    buffer += row
                    messages += 1
                elif size < 0:
                    more = False
                    break
                else:  # libpq's own buffer of 16 KiB is read out
                    if len(buffer) >= BUFFER_BYTES:
                        yield messages, memoryview(buffer)
                        buffer, messages = bytearray(), 0
                    source.wait(_readable(source))
        results = []
        while (result := connection.get_result()) is not None:
            results.append(result)  # to the last, or the connection stays in the COPY
        for result in results:
            if result.status == ExecStatus.FATAL_ERROR:
                raise psycopg.errors.error_from_result(result)
    yield messages - 1, memoryview(buffer)  # the last message is the trailer


def _readable(connection: psycopg.Connection) -> PQGen[None]:
    while not (yield WAIT_R):
        continue
    connection.pgconn.consume_input()


def _copy_in(table: sql.Composable, columns: Sequence[str]) -> sql.Composed:
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    return sql.SQL("copy {} ({}) from stdin (format binary)").format(table, names)


def copy_arrow(
    batches: "Iterable[pa.RecordBatch]",
    target: psycopg.Connection,
    table: sql.Composable,
    columns: Mapping[str, str],
    on_progress: Progress | None = None,
) -> CopyCount:
    """Load Arrow record batches into ``table``.

    A batch is encoded while the one before it travels; two are held at a time, each of at most 50,000 rows or
    some 32 MiB.

    Args:
        batches: record batches that hold the columns, in any order; others are ignored. Nulls become null. A time
            without zone counts as UTC.
        target: connection that receives the rows.
        table: the target table.
        columns: column name → PostgreSQL type (see ``binary.encode``).
        on_progress: called once per batch with rows and bytes so far.

    Raises:
        UserError: a value does not fit its column's type, or a text holds a NUL byte; names table and column.
    """
    from warehouse_assets.database import binary

    names, types = list(columns), list(columns.values())
    label = table.as_string(target).replace('"', "")
    rows = sent = 0
    pending: Future[None] | None = None
    cursor = target.cursor()
    with explain_error(f"copying into {label}"), cursor.copy(_copy_in(table, names)) as sink:
        with ThreadPoolExecutor(1, thread_name_prefix="copy") as sender:
            try:
                sink.write(binary.HEADER)
                for batch in _sliced(batches):
                    data = binary.encode([batch.column(name) for name in names], names, types, label)
                    if pending is not None:
                        pending.result()
                    pending = sender.submit(sink.write, memoryview(data))
                    rows, sent = rows + batch.num_rows, sent + len(data)
                    if on_progress is not None:
                        on_progress(rows, sent)
                if pending is not None:
                    pending.result()
            except BaseException:
                if pending is not None and not pending.done():
                    target.cancel_safe(timeout=5)  # the sender may wait for a server that waits for a lock
                raise
        sink.write(binary.TRAILER)
    return CopyCount(cursor.rowcount, sent)


def _sliced(batches: "Iterable[pa.RecordBatch]") -> "Iterable[pa.RecordBatch]":
    for batch in batches:
        rows = min(BATCH_ROWS, 1 + batch.num_rows * BATCH_BYTES // max(batch.nbytes, 1))
        for start in range(0, batch.num_rows, rows):
            yield batch.slice(start, rows)


def copy_frame(
    frame: "pd.DataFrame",
    target: psycopg.Connection,
    table: sql.Composable,
    columns: Mapping[str, str],
) -> CopyCount:
    """Load a frame into ``table``; NaN, NaT, None and NA become null. Arguments and errors as ``copy_arrow``."""
    return copy_columns({name: frame[name] for name in columns}, target, table, columns)


def copy_columns(
    data: "Mapping[str, np.ndarray | pd.Series | pa.Array | Sequence[Any]]",
    target: psycopg.Connection,
    table: sql.Composable,
    columns: Mapping[str, str],
) -> CopyCount:
    """Load columns of one length into ``table``; NaN, NaT, None and NA become null. As ``copy_arrow`` otherwise.

    Arrow arrays and numpy arrays of numbers and datetime64 go without a copy. Text is fastest as an Arrow
    array (``pa.DictionaryArray`` for few different values); a million values cost 0.08 s more as a numpy object
    array, 0.25 s more as a numpy ``U`` array.
    """
    import pyarrow as pa

    arrays = [_as_arrow(data[name], name) for name in columns]
    return copy_arrow(pa.table(arrays, names=list(columns)).to_batches(), target, table, columns)


def _as_arrow(values: Any, name: str) -> "pa.Array | pa.ChunkedArray":
    import pyarrow as pa

    if isinstance(values, pa.Array | pa.ChunkedArray):
        return values
    try:
        return pa.array(values, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise UserError(f"Column {name} mixes values of different kinds ({error}); make them one kind.") from error
