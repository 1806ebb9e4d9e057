"""COPY against real servers: every type by a second path, errors, killed sources, progress and memory."""

import datetime as dt
import json
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from decimal import Decimal

import numpy as np
import pandas as pd
import psycopg
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql

from warehouse_assets.database.connections import connect
from warehouse_assets.database.copy import copy_arrow, copy_between, copy_columns, copy_frame
from warehouse_assets.database.embedded import EmbeddedServer
from warehouse_assets.errors import UserError

COLUMNS = {
    "key": "text",
    "small": "integer",
    "large": "bigint",
    "measure": "double precision",
    "money": "numeric(14,2)",
    "ratio": "numeric(6,4)",
    "any_number": "numeric",
    "is_set": "boolean",
    "day": "date",
    "at": "timestamptz",
    "body": "jsonb",
}
UTC = dt.UTC
ROWS: list[tuple[object, ...]] = [
    ("a", 1, 2**62, 1.5, Decimal("12.34"), Decimal("0.1234"), Decimal("1"), True, dt.date(2026, 1, 31),
     dt.datetime(2026, 3, 8, 8, 30, 0, 123456, tzinfo=UTC), '{"a": [1, "é"]}'),
    ("", 0, 0, 0.0, Decimal("0.00"), Decimal("0.0000"), Decimal("0"), False, dt.date(2000, 1, 1),
     dt.datetime(2000, 1, 1, tzinfo=UTC), "null"),
    ("tab\tnew\nback\\N \\. \"'", -(2**31), -(2**63), -1e-300, Decimal("-999999999999.99"), Decimal("-99.9999"),
     Decimal("-123456789012345678901234567890.12345"), None, dt.date(1, 1, 1),
     dt.datetime(1, 1, 1, tzinfo=UTC), '"x"'),
    (None,) * 11,
    ("日本語 🚛", 2**31 - 1, 2**63 - 1, float("inf"), Decimal("0.01"), None, Decimal("0.00000000001"), True,
     dt.date(9999, 12, 31), dt.datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC), "[]"),
    ("nan", None, None, float("nan"), None, Decimal("1.0000"), Decimal("10000"), False, None, None, None),
]  # fmt: skip
ARROW = {
    "key": pa.string(), "small": pa.int32(), "large": pa.int64(), "measure": pa.float64(),
    "money": pa.decimal128(14, 2), "ratio": pa.decimal128(6, 4), "any_number": pa.string(), "is_set": pa.bool_(),
    "day": pa.date32(), "at": pa.timestamp("us", "UTC"), "body": pa.string(),
}  # fmt: skip
BY_COPY, BY_INSERT = sql.Identifier("by_copy"), sql.Identifier("by_insert")
DIFFERENCES = """
    select count(*)
    from (
        (table by_copy except all table by_insert)
        union all
        (table by_insert except all table by_copy)
    ) as different
"""


@pytest.fixture
def target(operational_url: str) -> Iterator[psycopg.Connection]:
    with connect(operational_url, application_name="test") as connection:
        columns = ", ".join(f"{name} {data_type}" for name, data_type in COLUMNS.items())
        for table in (BY_COPY, BY_INSERT):
            connection.execute(sql.SQL("create table {} (" + columns + ")").format(table))
        connection.commit()
        yield connection


def insert(target: psycopg.Connection, rows: list[tuple[object, ...]]) -> None:
    """The second path: parameters in text, one row at a time."""
    casts = sql.SQL(", ").join(sql.SQL("%s::text::" + data_type) for data_type in COLUMNS.values())
    statement = sql.SQL("insert into by_insert values ({})").format(casts)
    target.cursor().executemany(statement, [tuple(map(as_text, row)) for row in rows])


def as_text(value: object) -> str | None:
    if isinstance(value, dt.date):
        return value.isoformat()
    return None if value is None else str(value)


def batch_of(rows: list[tuple[object, ...]]) -> pa.RecordBatch:
    arrays = []
    for place, (name, kind) in enumerate(ARROW.items()):
        values = [row[place] for row in rows]
        arrays.append(pa.array(map(as_text, values) if name == "any_number" else values, kind))
    return pa.RecordBatch.from_arrays(arrays, names=list(ARROW))


def differences(target: psycopg.Connection) -> int:
    row = target.execute(DIFFERENCES.encode()).fetchone()
    assert row is not None
    return int(row[0])


def test_every_type_from_arrow(target: psycopg.Connection) -> None:
    insert(target, ROWS)
    told: list[tuple[int, int]] = []
    batches = [batch_of(ROWS[:2]), batch_of([]), batch_of(ROWS[2:])]
    count = copy_arrow(batches, target, BY_COPY, COLUMNS, lambda rows, size: told.append((rows, size)))
    assert told[-1] == (count.rows, count.bytes)
    assert count.rows == len(ROWS)
    assert differences(target) == 0
    target.execute("update by_copy set money = 0.02 where key = 'a'")
    assert differences(target) == 2  # the comparison can fail


