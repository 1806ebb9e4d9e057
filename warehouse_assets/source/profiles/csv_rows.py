"""CSV into text rows with their line numbers. Only the parsing of CSV belongs here.

pyarrow parses: it names every line with too few or too many values, which DuckDB's reader does not always (a quote
that is never closed ends the file for it without a word when it reads on one thread).
"""

import csv
import io
import re
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from warehouse_assets.errors import UserError
from warehouse_assets.source.profiles.fetch import BROKEN, LocalFile, open_bytes
from warehouse_assets.source.profiles.manifest import FileSource
from warehouse_assets.source.profiles.rejects import Reject
from warehouse_assets.source.profiles.spool import SpoolWriter, column_names, shown_text, storable

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

_BLOCK = 2 << 20  # also the longest record; at 4 MiB a read holds 80 MiB more and is no faster
_BOM = "\ufeff"


class _QuoteWatch:
    """Sees whether the quotes of a file are suspicious, and whether it holds NUL bytes."""

    def __init__(self, quote: str, delimiter: str) -> None:
        mark, between = re.escape(quote.encode()), re.escape(delimiter.encode())
        self._quote = quote.encode()
        self._inside = re.compile(
            mark + rb"(?<=[^" + between + rb"\r\n" + mark + rb"]" + mark + rb")[^" + between + rb"\r\n" + mark + rb"]"
        )
        self._tail = b""
        self._quotes = 0
        self._has_stray = False
        self.has_nul = False

    def __call__(self, block: bytes) -> None:
        self.has_nul = self.has_nul or b"\x00" in block
        if self._quote in block:
            self._quotes += block.count(self._quote)
            self._has_stray = self._has_stray or self._inside.search(self._tail + block) is not None
        self._tail = block[-2:]

    @property
    def is_suspicious(self) -> bool:
        return self._has_stray or self._quotes % 2 == 1


def spool_csv(file: LocalFile, source: FileSource, writer: SpoolWriter) -> None:
    """Write the rows of one CSV file to ``writer``.

    The delimiter is taken from the header line unless the profile states it.

    Raises:
        UserError: the file is empty or not text, a quote is never closed, or a row cannot be read and the profile
            stops at such rows.
    """
    header, lines_before, delimiter = _header(file, source)
    names = column_names(header)
    writer.spooled.see_columns(names)
    watch = _QuoteWatch(source.quote, delimiter)
    try:
        _spool(file, source, writer, names, lines_before, delimiter, watch)
    except UserError:
        if watch.is_suspicious:
            _check_quotes(file, source, delimiter)
        raise
    if watch.is_suspicious:
        _check_quotes(file, source, delimiter)


def _spool(
    file: LocalFile,
    source: FileSource,
    writer: SpoolWriter,
    names: list[str],
    lines_before: int,
    delimiter: str,
    watch: _QuoteWatch,
) -> None:
    import pyarrow as pa
    import pyarrow.csv as pa_csv

    refused: list[tuple[int, int, str]] = []

    def refuse(row: Any) -> str:
        refused.append((row.number, row.actual_columns, row.text))
        return "skip"

    places = [f"c{number}" for number in range(len(names))]
    lines = _Lines(lines_before)
    with open_bytes(file.path, file.shown, source.encoding, watch, marks_broken=True) as stream:
        try:
            reader = pa_csv.open_csv(
                stream,
                read_options=pa_csv.ReadOptions(
                    use_threads=False, block_size=_BLOCK, column_names=places, skip_rows=lines_before
                ),
                parse_options=pa_csv.ParseOptions(
                    delimiter=delimiter,
                    quote_char=source.quote,
                    newlines_in_values=True,
                    ignore_empty_lines=False,
                    invalid_row_handler=refuse,
                ),
                convert_options=pa_csv.ConvertOptions(
                    column_types={name: pa.string() for name in places},
                    null_values=list(source.nulls),
                    strings_can_be_null=True,
                    quoted_strings_can_be_null=True,
                ),
            )
            for batch in reader:
                numbers = lines.of_batch(batch, refused)
                may_be_unreadable = watch.has_nul or stream.has_broken
                _write(batch, names, numbers, file, writer, delimiter if may_be_unreadable else None)
                _hand_on(lines.of_refused(), len(names), file, writer)
        except pa.ArrowInvalid as error:
            if "too short" in str(error) or "Empty CSV" in str(error):
                return  # a header and no rows
            _check_quotes(file, source, delimiter)
            said = f"it has a record of over {_BLOCK >> 20} MiB" if "straddling" in str(error) else str(error)
            raise UserError(f"{file.shown} cannot be read as CSV ({said}); correct the file.") from error
    lines.finish(refused)
    _hand_on(lines.of_refused(), len(names), file, writer)


