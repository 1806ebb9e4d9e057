"""Rows of a file profile as Arrow batches of the contract's columns and types; what does not fit is set aside.

The casts, and which rows they refuse, belong here. Reading files (``*_rows``) and writing to PostgreSQL do not.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from warehouse_assets.errors import UserError
from warehouse_assets.source.contract import Table
from warehouse_assets.source.profiles.duck import literal, quoted, select_error
from warehouse_assets.source.profiles.rejects import Reject
from warehouse_assets.source.profiles.spool import FILE, LINE, MAX_REJECTS, shown_text, storable

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_PER_BATCH = 65_536
_ENOUGH_TO_JUDGE = 20
#: Text that ends as a time with a zone does, to PostgreSQL as to DuckDB; cast to a date, either would drop the zone.
TEXT_WITH_ZONE = r"\d:\d\d(:\d\d(\.\d+)?)?\s*([+-]\d\d(:?\d\d)?|Z|UTC|GMT)\s*$"
_REJECT, _WRONG = "_reject", "_wrong"


def arrow_type(data_type: str) -> "pa.DataType":
    """The Arrow type of a contract type: numeric(p,s) → decimal128, timestamptz → microseconds UTC, jsonb → text."""
    import pyarrow as pa

    if data_type.startswith("numeric("):
        precision, scale = data_type.removeprefix("numeric(").removesuffix(")").split(",")
        return pa.decimal128(int(precision), int(scale))
    return {
        "text": pa.string(),
        "integer": pa.int32(),
        "bigint": pa.int64(),
        "double precision": pa.float64(),
        "boolean": pa.bool_(),
        "date": pa.date32(),
        "timestamptz": pa.timestamp("us", "UTC"),
        "jsonb": pa.string(),
    }[data_type]


def arrow_schema(table: Table) -> "pa.Schema":
    """The schema of the batches of ``table``: the contract's columns in order."""
    import pyarrow as pa

    return pa.schema([(column.name, arrow_type(column.data_type)) for column in table.columns])


def _duck_type(data_type: str) -> str:
    return data_type.replace("numeric(", "decimal(").replace("double precision", "double").replace("jsonb", "varchar")


def typed(name: str, source_type: str, data_type: str) -> str:
    """The SQL that casts column ``name`` of the profile's row from DuckDB's ``source_type``.

    A value that does not fit becomes null, an infinite date or time among them. Blank text is null for every type but
    text. A time with zone becomes the day it is in the session's. A whole number is not made from a fraction.
    """
    column = f"profile.{quoted(name)}"
    is_text = source_type == "VARCHAR"
    if data_type == "text":
        return column if is_text else f"{column}::varchar"
    if data_type == "jsonb":
        return f"case when json_valid({column}) then {column} end" if is_text else f"to_json({column})::varchar"
    value = f"nullif(trim({column}), '')" if is_text else column
    cast = f"try_cast({value} as {_duck_type(data_type)})"
    if data_type in ("integer", "bigint") and (is_text or source_type.startswith(("DECIMAL", "DOUBLE", "FLOAT"))):
        return f"case when coalesce(try_cast({value} as decimal(38, 6)) % 1, 0) = 0 then {cast} end"
    if data_type == "date" and is_text:
        cast = (
            f"case when regexp_matches({value}, {literal(TEXT_WITH_ZONE)}) "
            f"then try_cast({value} as timestamptz)::date else {cast} end"
        )
    if data_type in ("date", "timestamptz"):
        return f"case when isfinite({cast}) then {cast} end"
    return cast


def is_wrong(name: str, source_type: str, data_type: str) -> str | None:
    """SQL: a value of column ``name`` is there and does not fit; None where every value fits."""
    if data_type == "text":
        return None
    column = f"profile.{quoted(name)}"
    there = f"{column} is not null"
    if source_type == "VARCHAR" and data_type != "jsonb":
        there = f"nullif(trim({column}), '') is not null"
    return f"{there} and {typed(name, source_type, data_type)} is null"


def filled_cursor(table: Table, described: Mapping[str, str]) -> str:
    """The SQL that stands for a cursor column the profile lacks.

    The row's business day (or its start), else 1970-01-01: values that stay the same when a file is read again, so
    that only real differences count as changes.
    """
    epoch = "timestamptz '1970-01-01 00:00:00+00'"
    day = table.business_date
    name = day and (day.column or day.start)
    if not name or name not in described:
        return epoch
    value = typed(name, described[name], table.column(name).data_type)
    return f"coalesce(({value})::timestamptz, {epoch})"


def casting_query(table: Table, select: str, described: Mapping[str, str]) -> str:
    """The statement around a profile's SELECT: contract columns cast, plus ``_file`` and ``_line``.

    Where a value does not fit, ``_reject`` is the whole row as JSON and ``_wrong`` names the columns, comma between.

    ``described`` maps the SELECT's columns to their DuckDB types.
    """
    columns: list[str] = []
    wrong: dict[str, str] = {}
    for column in table.columns:
        source_type = described.get(column.name)
        if source_type is not None:
            columns.append(f"{typed(column.name, source_type, column.data_type)} as {quoted(column.name)}")
            if condition := is_wrong(column.name, source_type, column.data_type):
                wrong[column.name] = condition
        elif column.name == table.cursor:
            columns.append(f"{filled_cursor(table, described)} as {quoted(column.name)}")
        else:
            columns.append(f"null::{_duck_type(column.data_type)} as {quoted(column.name)}")
    condition = " or ".join(f"({item})" for item in wrong.values()) or "false"
    names = ", ".join(f"case when {item} then '{name}' end" for name, item in wrong.items()) or "null"
    columns.append(f"case when {condition} then to_json(profile)::varchar end as {_REJECT}")
    columns.append(f"case when {condition} then concat_ws(',', {names}) end as {_WRONG}")
    for name in (FILE, LINE):
        columns.append(f"profile.{name}" if name in described else f"null as {name}")
    return f"select {', '.join(columns)} from (\n{select}\n) as profile"  # noqa: S608  the profile's own SELECT


