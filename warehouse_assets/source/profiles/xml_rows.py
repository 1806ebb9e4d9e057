"""XML into text rows: every element at a stated path is a row. Only the parsing of XML belongs here.

Attributes and child elements of the row become columns; deeper ones join their names with an underscore
(``<site><name>`` → ``site_name``); a name that occurs more than once in a row gives a JSON array. Read as a stream with
expat. A document type declaration is refused, so no entity can expand.
"""

import re
from typing import Any
from xml.parsers import expat  # entity attacks need a document type declaration, which is refused below

from warehouse_assets.errors import UserError
from warehouse_assets.source.profiles.fetch import LocalFile, open_bytes
from warehouse_assets.source.profiles.manifest import FileSource
from warehouse_assets.source.profiles.spool import RowBuffer, SpoolWriter, as_json

_CHUNK = 1 << 20


def spool_xml(file: LocalFile, source: FileSource, writer: SpoolWriter) -> None:
    """Write the elements at ``source.rows`` of one XML file to ``writer``.

    Raises:
        UserError: ``rows`` is not stated, the document is not well-formed or declares a document type, or it has no
            such element although it is not empty.
    """
    if not source.rows:
        raise UserError(
            f"{file.shown} is XML, and the profile does not say which element is a row; add rows: .//NAME to the file "
            f"{source.name!r} in profile.yml."
        )
    buffer = RowBuffer(writer, file.shown)
    reader = _RowReader(source.rows, buffer, file)
    parser = reader.parser
    try:
        with open_bytes(file.path, file.shown, "utf-8") as stream:
            while block := stream.read(_CHUNK):
                parser.Parse(block, False)
            parser.Parse(b"", True)
    except expat.ExpatError as error:
        raise UserError(
            f"Line {error.lineno} of {file.shown} is not well-formed XML ({expat.errors.messages[error.code]}); "
            "correct the file, or write it again."
        ) from error
    buffer.flush()
    if not reader.rows and reader.elements > 1:
        raise UserError(
            f"{file.shown} has no element at rows: {source.rows} (the root is <{reader.root}>); correct it."
        )


class _RowReader:
    def __init__(self, rows: str, buffer: RowBuffer, file: LocalFile) -> None:
        self._is_absolute = rows.startswith("/") and not rows.startswith("//")
        plain = re.sub(r"\{[^}]*\}", "", rows)  # names are told without their namespace, as those of elements are
        self._path = [name.rsplit(":", 1)[-1] for name in plain.lstrip(".").split("/") if name]
        self._buffer = buffer
        self._file = file
        self._stack: list[str] = []
        self._depth = 0  # of the row element; 0 outside a row
        self._row: dict[str, list[str]] = {}
        self._texts: list[list[str]] = []  # of the open elements of the row
        self._line = 0
        self.rows = 0
        self.elements = 0
        self.root = ""
        self.parser: Any = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.ordered_attributes = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._characters
        self.parser.StartDoctypeDeclHandler = self._refuse_doctype

    def _refuse_doctype(self, *_: object) -> None:
        raise UserError(
            f"{self._file.shown} declares a document type (<!DOCTYPE …>), which is refused since it can hold entities "
            "that expand without end; write the file without it."
        )

    def _is_row(self) -> bool:
        return self._stack == self._path if self._is_absolute else self._stack[-len(self._path) :] == self._path

    def _start(self, tag: str, attributes: list[str]) -> None:
        name = tag.rsplit(":", 1)[-1]
        self._stack.append(name)
        self.elements += 1
        if self.elements == 1:
            self.root = name
        if not self._depth:
            if not self._is_row():
                return
            self._depth = len(self._stack)
            self._row = {}
            self._texts = []
            self._line = self.parser.CurrentLineNumber
        self._texts.append([])
        for key, value in zip(attributes[::2], attributes[1::2], strict=True):
            if not key.startswith("xmlns"):
                self._put([*self._stack[self._depth :], key.rsplit(":", 1)[-1]], value)

    def _characters(self, text: str) -> None:
        if self._depth:
            self._texts[-1].append(text)

    def _put(self, path: list[str], value: str) -> None:
        self._row.setdefault("_".join(path) or "text", []).append(value)

    def _end(self, _tag: str) -> None:
        if self._depth:
            text = "".join(self._texts.pop()).strip()
            inside = self._stack[self._depth :]
            if text:
                self._put(inside, text)
            if len(self._stack) == self._depth:
                row = {name: values[0] if len(values) == 1 else as_json(values) for name, values in self._row.items()}
                self._buffer.add(dict(row), self._line)
                self.rows += 1
                self._depth = 0
        self._stack.pop()
