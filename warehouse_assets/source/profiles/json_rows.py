"""JSON into text rows: an array of objects, one object a line, or objects somewhere inside a document.

Values become text; nested objects and arrays stay JSON text. Only the parsing of JSON belongs here.
"""

import json
from collections.abc import Iterator
from typing import Any

from warehouse_assets.errors import UserError
from warehouse_assets.source.profiles.fetch import LocalFile, Utf8Reader, open_bytes
from warehouse_assets.source.profiles.manifest import FileSource
from warehouse_assets.source.profiles.spool import RowBuffer, SpoolWriter, as_json, is_storable

_CHUNK = 1 << 20
_BLANK = " \t\r\n"


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON value")


class _Number(float):
    """A number with a fraction or exponent, and the digits it is written with: a float keeps 17 of them."""

    text: str


def _number(text: str) -> _Number:
    number = _Number(text)
    number.text = text
    return number


class _Decoder(json.JSONDecoder):
    """Python's decoder, which says of a value nested too deeply what it says of one that is broken."""

    def raw_decode(self, s: str, idx: int = 0) -> tuple[Any, int]:
        """The value at ``idx`` and where it ends."""
        try:
            return super().raw_decode(s, idx)
        except RecursionError as error:
            raise ValueError("objects and arrays are nested too deeply") from error


_DECODER = _Decoder(parse_constant=_no_constant, parse_float=_number)


def spool_json(file: LocalFile, source: FileSource, writer: SpoolWriter) -> None:
    """Write the rows of one JSON file to ``writer``.

    Arrays and lines are read as a stream. With ``rows`` (names joined by dots: ``data.items``) the document is read
    whole, and the array at that place gives the rows.

    Raises:
        UserError: the document is no JSON or holds no objects at that place, or a row cannot be read and the profile
            stops at such rows.
    """
    buffer = RowBuffer(writer, file.shown)
    with open_bytes(file.path, file.shown, source.encoding) as stream:
        text = _Text(stream, file.shown)
        first = text.skip_blank()
        if not first:
            raise UserError(f"{file.shown} is empty; it should hold JSON.")
        if source.rows:
            for value in _at(_whole(text, file), source.rows, file):
                _add(buffer, value, None, 1)
        elif first == "[":
            for value, line in _array(text, file):
                _add(buffer, value, None, line)
        else:
            _lines(text, file, buffer)
    buffer.flush()


class _Text:
    """A file's text with the line that the read position is on."""

    def __init__(self, stream: Utf8Reader, shown: str) -> None:
        self._stream = stream
        self._shown = shown
        self._rest = b""
        self.buffer = ""
        self.position = 0
        self.line = 1

    def more(self) -> bool:
        """Read a further block; False at the end of the file."""
        block = self._stream.read(_CHUNK)
        data = self._rest + block
        cut = len(data)
        while block and cut > max(0, len(data) - 4) and data[cut - 1] >= 0x80:
            cut -= 1  # a character may be cut off at the end of the block
            if data[cut] >= 0xC0:
                break
        try:
            text = data[:cut].decode("utf-8-sig" if self.line == 1 and not self.buffer else "utf-8")
        except UnicodeDecodeError as error:
            line = self.line + self.buffer.count("\n", self.position) + data[: error.start].count(b"\n")
            raise UserError(
                f"Line {line} of {self._shown} is no UTF-8 (byte 0x{data[error.start]:02x}); write the file as UTF-8, "
                "or state its encoding in profile.yml."
            ) from error
        self._rest = data[cut:]
        self.buffer = self.buffer[self.position :] + text
        self.position = 0
        return bool(block)

    def move(self, position: int) -> None:
        self.line += self.buffer.count("\n", self.position, position)
        self.position = position

    def skip_blank(self) -> str:
        """Move to the next character that is not blank, and return it ("" at the end)."""
        while True:
            end = self.position
            while end < len(self.buffer) and self.buffer[end] in _BLANK:
                end += 1
            self.move(end)
            if end < len(self.buffer):
                return self.buffer[end]
            if not self.more():
                return self.buffer[self.position : self.position + 1]


def _broken(file: LocalFile, line: int, error: ValueError) -> UserError:
    what = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
    return UserError(f"Line {line} of {file.shown} is no valid JSON ({what}); correct the file, or write it again.")


def _value(text: _Text, file: LocalFile) -> Any:
    """The value at the read position; reads on until it is whole."""
    while True:
        try:
            value, end = _DECODER.raw_decode(text.buffer, text.position)
        except ValueError as error:
            if text.more():
                continue
            line = text.line
            if isinstance(error, json.JSONDecodeError):
                line += text.buffer.count("\n", text.position, error.pos)
            raise _broken(file, line, error) from error
        text.move(end)
        return value


def _array(text: _Text, file: LocalFile) -> Iterator[tuple[Any, int]]:
    text.move(text.position + 1)
    if text.skip_blank() == "]":
        return
    while True:
        text.skip_blank()
        line = text.line
        yield _value(text, file), line
        mark = text.skip_blank()
        if mark not in (",", "]"):
            raise UserError(
                f"Line {text.line} of {file.shown} is no valid JSON (after an array's element comes "
                f"{mark or 'nothing'!r}, not by a comma or its end); correct the file, or write it again."
            )
        text.move(text.position + 1)
        if mark == "]":
            return


def _lines(text: _Text, file: LocalFile, buffer: RowBuffer) -> None:
    """One object a line; or, when the first line is no whole value, one document that is a single row."""
    first = True
    while text.skip_blank():
        while (end := text.buffer.find("\n", text.position)) < 0 and text.more():
            pass
        end = len(text.buffer) if end < 0 else end
        raw = text.buffer[text.position : end].rstrip()
        line = text.line
        try:
            value = _DECODER.decode(raw)
        except ValueError as error:
            if first:
                _add(buffer, _value(text, file), None, line)
                if text.skip_blank():
                    raise _broken(file, line, error) from error
                return
            what = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
            buffer.refuse(f"is no valid JSON ({what})", raw, line)
        else:
            _add(buffer, value, raw, line)
        first = False
        text.move(end)


def _whole(text: _Text, file: LocalFile) -> Any:
    while text.more():
        pass
    value = _value(text, file)
    if text.skip_blank():
        raise UserError(f"Line {text.line} of {file.shown} begins a second document; `rows` needs a single one.")
    return value


def _at(document: Any, rows: str, file: LocalFile) -> list[Any]:
    value = document
    for name in rows.removeprefix("$").strip(".").split("."):
        if not isinstance(value, dict) or name not in value:
            held = ", ".join(value) if isinstance(value, dict) else f"a {type(value).__name__}"
            raise UserError(f"{file.shown} has nothing at rows: {rows} ({name!r} is not in {held}); correct the path.")
        value = value[name]
    return value if isinstance(value, list) else [value]


def _add(buffer: RowBuffer, value: Any, raw: str | None, line: int) -> None:
    shown = raw if raw is not None else as_json(value)
    if not isinstance(value, dict):
        buffer.refuse("is no JSON object", shown, line)
        return
    row = {str(name): _as_text(item) for name, item in value.items()}
    if "\\" in shown and not all(text is None or is_storable(text) for text in (*row, *row.values())):
        buffer.refuse("holds a NUL character or half a surrogate pair, which PostgreSQL cannot store", shown, line)
        return
    buffer.add(row, line)


def _as_text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, _Number):
        return value.text
    return as_json(value)