class RecordBatches:
    """A context manager and iterator of ``pyarrow.RecordBatch`` with exactly the contract's columns.

    ``rejects`` grows while iterating and is whole after the last batch; ``rows`` counts the rows yielded. So the
    source's rows are ``rows + len(rejects)``.
    """

    def __init__(
        self,
        table: Table,
        where: str,
        query: str,
        unreadable: Sequence[Reject],
        connection: Any,
    ) -> None:
        self.table = table
        self.schema = arrow_schema(table)
        self.rejects: list[Reject] = list(unreadable)
        self.rows = 0
        self._where = where
        self._query = query
        self._connection = connection
        self._wrong: dict[str, int] = {}
        self._present: dict[str, int] = {}
        self._examples: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the session; further iteration is not possible."""
        self._connection.close()

    def __iter__(self) -> Iterator["pa.RecordBatch"]:
        """Yield the batches.

        Raises:
            UserError: the SELECT fails, more than half of a column's values do not fit its type, or more than
                ``MAX_REJECTS`` rows are refused.
        """
        import duckdb

        try:
            reader = self._connection.sql(self._query).to_arrow_reader(ROWS_PER_BATCH)
            for batch in reader:
                if kept := self._set_aside(batch):
                    self.rows += kept.num_rows
                    yield kept
        except (duckdb.Error, OSError) as error:
            raise select_error(self._where, error) from error
        self._judge_types(is_last=True)

    def _set_aside(self, batch: "pa.RecordBatch") -> "pa.RecordBatch | None":
        import pyarrow as pa
        import pyarrow.compute as pc

        refused = pc.is_valid(batch.column(_REJECT))
        for column in self.table.columns:
            self._present[column.name] = (
                self._present.get(column.name, 0) + len(batch) - batch.column(column.name).null_count
            )
        rows = batch.select([column.name for column in self.table.columns])
        nul = self._with_nul(rows)
        if pc.any(refused).as_py():
            for row in batch.filter(refused).select([_REJECT, _WRONG, FILE, LINE]).to_pylist():
                self._refuse(row[_REJECT], row[_WRONG].split(","), row[FILE], row[LINE])
            rows = rows.filter(pc.invert(refused))
            nul = nul.filter(pc.invert(refused))
            self._judge_types(is_last=False)
        if pc.any(nul).as_py():
            for row in rows.filter(nul).to_pylist():
                reason = "a text holds a NUL character, which PostgreSQL cannot store"
                self._add(Reject("wrong_type", reason, storable(json.dumps(row, default=str))))
            rows = rows.filter(pc.invert(nul))
        if not rows.num_rows:
            return None
        return pa.RecordBatch.from_arrays(
            [column.cast(field.type) for column, field in zip(rows.columns, self.schema, strict=True)],
            schema=self.schema,
        )

    def _with_nul(self, rows: "pa.RecordBatch") -> "pa.Array":
        import pyarrow as pa
        import pyarrow.compute as pc

        found = pa.array([False]).take(pa.array([0] * rows.num_rows, pa.int8()))
        for column in rows.columns:
            if pa.types.is_string(column.type):
                found = pc.or_(found, pc.fill_null(pc.match_substring(column, "\x00"), False))
        return found

    def _refuse(self, raw: str, names: Sequence[str], file: str | None, line: int | None) -> None:
        row = json.loads(raw)
        reasons = []
        for name in names:
            value = row[name]
            reasons.append(f"{name} {shown_text(str(value))!r} is no {self.table.column(name).data_type}")
            self._wrong[name] = self._wrong.get(name, 0) + 1
            self._examples.setdefault(name, shown_text(str(value)))
        for name in (FILE, LINE):
            row.pop(name, None)
        text = storable(json.dumps(row, ensure_ascii=False))
        self._add(Reject("wrong_type", "; ".join(reasons), text, file, line))

    def _add(self, reject: Reject) -> None:
        if len(self.rejects) >= MAX_REJECTS:
            raise UserError(
                f"{self._where}: more than {MAX_REJECTS:,} rows do not fit the contract (the last: {reject.reason}); "
                "correct the SELECT or the data."
            )
        self.rejects.append(reject)

    def _judge_types(self, is_last: bool) -> None:
        """A column that mostly does not fit is of another type, which is no dirt but a mistake."""
        for name, wrong in self._wrong.items():
            values = wrong + self._present[name]
            if wrong * 2 > values and (is_last or values >= _ENOUGH_TO_JUDGE):
                raise UserError(
                    f"{self._where}: {wrong:,} of {values:,} values of {self.table.name}.{name} are no "
                    f"{self.table.column(name).data_type} (such as {self._examples[name]!r}); its type has changed, or "
                    "the SELECT should convert it."
                )