def test_every_type_between_servers(
    target: psycopg.Connection, postgres16: EmbeddedServer, make_database: Callable[..., str]
) -> None:
    insert(target, ROWS)
    columns = ", ".join(f"{name} {data_type}" for name, data_type in COLUMNS.items())
    with connect(make_database(postgres16), application_name="test") as other:
        other.execute(f"create table there ({columns})".encode())
        select = sql.SQL("select * from by_insert")
        there = copy_between(target, select, other, sql.Identifier("there"), list(COLUMNS))
        back = copy_between(other, sql.SQL("table there"), target, BY_COPY, list(COLUMNS))
    assert there == back
    assert there.rows == len(ROWS)
    assert differences(target) == 0


money = st.decimals(Decimal("-999999999999.99"), Decimal("999999999999.99"), places=2)
instants = st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2200, 1, 1), timezones=st.just(UTC))
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
any_row = st.tuples(
    *(
        st.none() | values
        for values in (
            texts,
            st.integers(-(2**31), 2**31 - 1),
            st.integers(-(2**63), 2**63 - 1),
            st.floats(),
            money,
            st.decimals(Decimal("-99.9999"), Decimal("99.9999"), places=4),
            st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**40), max_value=10**40),
            st.booleans(),
            st.dates(),
            instants,
            st.recursive(st.none() | st.integers(-9, 9) | st.booleans(), st.lists).map(json.dumps),
        )
    )
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(any_row, max_size=30))
def test_any_rows_from_arrow(target: psycopg.Connection, rows: list[tuple[object, ...]]) -> None:
    target.execute("truncate by_copy, by_insert")
    insert(target, rows)
    assert copy_arrow([batch_of(rows)], target, BY_COPY, COLUMNS).rows == len(rows)
    assert differences(target) == 0


def test_frame_with_every_way_to_be_missing(target: psycopg.Connection) -> None:
    frame = pd.DataFrame(
        {
            "key": ["a", None, "c"],
            "small": pd.array([1, None, 3], dtype="Int64"),
            "large": [1.0, np.nan, 3.0],
            "measure": [0.5, np.nan, 2.5],
            "money": [0.1 + 0.2, np.nan, -1.005],
            "ratio": [Decimal("0.5"), None, Decimal("1")],
            "any_number": [1.1, np.nan, 1e20],
            "is_set": pd.array([True, None, False], dtype="boolean"),
            "day": [dt.date(2026, 1, 1), None, dt.date(2026, 1, 3)],
            "at": pd.to_datetime(["2026-01-01 12:00", None, "2026-01-03 00:00"]).tz_localize("America/Chicago"),
            "body": pd.Categorical(["{}", None, "[]"]),
        }
    )
    assert copy_frame(frame, target, BY_COPY, COLUMNS).rows == 3
    first, last, empty = target.execute("select * from by_copy order by key nulls last").fetchall()
    assert empty == (None,) * 11
    at = dt.datetime(2026, 1, 1, 18, tzinfo=UTC)
    assert first == ("a", 1, 1, 0.5, Decimal("0.30"), Decimal("0.5"), Decimal("1.1"), True, dt.date(2026, 1, 1), at, {})
    assert last[4] == Decimal("-1.01")
    assert last[6] == Decimal("1e20")


def test_columns_of_numpy_in_another_order_and_more_of_them(target: psycopg.Connection) -> None:
    data = {
        "unused": np.zeros(100_001),
        "at": np.arange(100_001).astype("M8[s]"),
        "key": pa.array([f"k{number}" for number in range(100_001)]),
        "small": np.arange(100_001, dtype=np.int16),
    }
    data["small"] = np.arange(100_001) % 7
    types = {name: COLUMNS[name] for name in ("key", "small", "at")}
    assert copy_columns(data, target, BY_COPY, types).rows == 100_001
    query = "select count(*), sum(small), max(at) from by_copy where extract(epoch from at)::int::text = substr(key, 2)"
    assert target.execute(query.encode()).fetchone() == (
        100_001, int((np.arange(100_001) % 7).sum()), dt.datetime(1970, 1, 2, 3, 46, 40, tzinfo=UTC)
    )  # fmt: skip


def test_nul_byte_names_table_and_column_and_loads_nothing(target: psycopg.Connection) -> None:
    batches = [pa.RecordBatch.from_pydict({"key": ["fine"]}), pa.RecordBatch.from_pydict({"key": ["not\0fine"]})]
    with pytest.raises(UserError, match=r"A text of column by_copy\.key holds a NUL byte"):
        copy_arrow(batches, target, BY_COPY, {"key": "text"})
    target.rollback()
    assert target.execute("select count(*) from by_copy").fetchone() == (0,)


