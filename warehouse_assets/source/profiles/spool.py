"""Text files become Parquet of text columns, one row a record, each with its file and line.

The SELECTs of a profile then read exact, repeatable rows, whatever the file was. Parsing a format belongs in its own
``*_rows`` module; casting to the contract's types belongs in ``batches``.
"""

import json
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from warehouse_assets.errors import UserError
from warehouse_assets.source.profiles.manifest import UnreadableRows
from warehouse_assets.source.profiles.rejects import Reject

if TYPE_CHECKING:
    import pyarrow as pa

MAX_REJECTS = 100_000
ROWS_PER_BATCH = 32_768
FILE, LINE = "_file", "_line"
_SHOWN_TEXT = 200


def column_names(raw: Sequence[str]) -> list[str]:
    """The names under which a file's columns are seen: small letters, digits and underscores, each once.

    >>> column_names(["Report Date", "Load Weight (lb)", "dropoffSite", "", "Load-ID", "load id"])
    ['report_date', 'load_weight_lb', 'dropoff_site', 'column_4', 'load_id', 'load_id_2']
    """
    names: list[str] = []
    for position, text in enumerate(raw, start=1):
        plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
        plain = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", plain)
        name = re.sub(r"[^a-z0-9]+", "_", plain.lower()).strip("_") or f"column_{position}"
        name = f"column_{name}" if name[0].isdigit() else name
        unique, number = name, 1
        while unique in names:
            number += 1
            unique = f"{name}_{number}"
        names.append(unique)
    return names


def shown_text(text: str) -> str:
    """The text cut to a length that fits into a sentence."""
    return text if len(text) <= _SHOWN_TEXT else f"{text[:_SHOWN_TEXT]}…"


@dataclass
class Spooled:
    """What a file source became: Parquet parts, the columns seen (in order), and the rows that are none."""

    parts: list[Path] = field(default_factory=list)
    columns: list[str] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    rows: int = 0

    def see_columns(self, names: Sequence[str]) -> None:
        """Remember the names not seen before."""
        self.columns += [name for name in names if name not in self.columns]


class SpoolWriter:
    """Writes batches of text to Parquet; a new part begins where the columns change."""

    def __init__(self, folder: Path, name: str, mode: UnreadableRows) -> None:
        self._folder = folder
        self._name = name
        self._mode = mode
        self._writer: Any = None
        self._schema: Any = None
        self.spooled = Spooled()

    def write(self, columns: Sequence[str], arrays: Sequence["pa.Array"], file: str, lines: "pa.Array") -> None:
        """Append rows: one text array a column, and each row's line in ``file``."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        if not len(lines):
            return
        schema = pa.schema([*((name, pa.string()) for name in columns), (FILE, pa.string()), (LINE, pa.int64())])
        if self._writer is None or not schema.equals(self._schema):
            self.close()
            path = self._folder / f"{self._name}-{len(self.spooled.parts)}.parquet"
            self._schema = schema
            self._writer = pq.ParquetWriter(path, schema, compression="lz4")
            self.spooled.parts.append(path)
        files = pa.array([file], pa.string()).take(pa.array([0] * len(lines), pa.int8()))
        # a row group per call: the writer would otherwise hold up to a million rows
        self._writer.write_table(pa.table([*arrays, files, lines], schema=schema))
        self.spooled.rows += len(lines)

    def refuse(self, reject: Reject) -> None:
        """Keep a row that cannot be read, or stop at it, as the profile says.

        Raises:
            UserError: the profile stops at unreadable rows, or there are more than ``MAX_REJECTS``.
        """
        if self._mode == "stop":
            raise UserError(
                f"{place(reject)} {reject.reason}: {shown_text(reject.raw)!r}. Correct the file; or, to load the rest "
                "and put such lines in quarantine, run with --set unreadable_rows=quarantine."
            )
        if len(self.spooled.rejects) >= MAX_REJECTS:
            raise UserError(
                f"More than {MAX_REJECTS:,} rows of {reject.file} cannot be read (the last: line {reject.line} "
                f"{reject.reason}); correct the file or its description in profile.yml."
            )
        self.spooled.rejects.append(reject)

    def close(self) -> None:
        """Finish the open part; further rows begin another."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def place(reject: Reject) -> str:
    """Where a reject stands, to begin a sentence with."""
    return f"Line {reject.line} of {reject.file}" if reject.line is not None else f"A row of {reject.file}"


class RowBuffer:
    """Collects rows that come one by one as mappings (JSON, XML) and writes them in batches."""

    def __init__(self, writer: SpoolWriter, file: str) -> None:
        self._writer = writer
        self._file = file
        self._names: dict[str, str] = {}
        self._rows: list[dict[str, str | None]] = []
        self._lines: list[int] = []

    def add(self, row: dict[str, str | None], line: int) -> None:
        """Append a row of raw column name → text."""
        for name in row:
            if name not in self._names:
                self._names = dict(zip([*self._names, name], column_names([*self._names, name]), strict=True))
        self._rows.append(row)
        self._lines.append(line)
        if len(self._rows) >= ROWS_PER_BATCH:
            self.flush()

    def refuse(self, reason: str, raw: str, line: int) -> None:
        """Hand on a row that cannot be read."""
        self._writer.refuse(Reject("unreadable_row", reason, storable(raw), self._file, line))

    def flush(self) -> None:
        """Write what has been collected."""
        import pyarrow as pa

        arrays = [pa.array([row.get(raw) for row in self._rows], pa.string()) for raw in self._names]
        self._writer.spooled.see_columns(list(self._names.values()))
        self._writer.write(list(self._names.values()), arrays, self._file, pa.array(self._lines, pa.int64()))
        self._rows, self._lines = [], []


def storable(text: str) -> str:
    """The text with what PostgreSQL cannot store (NUL, lone surrogates) written as escapes."""
    return text.replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode()


def is_storable(text: str) -> bool:
    """Whether PostgreSQL can store the text: no NUL character and no lone surrogate."""
    if "\x00" in text:
        return False
    if text.isascii():
        return True
    return not any("\ud800" <= character <= "\udfff" for character in text)


def as_json(value: object) -> str:
    """A nested value as compact JSON text."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
