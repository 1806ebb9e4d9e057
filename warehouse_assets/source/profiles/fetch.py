"""From a location (path, glob, URL) to local files and their bytes. What the bytes mean does not belong here."""

import codecs
import glob
import gzip
import http.client
import io
import os
import re
import shutil
import tempfile
import urllib.error
import urllib.parse
import urllib.request
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, BinaryIO, cast

from warehouse_assets.errors import UserError

_GZIP_MAGIC = b"\x1f\x8b"
_CHUNK = 1 << 20
#: Stands before the hexadecimal digits of a byte that is no text: a code point that is no character of any text.
BROKEN = "\ufdd0"
_MARK = "warehouse-mark-broken"
_OWN_HEADERS = {"User-Agent": "warehouse-assets", "Accept-Encoding": "gzip"}
#: How servers refuse to tell of a file that they give: a signed URL is for one method (403), others know GET alone.
_NO_HEAD = (403, 405, 501)
#: How servers say that the question is right and the time is not, besides their own failures (5xx).
_NOT_NOW = (408, 425, 429)
_FORMATS = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".json": "json",
    ".ndjson": "json",
    ".jsonl": "json",
    ".geojson": "json",
    ".xml": "xml",
    ".parquet": "parquet",
}
_MEDIA_TYPES = {
    "text/csv": "csv",
    "text/tab-separated-values": "csv",
    "application/json": "json",
    "application/x-ndjson": "json",
    "application/xml": "xml",
    "text/xml": "xml",
    "application/vnd.apache.parquet": "parquet",
}


@dataclass(frozen=True)
class LocalFile:
    """A file to read: where its bytes are, and the name the user knows it by."""

    path: Path
    shown: str
    format: str | None


@dataclass(frozen=True)
class Location:
    """A path (relative to ``base``), glob or http(s) URL, with the HTTP headers to send.

    ``timeout_seconds`` is how long a connection or a read may stand still.
    """

    text: str
    base: Path
    headers: Mapping[str, str]
    timeout_seconds: float


def format_of(name: str) -> str | None:
    """The format that a file name's ending stands for (``.gz`` looked through), or None."""
    lowered = name.lower().removesuffix(".gz")
    return _FORMATS.get(os.path.splitext(lowered)[1])


def _is_url(text: str) -> bool:
    return re.match(r"https?://", text, re.IGNORECASE) is not None


def local_files(location: Location, download_to: Path) -> list[LocalFile]:
    """The files of ``location``, in the order of their names; an http(s) URL is downloaded into ``download_to``.

    Raises:
        UserError: nothing is there, it cannot be read, or the server does not answer with the file.
    """
    if _is_url(location.text):
        return [_download(location, download_to)]
    return [LocalFile(file, str(file), format_of(file.name)) for file in _paths(location)]


def modification_times(location: Location) -> list[datetime]:
    """When each file of ``location`` last changed or came to its place; now, where a server does not tell.

    A file moved or copied here keeps the time of its writing: the time its entry changed tells when that was. Of a glob
    the folders count too, as a file that has gone leaves no other trace.

    Raises:
        UserError: nothing is there, or the server does not answer.
    """
    if not _is_url(location.text):
        files = _paths(location)
        folders = {file.parent for file in files} if glob.has_magic(location.text) else set()
        found = [path.stat() for path in (*files, *folders)]
        return [datetime.fromtimestamp(max(each.st_mtime, each.st_ctime), UTC) for each in found]
    try:
        with _answering(location, "HEAD") as answer:
            text = answer.headers.get("Last-Modified")
    except _StatusError as error:
        if error.code not in _NO_HEAD:
            raise
        text = None
    try:
        return [parsedate_to_datetime(text).astimezone(UTC) if text else datetime.now(UTC)]
    except ValueError:
        return [datetime.now(UTC)]


