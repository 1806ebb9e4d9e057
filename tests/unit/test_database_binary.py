"""Binary COPY encoding without a server: bytes against the manual's layout, and each refusal's sentence."""

import struct
from decimal import Decimal, localcontext

import numpy as np
import pyarrow as pa
import pytest

from warehouse_assets.database import binary
from warehouse_assets.errors import UserError


def rows_of(data: bytes, columns: int) -> list[list[bytes | None]]:
    """Take rows apart as the PostgreSQL manual describes them, one field at a time."""
    rows, position = [], 0
    while position < len(data):
        (count,) = struct.unpack_from("!h", data, position)
        assert count == columns
        position += 2
        row: list[bytes | None] = []
        for _ in range(count):
            (length,) = struct.unpack_from("!i", data, position)
            position += 4
            row.append(None if length == -1 else data[position : position + length])
            position += max(length, 0)
        rows.append(row)
    return rows


def encoded(array: pa.Array, data_type: str) -> list[bytes | None]:
    data = bytes(binary.encode([array], ["c"], [data_type], "t"))
    return [row[0] for row in rows_of(data, 1)]


def number(data: bytes | None) -> Decimal:
    """Read PostgreSQL's numeric: groups of four digits with a weight, a sign and a display scale."""
    assert data is not None
    count, weight, sign, scale = struct.unpack_from("!hhHh", data)
    groups = struct.unpack_from(f"!{count}h", data, 8)
    assert all(0 <= group < 10_000 for group in groups)
    with localcontext(prec=100):
        parts = (Decimal(group) * Decimal(10_000) ** (weight - place) for place, group in enumerate(groups))
        value = sum(parts, Decimal())
        return round(-value if sign == 0x4000 else value, scale)


@pytest.mark.parametrize(
    ("data_type", "values", "expected"),
    [
        ("integer", [1, None, -1], [b"\0\0\0\1", None, b"\xff\xff\xff\xff"]),
        ("bigint", [2**40, None], [b"\0\0\1\0\0\0\0\0", None]),
        ("boolean", [True, False, None], [b"\1", b"\0", None]),
        ("double precision", [1.5, None], [struct.pack("!d", 1.5), None]),
        ("text", ["", None, "é"], [b"", None, "é".encode()]),
        ("jsonb", ["{}", None, "[1]"], [b"\1{}", None, b"\1[1]"]),
        ("text", [None, None], [None, None]),
        ("date", [None], [None]),
    ],
)
def test_values_and_nulls(data_type: str, values: list[object], expected: list[bytes | None]) -> None:
    assert encoded(pa.array(values), data_type) == expected


def test_days_and_microseconds_count_from_2000() -> None:
    assert encoded(pa.array(np.array(["2000-01-02", "1999-12-31"], "M8[D]")), "date") == [
        struct.pack("!i", 1),
        struct.pack("!i", -1),
    ]
    assert encoded(pa.array(np.array(["2000-01-01T00:00:01", "NaT"], "M8[ns]")), "timestamptz") == [
        struct.pack("!q", 1_000_000),
        None,
    ]


def test_a_time_with_another_zone_is_the_same_instant() -> None:
    instant = pa.array([0], pa.timestamp("ms", "America/Chicago"))
    assert encoded(instant, "timestamptz") == encoded(pa.array(["1970-01-01T00:00:00Z"]), "timestamptz")
    assert encoded(instant, "timestamptz") == encoded(pa.array(["1969-12-31 18:00:00-06:00"]), "timestamptz")


@pytest.mark.parametrize(
    "texts",
    [
        ["0", "0.00", "-0.01", "9999.99", "10000", "-123456789012.34"],
        ["0.0001", "12.3456", "99999999.9999"],
        ["1", "-1", "9223372036854775807"],
        ["-9223372036854775808", "170141183460469231731687303715884105727"],
        ["0.000000000000001", "1234.000000000000001"],
    ],
)
def test_decimals(texts: list[str]) -> None:
    values = [Decimal(text) for text in texts]
    assert [number(data) for data in encoded(pa.array(values), "numeric")] == values