class _Lines:
    """Counts lines of the file: records, plus the line ends inside quoted values."""

    def __init__(self, lines_before: int) -> None:
        self._record = lines_before
        self._extra = 0
        self._refused_lines: list[tuple[int, int, str]] = []

    def of_batch(self, batch: "pa.RecordBatch", refused: list[tuple[int, int, str]]) -> "npt.NDArray[np.int64]":
        """The first line of each row of the batch; takes the refused records that stand before its last row."""
        import numpy as np
        import pyarrow.compute as pc

        rows = batch.num_rows
        inside = np.zeros(rows, dtype=np.int64)
        for column in batch.columns:
            found = pc.fill_null(pc.count_substring(column, "\n"), 0)
            if pc.any(pc.greater(found, 0)).as_py():
                inside += found.to_numpy(zero_copy_only=False)
        skipped = sorted(number for number, _, _ in refused)
        records = np.arange(self._record + 1, self._record + 1 + rows + len(skipped), dtype=np.int64)
        records = records[~np.isin(records, skipped)][:rows]
        last = int(records[-1]) if rows else self._record
        taken = [item for item in refused if item[0] <= last]
        refused[:] = [item for item in refused if item[0] > last]
        all_records = np.concatenate([records, np.array([item[0] for item in taken], dtype=np.int64)])
        all_inside = np.concatenate([inside, np.array([item[2].count("\n") for item in taken], dtype=np.int64)])
        order = np.argsort(all_records, kind="stable")
        before = np.empty(len(order), dtype=np.int64)
        before[order] = self._extra + np.cumsum(all_inside[order]) - all_inside[order]
        found_lines = all_records + before
        self._refused_lines += [
            (int(line), count, text) for line, (_, count, text) in zip(found_lines[rows:], taken, strict=True)
        ]
        self._record = last
        self._extra += int(all_inside.sum())
        return found_lines[:rows]

    def finish(self, refused: list[tuple[int, int, str]]) -> None:
        """Take the refused records after the last row."""
        for number, count, text in sorted(refused):
            self._refused_lines.append((number + self._extra, count, text))
            self._extra += text.count("\n")
        refused.clear()

    def of_refused(self) -> list[tuple[int, int, str]]:
        """Line, number of values and text of the refused records met since the last call."""
        met, self._refused_lines = self._refused_lines, []
        return met


def _hand_on(met: list[tuple[int, int, str]], width: int, file: LocalFile, writer: SpoolWriter) -> None:
    for line, count, text in met:
        if text.strip():
            reason = f"has {count} values where the header has {width}"
            writer.refuse(Reject("unreadable_row", reason, _as_in_file(text), file.shown, line))


def _write(
    batch: "pa.RecordBatch",
    names: list[str],
    lines: "npt.NDArray[np.int64]",
    file: LocalFile,
    writer: SpoolWriter,
    delimiter: str | None,
) -> None:
    """Write the rows of a batch but those without any value; with a ``delimiter``, set aside those that are no text."""
    import pyarrow as pa

    batch, lines = _without_blank(batch, lines)
    if delimiter is not None:
        keep: list[int] = []
        for index, values in enumerate(zip(*(column.to_pylist() for column in batch.columns), strict=True)):
            reason = _why_unreadable(values, names)
            if reason is None:
                keep.append(index)
            else:
                record = io.StringIO()
                csv.writer(record, delimiter=delimiter, lineterminator="").writerow(values)
                raw = _as_in_file(record.getvalue())
                writer.refuse(Reject("unreadable_row", reason, raw, file.shown, int(lines[index])))
        batch = batch.take(pa.array(keep, pa.int64()))
        lines = lines[keep]
    writer.write(names, batch.columns, file.shown, pa.array(lines, pa.int64()))