def _paths(location: Location) -> list[Path]:
    if "://" in location.text:
        raise UserError(f"{_shown_url(location.text)!r} is no path; use a path, a glob, or an http or https URL.")
    path = Path(location.text).expanduser()
    path = path if path.is_absolute() else location.base / path
    if path.is_file():
        found = [path]
    elif path.is_dir():
        raise UserError(f"{path} is a folder; name a file, or a glob such as {path}/*.csv.")
    else:
        found = sorted(Path(name) for name in glob.glob(str(path), recursive=True) if os.path.isfile(name))
    if not found:
        raise UserError(f"There is no file {path}; correct the path (a glob such as exports/*.csv works too).")
    for file in found:
        if not os.access(file, os.R_OK):
            raise UserError(f"{file} may not be read by this user; change its rights.")
    return found


def _server(url: str) -> str:
    """Scheme, host and port: what of a URL is no secret. "the URL" where they cannot be told."""
    try:
        parts = urllib.parse.urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "the URL"
    if ":" in host:
        host = f"[{host}]"
    return f"{parts.scheme}://{host}" + (f":{port}" if port else "")


def _shown_url(url: str) -> str:
    """The URL without user, password and query: these may hold secrets."""
    server = _server(url)
    return server if server == "the URL" else server + urllib.parse.urlsplit(url).path


class _StatusError(UserError):
    """The server answers, but not with the file."""

    def __init__(self, sentence: str, code: int):
        super().__init__(sentence)
        self.code = code


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but takes the profile's headers, which may hold secrets, to no other server."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        """The request for where the answer leads."""
        request = super().redirect_request(req, fp, code, msg, headers, newurl)
        if request is not None and _server(newurl) != _server(req.full_url):
            request.headers = {}
            for name, value in _OWN_HEADERS.items():
                request.add_header(name, value)
        return request


@contextmanager
def _answering(location: Location, method: str) -> Iterator[Any]:
    """The server's answer. Whatever goes wrong until the caller has read it is told in one sentence.

    The sentences hold no text of an error that may quote a header or the URL, and no such error is their cause.
    """
    server, shown = _server(location.text), _shown_url(location.text)
    try:
        if "@" in urllib.parse.urlsplit(location.text).netloc:
            raise ValueError("credentials")
        request = urllib.request.Request(  # noqa: S310  callers let http and https through only
            location.text,
            headers=_OWN_HEADERS | {name: value.strip() for name, value in location.headers.items()},
            method=method,
        )
        with urllib.request.build_opener(_Redirects).open(request, timeout=location.timeout_seconds) as answer:
            yield answer
    except urllib.error.HTTPError as error:
        error.close()
        reason = http.client.responses.get(error.code, "")
        remedy = "correct the URL, its parameters or the credentials it needs"
        if 300 <= error.code < 400:  # an answer that urllib could not follow
            remedy = "it leads in a circle or to no http address; correct the URL"
        if error.code in _NOT_NOW or error.code >= 500:
            remedy = "run again later"
        raise _StatusError(f"{shown} answers {f'{error.code} {reason}'.strip()}; {remedy}.", error.code) from None
    except TimeoutError as error:
        raise UserError(
            f"{shown} did not answer within {location.timeout_seconds:g} seconds; try again, or raise its "
            "timeout_seconds in profile.yml."
        ) from error
    except (ValueError, http.client.InvalidURL):
        raise UserError(
            f"Nothing can be fetched from {server}: its URL or a header is not as HTTP asks. Write the URL as "
            "https://host/path?query, with spaces and special characters percent-encoded, and credentials as "
            "http_headers in profile.yml."
        ) from None
    except http.client.IncompleteRead:
        raise UserError(f"{shown} broke off before its end; run again.") from None
    except (urllib.error.URLError, http.client.HTTPException, ConnectionError) as error:
        cause = getattr(error, "reason", error)
        reason = f" ({cause})" if isinstance(cause, OSError) else ""
        if isinstance(cause, TimeoutError):
            reason = f" (no answer within {location.timeout_seconds:g} seconds)"
        raise UserError(f"{server} cannot be fetched from{reason}; check the URL and the network.") from None