def test_value_the_table_refuses_is_one_sentence(target: psycopg.Connection) -> None:
    batch = pa.RecordBatch.from_pydict({"money": pa.array([Decimal("1.00"), Decimal("123456789012345.00")])})
    with pytest.raises(UserError, match=r"into by_copy in column money at row 2 is refused .*numeric field"):
        copy_arrow([batch], target, BY_COPY, {"money": "numeric(20,2)"})
    target.rollback()
    target.execute("alter table by_copy add unique (key)")
    with pytest.raises(UserError, match="duplicate key value violates unique constraint"):
        copy_columns({"key": ["a", "a"]}, target, BY_COPY, {"key": "text"})


def test_broken_utf_8_between_servers_names_the_table(
    target: psycopg.Connection, server: EmbeddedServer, make_database: Callable[..., str]
) -> None:
    # A source database of encoding SQL_ASCII hands out whatever bytes were put in.
    url = make_database(server)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("drop database if exists ascii_source")
        options = "encoding 'SQL_ASCII' template template0 locale 'C' locale_provider libc"
        connection.execute(f"create database ascii_source {options}".encode())
    try:
        with connect(server.url("ascii_source"), application_name="test") as source:
            select = sql.SQL(r"select convert_from('\x61ff'::bytea, 'SQL_ASCII') as key")
            with pytest.raises(UserError, match=r"reading the source is no valid UTF-8 .*0xff"):
                copy_between(source, select, target, BY_COPY, ["key"])
    finally:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("drop database ascii_source")


def test_source_that_fails_half_way_leaves_nothing(target: psycopg.Connection, operational_url: str) -> None:
    with connect(operational_url, application_name="test") as source:
        select = sql.SQL("select (100 / (200000 - number))::integer from generate_series(1, 300000) as number")
        with pytest.raises(UserError, match=r"reading the source is refused .*division by zero"):
            copy_between(source, select, target, BY_COPY, ["small"])
        target.rollback()
        source.rollback()
        assert target.execute("select count(*) from by_copy").fetchone() == (0,)
        assert copy_between(source, sql.SQL("select 1 where false"), target, BY_COPY, ["small"]).rows == 0


@pytest.mark.parametrize("killed", ["source", "target"])
def test_connection_killed_half_way_is_one_sentence(
    target: psycopg.Connection, operational_url: str, killed: str
) -> None:
    with (
        connect(operational_url, application_name="test") as source,
        connect(operational_url, application_name="test", autocommit=True) as killer,
    ):
        victim = {"source": source, "target": target}[killed]
        doing = {"source": "reading the source", "target": "copying into by_copy"}[killed]

        def on_progress(rows: int, size: int) -> None:
            if size < 3_000_000:
                killer.execute("select pg_terminate_backend(%s)", (victim.info.backend_pid,))
                time.sleep(0.2)

        select = sql.SQL("select number from generate_series(1, 2000000) as number")
        with pytest.raises(UserError, match=f"connection to the database broke while {doing} "):
            copy_between(source, select, target, BY_COPY, ["small"], on_progress)


def test_interrupted_copy_that_waits_for_a_lock_ends(target: psycopg.Connection, operational_url: str) -> None:
    # Regression: Ctrl-C would wait for the thread that sends, and that for the lock.
    target.execute("alter table by_copy add unique (key)")
    target.commit()

    def batches() -> Iterator[pa.RecordBatch]:
        keys = np.char.ljust(np.arange(50_000).astype("U200"), 200, "x")
        yield pa.RecordBatch.from_pydict({"key": pa.array(["locked", *keys[1:].tolist()])})
        time.sleep(0.5)
        raise KeyboardInterrupt

    with connect(operational_url, application_name="test") as other:
        other.execute("insert into by_copy (key) values ('locked')")
        release = threading.Timer(20, other.rollback)
        release.start()
        started = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            copy_arrow(batches(), target, BY_COPY, {"key": "text"})
        release.cancel()
        assert time.monotonic() - started < 10
    target.rollback()
    assert target.execute("select key from by_copy").fetchall() == [("locked",)]


def test_memory_stays_flat(target: psycopg.Connection, operational_url: str) -> None:
    seen: list[int] = []
    with connect(operational_url, application_name="test") as source:
        select = sql.SQL("select repeat('x', 200), number from generate_series(1, 100000) as number")
        tracemalloc.start()
        try:
            count = copy_between(source, select, target, BY_COPY, ["key", "small"], lambda rows, _: seen.append(rows))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert count.rows == 100_000 == seen[-1]
    assert seen == sorted(seen)
    assert len(seen) > 15
    assert count.bytes == 21 + 100_000 * (2 + 4 + 200 + 4 + 4)
    assert peak < 8 * 1024 * 1024