@pytest.mark.parametrize(
    ("value", "scale", "expected"),
    [
        (1.005, 2, "1.01"),  # the float lies below the half, its text on it: PostgreSQL reads the text
        (2.675, 2, "2.68"),
        (0.125, 2, "0.13"),
        (-0.125, 2, "-0.13"),
        (-2.5, 0, "-3"),
        (0.1 + 0.2, 2, "0.30"),
        (1e12 + 0.335, 2, "1000000000000.34"),  # the float nearest to it is ….3350830078125
        (4.4, 2, "4.40"),
    ],
)
def test_floats_round_as_their_text_would(value: float, scale: int, expected: str) -> None:
    assert number(encoded(pa.array([value]), f"numeric(20, {scale})")[0]) == Decimal(expected)


def test_floats_round_as_their_text_would_at_random() -> None:
    values = np.random.default_rng(1).normal(0, 1000, 2000).round(3)
    texts = [Decimal(repr(value)) for value in values.tolist()]
    expected = [round(abs(text) + Decimal("1e-9"), 2).copy_sign(text) for text in texts]
    assert [number(data) for data in encoded(pa.array(values), "numeric(10,2)")] == expected


def test_a_slice_is_encoded_like_the_same_values_alone() -> None:
    columns = {
        "text": pa.array(["a", None, "ccc", "d", None]),
        "numeric(14,2)": pa.array([Decimal("1.10"), None, Decimal("3.30"), None, Decimal("5.50")]),
        "boolean": pa.array([True, None, False, True, None]),
        "timestamptz": pa.array([1, None, 3, None, 5], pa.timestamp("us")),
        "integer": pa.array([1, None, 3, 4, 5], pa.int32()),
        "jsonb": pa.array(["1", None, "3", None, "5"]),
    }
    names, types = [f"c{place}" for place in range(len(columns))], list(columns)
    part = [column.slice(1, 3) for column in columns.values()]
    alone = [pa.array(column.to_pylist(), column.type) for column in part]
    assert bytes(binary.encode(part, names, types, "t")) == bytes(binary.encode(alone, names, types, "t"))
    whole = bytes(binary.encode(list(columns.values()), names, types, "t"))
    assert rows_of(whole, len(columns))[1:4] == rows_of(bytes(binary.encode(part, names, types, "t")), len(columns))


@pytest.mark.parametrize(
    "make",
    [
        lambda texts: pa.array(texts, pa.large_string()),
        lambda texts: pa.array(texts, pa.string_view()),
        lambda texts: pa.array(texts).dictionary_encode(),
    ],
    ids=["large", "view", "dictionary"],
)
def test_every_kind_of_text(make: object) -> None:
    assert callable(make)
    assert encoded(make(["a", None, "b", "a"]), "text") == [b"a", None, b"b", b"a"]


def test_no_rows() -> None:
    assert binary.encode([pa.array([], pa.int32())], ["c"], ["integer"], "t") == b""


@pytest.mark.parametrize(
    ("array", "data_type", "sentence"),
    [
        (pa.array(["a", "b\0c"]), "text", r"A text of column t\.c holds a NUL byte"),
        (pa.array(['{"a": "\0"}']), "jsonb", r"A text of column t\.c holds a NUL byte"),
        (pa.array(["12", "twelve"]), "integer", r"A value of column t\.c does not fit .*twelve"),
        (pa.array([2**31]), "integer", r"A value of column t\.c does not fit"),
        (pa.array([1.5]), "bigint", r"A value of column t\.c does not fit"),
        (pa.array(["2026-02-30"]), "date", r"A value of column t\.c does not fit .*2026-02-30"),
        (pa.array(["yesterday"]), "timestamptz", r"A value of column t\.c does not fit .*yesterday"),
        (pa.array(["1,5"]), "numeric(6,2)", r"The value '1,5' of column t\.c is no number"),
        (pa.array([1]), "money", r"Column t\.c has the type money, which is not among bigint, boolean"),
    ],
)
def test_refusals_name_table_and_column(array: pa.Array, data_type: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence) as raised:
        encoded(array, data_type)
    assert "\n" not in str(raised.value)
