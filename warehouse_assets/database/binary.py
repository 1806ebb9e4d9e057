"""Arrow columns to PostgreSQL's binary COPY format, whole columns at a time. No connections belong here.

The format (PostgreSQL manual, "COPY", "Binary Format") is, per row, a 16-bit field count, then per field a
32-bit length (-1 for null) and the value in network byte order. Values of fixed width are laid side by side in
one numpy structured array; text goes between such blocks through Arrow's element-wise join, so no Python
code runs per row. Measured on 1 M rows of 12 columns: 0.3 s, where Arrow's CSV writer needs 4.7 s, most
of it for printing timestamps.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any

import numpy as np

from warehouse_assets.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa

HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
TRAILER = b"\xff\xff"

_EPOCH_DAYS = 10_957  # from 1970-01-01 to 2000-01-01, PostgreSQL's epoch
_EPOCH_MICROSECONDS = _EPOCH_DAYS * 86_400_000_000
_NUMERIC_NEGATIVE, _NUMERIC_NAN = 0x4000, 0xC000


@dataclass(frozen=True)
class _Field:
    """One column's part of every row.

    Either ``values`` as (numpy type, array or constant) pairs, left out where ``is_null``, or ``text`` of ``lengths``,
    -1 for null.
    """

    values: list[tuple[str, Any]]
    is_null: np.ndarray | None = None
    text: "pa.Array | None" = None
    lengths: np.ndarray | None = None


def encode(
    columns: Sequence["pa.Array"], names: Sequence[str], types: Sequence[str], table: str
) -> "pa.Buffer | bytes":
    """Return the rows of ``columns`` in binary COPY format, without header and trailer.

    Args:
        columns: Arrow arrays of one length, at most some 100,000 rows (the result must stay below 2 GiB).
        names: their names, for error messages.
        types: PostgreSQL types, one each: text, integer, bigint, smallint, double precision, real, boolean, date,
            timestamptz, timestamp, jsonb or numeric(p,s).
        table: name of the target, for error messages.

    Raises:
        UserError: a value does not fit its type, a text holds a NUL byte, or a type is not among the above.
    """
    rows = len(columns[0])
    if rows == 0:
        return b""
    layout: list[tuple[str, Any]] = [(">i2", len(columns))]
    pieces: list[pa.Array] = []
    for column, name, data_type in zip(columns, names, types, strict=True):
        field = _field(column, data_type, f"{table}.{name}")
        if field.text is not None:
            layout.append((">i4", field.lengths))
            pieces += [_block(layout, rows), field.text]
            layout = []
            continue
        width = sum(np.dtype(kind).itemsize for kind, _ in field.values)
        if field.is_null is None:
            layout += [(">i4", width), *field.values]
        else:
            layout += [(">i4", np.where(field.is_null, -1, width)), *field.values]
            pieces.append(_block(layout, rows, field.is_null, width))
            layout = []
    if layout:
        pieces.append(_block(layout, rows))
    return _joined(pieces)


def _joined(pieces: "list[pa.Array]") -> "pa.Buffer":
    import pyarrow.compute as pc

    whole = pieces[0] if len(pieces) == 1 else pc.binary_join_element_wise(*pieces, b"")
    offsets = np.frombuffer(whole.buffers()[1], np.int32, len(whole) + 1, whole.offset * 4)
    return whole.buffers()[2].slice(int(offsets[0]), int(offsets[-1] - offsets[0]))


def _block(
    layout: list[tuple[str, Any]], rows: int, is_null: np.ndarray | None = None, null_width: int = 0
) -> "pa.Array":
    """Return the side-by-side fields as one binary value per row, cut by ``null_width`` bytes where ``is_null``."""
    import pyarrow as pa

    packed = np.empty(rows, dtype=[(str(place), kind) for place, (kind, _) in enumerate(layout)])
    for place, (_, values) in enumerate(layout):
        packed[str(place)] = values
    width = packed.dtype.itemsize
    data = packed.view(np.uint8)
    widths = np.full(rows + 1, width, np.int32)
    widths[0] = 0
    if is_null is not None:
        keep = np.ones((rows, width), dtype=bool)
        keep[is_null, width - null_width :] = False
        data = data.reshape(rows, width)[keep]
        widths[1:][is_null] -= null_width
    offsets = np.cumsum(widths, dtype=np.int32)
    return pa.Array.from_buffers(pa.binary(), rows, [None, pa.py_buffer(offsets), pa.py_buffer(data)])


def _field(column: "pa.Array", data_type: str, where: str) -> _Field:
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_large_string(column.type) or pa.types.is_string_view(column.type):
        column = _cast(column, pa.string(), where)
    base = re.sub(r"\s*\(.*", "", data_type.strip().lower())
    if base == "numeric" and (sized := re.search(r"\(\s*\d+\s*(?:,\s*(\d+)\s*)?\)", data_type)):
        return _numeric(column, where, scale=int(sized[1] or 0))
    maker = _MAKERS.get(base)
    if maker is None:
        raise UserError(f"Column {where} has the type {data_type}, which is not among {', '.join(sorted(_MAKERS))}.")
    return maker(column, where)


def _cast(column: "pa.Array", target: "pa.DataType", where: str, safe: bool = True) -> "pa.Array":
    import pyarrow as pa

    if column.type == target:
        return column
    try:
        return column.cast(target, safe=safe)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        reason = str(error).split("\n")[0].rstrip(".")
        raise UserError(f"A value of column {where} does not fit the type {target} ({reason}); correct it.") from error


def _nulls(column: "pa.Array") -> np.ndarray | None:
    return column.is_null().to_numpy(zero_copy_only=False) if column.null_count else None


def _numbers(column: "pa.Array") -> np.ndarray:
    """Return the column's values as numpy array; where it is null the value is any."""
    import pyarrow as pa

    if pa.types.is_boolean(column.type):
        return np.asarray(column.fill_null(False).to_numpy(zero_copy_only=False))
    kind = column.type.to_pandas_dtype()
    return np.frombuffer(column.buffers()[1], kind, len(column), column.offset * np.dtype(kind).itemsize)