def _download(location: Location, folder: Path) -> LocalFile:
    shown = _shown_url(location.text)
    handle, name = tempfile.mkstemp(dir=folder, prefix="download-")
    with os.fdopen(handle, "wb") as file, _answering(location, "GET") as answer:
        shutil.copyfileobj(answer, file, _CHUNK)
        written = file.tell()
        expected = answer.headers.get("Content-Length")
        media_type = answer.headers.get_content_type()
        names = [urllib.parse.urlsplit(url).path for url in (location.text, answer.geturl())]
    if expected is not None and expected.isdigit() and int(expected) != written:
        raise UserError(f"{shown} broke off after {written} of {expected} bytes; run again.")
    formats = [*map(format_of, names), _MEDIA_TYPES.get(media_type)]
    return LocalFile(Path(name), shown, next((known for known in formats if known), None))


def is_gzip(path: Path) -> bool:
    """Whether the file begins as gzip does, whatever its name."""
    with path.open("rb") as file:
        return file.read(2) == _GZIP_MAGIC


def gunzip_to(path: Path, target: Path, shown: str) -> None:
    """Write the unpacked bytes of a gzip file to ``target``.

    Raises:
        UserError: the gzip stream is broken.
    """
    with open_bytes(path, shown, "utf-8") as source, target.open("xb") as sink:
        shutil.copyfileobj(source, sink, _CHUNK)


def _mark_broken(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "".join(f"{BROKEN}{byte:02x}" for byte in error.object[error.start : error.end]), error.end


codecs.register_error(_MARK, _mark_broken)


class Utf8Reader(io.RawIOBase):
    """The bytes of a file as UTF-8, unpacked and re-encoded as they are read.

    ``watch`` sees every block on its way. With ``marks_broken`` every byte that is no text in the file's encoding
    becomes ``BROKEN`` and two hexadecimal digits, and ``has_broken`` is set; without it UTF-8 passes unchanged.
    """

    def __init__(
        self,
        raw: BinaryIO,
        shown: str,
        encoding: str,
        watch: Callable[[bytes], None] | None = None,
        marks_broken: bool = False,
    ) -> None:
        super().__init__()
        self.has_broken = False
        self._raw = raw
        self._watch = watch
        self._shown = shown
        self._decoder = None
        if marks_broken or codecs.lookup(encoding).name not in ("utf-8", "utf-8-sig", "ascii"):
            self._decoder = codecs.getincrementaldecoder(encoding)(errors=_MARK)
        self._pending = b""
        self._is_at_end = False

    def readable(self) -> bool:
        """True."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Up to ``size`` bytes (all that are left if negative); none at the end."""
        if size is None or size < 0:
            parts = []
            while part := self.read(_CHUNK):
                parts.append(part)
            return b"".join(parts)
        while not self._pending and not self._is_at_end:
            try:
                block = self._raw.read(max(size, 1))
            except (EOFError, gzip.BadGzipFile, zlib.error) as error:
                raise UserError(
                    f"{self._shown} is a broken or cut-off gzip file ({error}); fetch or write it again."
                ) from error
            self._is_at_end = not block
            if self._decoder is not None:
                text = self._decoder.decode(block, final=self._is_at_end)
                self.has_broken = self.has_broken or BROKEN in text
                block = text.encode("utf-8")
            if self._watch is not None and block:
                self._watch(block)
            self._pending = block
        taken, self._pending = self._pending[:size], self._pending[size:]
        return taken

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # typeshed wants its own Buffer type
        """Fill ``buffer`` as far as one block goes and return how far."""
        taken = self.read(len(buffer))
        buffer[: len(taken)] = taken
        return len(taken)

    def close(self) -> None:
        """Close the file beneath."""
        self._raw.close()
        super().close()


def open_bytes(
    path: Path,
    shown: str,
    encoding: str,
    watch: Callable[[bytes], None] | None = None,
    marks_broken: bool = False,
) -> Utf8Reader:
    """The file's bytes as UTF-8, unpacked if it is gzip; see ``Utf8Reader``."""
    raw = cast("BinaryIO", gzip.GzipFile(path, "rb") if is_gzip(path) else path.open("rb"))
    return Utf8Reader(raw, shown, encoding, watch, marks_broken)