def _without_blank(
    batch: "pa.RecordBatch", lines: "npt.NDArray[np.int64]"
) -> tuple["pa.RecordBatch", "npt.NDArray[np.int64]"]:
    """The batch without its blank lines: in a file of several columns those without any value."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if batch.num_columns == 1:
        return batch, lines
    is_blank = np.ones(batch.num_rows, dtype=bool)
    for column in batch.columns:
        empty = pc.equal(pc.fill_null(pc.binary_length(column), 0), 0)
        is_blank &= empty.to_numpy(zero_copy_only=False)
        if not is_blank.any():
            return batch, lines
    keep = np.flatnonzero(~is_blank)
    return batch.take(pa.array(keep)), lines[keep]


def _why_unreadable(values: tuple[str | None, ...], names: list[str]) -> str | None:
    for value, name in zip(values, names, strict=True):
        if value is not None and "\x00" in value:
            return f"holds a NUL byte in column {name}, which no text may"
        if value is not None and (found := value.find(BROKEN)) >= 0:
            return (
                f"is no UTF-8 in column {name} (byte 0x{value[found + 1 : found + 3]}; if the file is in another "
                "encoding, state it in profile.yml as encoding: latin-1 or the like)"
            )
    return None


def _as_in_file(text: str) -> str:
    return storable(text.replace(BROKEN, "\\x"))


def _text_lines(file: LocalFile, source: FileSource) -> Iterator[str]:
    with open_bytes(file.path, file.shown, source.encoding) as stream:
        text = io.TextIOWrapper(io.BufferedReader(stream, 1 << 20), encoding="utf-8", errors="replace", newline="")
        yield from text


def _header(file: LocalFile, source: FileSource) -> tuple[list[str], int, str]:
    """The header's names, the lines before the first record, and the delimiter."""
    lines = _text_lines(file, source)
    for _ in range(source.skip_lines):
        next(lines, None)
    first = next(lines, None)
    if first is None:
        raise UserError(f"{file.shown} is empty; a CSV begins with a header line.")
    first = first.removeprefix(_BOM)
    if "\x00" in first:
        raise UserError(
            f"{file.shown} holds NUL bytes in its first line, so it is no text in {source.encoding}; if it is in "
            "another encoding, state it in profile.yml as encoding: utf-16 or the like. Or is it another format?"
        )
    quote = re.escape(source.quote)
    between = re.sub(f"{quote}[^{quote}]*{quote}", "", first)  # a comma inside quotes parts nothing
    delimiter = source.delimiter or max(",;\t|", key=lambda mark: (between.count(mark), -",;\t|".index(mark)))
    if source.header is not None:
        return list(source.header), source.skip_lines, delimiter
    reader = csv.reader(_chain(first, islice(lines, 50)), delimiter=delimiter, quotechar=source.quote, strict=True)
    try:
        header = next(reader)
    except csv.Error as error:
        raise UserError(f"The header of {file.shown} cannot be read ({error}); correct its quotes.") from error
    if not any(name.strip() for name in header):
        raise UserError(f"The first line of {file.shown} names no columns; state skip_lines or header in profile.yml.")
    return header, source.skip_lines + reader.line_num, delimiter


def _chain(first: str, rest: Iterator[str]) -> Iterator[str]:
    yield first
    yield from rest


def _check_quotes(file: LocalFile, source: FileSource, delimiter: str) -> None:
    """Read the file once more, strictly, where its quotes look wrong.

    Raises:
        UserError: a quote is not closed, or text follows a closing quote: rows cannot be told apart from there on.
    """
    limit = csv.field_size_limit(1 << 30)
    lines = _text_lines(file, source)
    for _ in range(source.skip_lines):
        next(lines, None)
    reader = csv.reader(
        (line.replace("\x00", "") for line in lines), delimiter=delimiter, quotechar=source.quote, strict=True
    )
    begun = 0
    try:
        for _ in reader:
            begun = reader.line_num
    except csv.Error as error:
        problem = (
            "opens a quote that is never closed" if "unexpected end" in str(error) else "has text after a closing quote"
        )
        raise UserError(
            f"Line {source.skip_lines + begun + 1} of {file.shown} {problem}, so rows cannot be told apart from there "
            f"on ({shown_text(str(error))}); correct that line."
        ) from error
    finally:
        csv.field_size_limit(limit)