def _fixed(arrow_type: str, wire: str) -> Callable[["pa.Array", str], _Field]:
    def make(column: "pa.Array", where: str) -> _Field:
        import pyarrow as pa

        column = _cast(column, getattr(pa, arrow_type)(), where)
        return _Field([(wire, _numbers(column))], _nulls(column))

    return make


def _date(column: "pa.Array", where: str) -> _Field:
    import pyarrow as pa

    column = _cast(_cast(column, pa.date32(), where, safe=pa.types.is_string(column.type)), pa.int32(), where)
    return _Field([(">i4", _numbers(column) - np.int32(_EPOCH_DAYS))], _nulls(column))


def _timestamp(column: "pa.Array", where: str) -> _Field:
    """A time without zone counts as UTC; nanoseconds are cut to microseconds."""
    import pyarrow as pa

    if not pa.types.is_timestamp(column.type):
        zone = "UTC" if pa.types.is_string(column.type) and _has_zone(column) else None
        column = _cast(column, pa.timestamp("us", zone), where)
    column = _cast(column, pa.timestamp("us", column.type.tz), where, safe=False).view(pa.int64())
    return _Field([(">i8", _numbers(column) - np.int64(_EPOCH_MICROSECONDS))], _nulls(column))


def _has_zone(column: "pa.Array") -> bool:
    import pyarrow.compute as pc

    return bool(pc.any(pc.match_substring_regex(column, r"\d(Z|[+-]\d\d(:?\d\d)?)$")).as_py())


def _text(column: "pa.Array", where: str, marker: bytes = b"") -> _Field:
    """Text as it is, each value behind ``marker``."""
    import pyarrow as pa
    import pyarrow.compute as pc

    column = _cast(column, pa.string(), where)
    if len(column) and column.buffers()[2] is not None and _holds_nul(column):
        raise UserError(f"A text of column {where} holds a NUL byte, which PostgreSQL cannot store; remove it.")
    is_null = _nulls(column)
    if is_null is not None:
        column = column.fill_null("")
    value = column.view(pa.binary())
    if marker:
        value = pc.binary_join_element_wise(pa.scalar(marker, pa.binary()), value, b"")
        if is_null is not None:
            value = pc.if_else(pa.array(is_null), pa.scalar(b"", pa.binary()), value)
    offsets = np.frombuffer(value.buffers()[1], np.int32, len(value) + 1, value.offset * 4)
    lengths = np.diff(offsets)
    return _Field([], text=value, lengths=lengths if is_null is None else np.where(is_null, -1, lengths))


def _holds_nul(column: "pa.Array") -> bool:
    offsets = np.frombuffer(column.buffers()[1], np.int32, len(column) + 1, column.offset * 4)
    used = np.frombuffer(column.buffers()[2], np.uint8)[offsets[0] : offsets[-1]]
    return bool(used.size and used.min() == 0)


def _jsonb(column: "pa.Array", where: str) -> _Field:
    return _text(column, where, marker=b"\x01")  # the version of jsonb's wire format


def _numeric(column: "pa.Array", where: str, scale: int | None = None) -> _Field:
    """Decimals and whole numbers as they are; floats as PostgreSQL reads their shortest text, rounded to ``scale``."""
    import pyarrow as pa

    is_null = _nulls(column)
    if pa.types.is_integer(column.type):
        units = _numbers(_cast(column, pa.int64(), where))
        if units.min() > np.iinfo(np.int64).min:
            return _decimal_field(units, 0, is_null)
    elif pa.types.is_floating(column.type) and scale is not None:
        rounded = _rounded(_numbers(_cast(column, pa.float64(), where)), scale, is_null)
        if rounded is not None:
            return _decimal_field(rounded, scale, is_null)
    elif pa.types.is_decimal(column.type) and column.type.precision <= 38 and 0 <= column.type.scale <= 15:
        wide = _cast(column, pa.decimal128(38, column.type.scale), where)
        words = np.frombuffer(wide.buffers()[1], np.int64, 2 * len(wide), wide.offset * 16).reshape(-1, 2)
        low, high = words[:, 0], words[:, 1]
        fits = (high == low >> 63) & (low != np.iinfo(np.int64).min)
        if bool(fits.all() if is_null is None else (fits | is_null).all()):
            return _decimal_field(low, column.type.scale, is_null)
    return _any_numeric(_cast(column, pa.string(), where), where)


def _rounded(values: np.ndarray, scale: int, is_null: np.ndarray | None) -> np.ndarray | None:
    """Return the values in units of 10**-scale, rounded half away from zero, or None if some are 2**52 or more.

    Where a value lies so near to a half that multiplying could tip it (1.005 is stored as 1.00499999999999989),
    its shortest decimal text decides, as it would in PostgreSQL.
    """
    if is_null is not None:
        values = np.where(is_null, 0.0, values)
    scaled = np.abs(values) * 10.0**scale
    if scale > 15 or not bool((scaled < 2.0**52).all()):  # also refuses NaN and infinity
        return None
    units = np.floor(scaled + 0.5)
    doubtful = np.flatnonzero(np.abs(scaled - np.floor(scaled) - 0.5) <= 1e-6 + scaled * 1e-15)
    step = Decimal(1).scaleb(-scale)
    for row in doubtful.tolist():
        exact = abs(Decimal(repr(float(values[row])))).quantize(step, ROUND_HALF_UP)
        units[row] = float(exact.scaleb(scale))
    signed: np.ndarray = np.copysign(units, values).astype(np.int64)
    return signed


def _decimal_field(units: np.ndarray, scale: int, is_null: np.ndarray | None) -> _Field:
    """Numeric of ``units`` / 10**scale: groups of four decimal digits, as many for each row as the largest needs."""
    if is_null is not None:
        units = np.where(is_null, 0, units)
    size = np.abs(units)
    whole, part = np.divmod(size, 10**scale) if scale else (size, np.zeros_like(size))
    whole_groups = max(1, -(-len(str(int(whole.max()))) // 4))
    part_groups = -(-scale // 4)
    digits: list[np.ndarray] = []
    for _ in range(whole_groups - 1):
        whole, group = np.divmod(whole, 10_000)
        digits.insert(0, group)
    digits.insert(0, whole)
    fraction: list[np.ndarray] = []
    if part_groups:
        last = 4 * part_groups - scale
        for place in range(part_groups):
            if place == 0:
                part, group = np.divmod(part, 10 ** (4 - last))
                group = group * 10**last
            else:
                part, group = np.divmod(part, 10_000)
            fraction.insert(0, group)
    sign = np.where(units < 0, _NUMERIC_NEGATIVE, 0)
    head = [(">i2", whole_groups + part_groups), (">i2", whole_groups - 1), (">i2", sign), (">i2", scale)]
    return _Field([*head, *((">i2", group) for group in [*digits, *fraction])], is_null)


def _any_numeric(column: "pa.Array", where: str) -> _Field:
    """Numeric of any size from text, value by value: for the rare column that the fast way cannot hold."""
    import pyarrow as pa

    encoded = [None if value is None else _numeric_bytes(value, where) for value in column.to_pylist()]
    text = pa.array([value or b"" for value in encoded], pa.binary())
    lengths = np.array([-1 if value is None else len(value) for value in encoded], np.int32)
    return _Field([], text=text, lengths=lengths)


def _numeric_bytes(text: str, where: str) -> bytes:
    try:
        value = Decimal(text)
    except ArithmeticError as error:
        raise UserError(f"The value {text!r} of column {where} is no number; correct it.") from error
    if value.is_nan():
        return np.array([0, 0, _NUMERIC_NAN, 0], ">u2").tobytes()
    if value.is_infinite():
        return np.array([0, 0, 0xF000 if value < 0 else 0xD000, 0], ">u2").tobytes()
    negative, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)  # noqa: S101  it is a letter only for the special values handled above
    scale = max(-exponent, 0)
    plain = "".join(map(str, digits)) + "0" * max(exponent, 0)
    plain = plain.rjust(scale + 1, "0")
    whole, part = plain[: len(plain) - scale], plain[len(plain) - scale :]
    whole = whole.rjust(-(-len(whole) // 4) * 4, "0")
    part = part.ljust(-(-len(part) // 4) * 4, "0")
    groups = [int((whole + part)[start : start + 4]) for start in range(0, len(whole + part), 4)]
    head = [len(groups), len(whole) // 4 - 1, _NUMERIC_NEGATIVE if negative else 0, scale]
    return np.array(head + groups, ">u2").tobytes()


_MAKERS: dict[str, Callable[["pa.Array", str], _Field]] = {
    "text": _text,
    "integer": _fixed("int32", ">i4"),
    "bigint": _fixed("int64", ">i8"),
    "smallint": _fixed("int16", ">i2"),
    "double precision": _fixed("float64", ">f8"),
    "real": _fixed("float32", ">f4"),
    "boolean": _fixed("bool_", "u1"),
    "date": _date,
    "timestamptz": _timestamp,
    "timestamp": _timestamp,
    "jsonb": _jsonb,
    "numeric": _numeric,
}
