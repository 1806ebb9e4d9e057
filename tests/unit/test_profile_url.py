"""Files by URL, from a real HTTP server: formats, gzip, credentials, and every way it fails."""

import gzip
import json
import os
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest

from warehouse_assets.errors import UserError
from warehouse_assets.source.contract import load_contract
from warehouse_assets.source.profiles import FilesProfile, open_profile

CSV = b"id,day\n1,2024-03-05\n2,2024-03-06\n"
ROWS = [{"id": "1", "day": "2024-03-05"}, {"id": "2", "day": "2024-03-06"}]
LAST_MODIFIED = "Tue, 05 Mar 2024 10:00:00 GMT"


class _Handler(BaseHTTPRequestHandler):
    def _answer(self, body: bytes, kind: str, **headers: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        match path:
            case "/loads.csv":
                self._answer(CSV, "text/plain", Last_Modified=LAST_MODIFIED)
            case "/loads.csv.gz":
                self._answer(gzip.compress(CSV), "application/gzip")
            case "/packed":
                self._answer(gzip.compress(CSV), "text/csv; charset=utf-8", Content_Encoding="gzip")
            case "/api/loads":
                if self.headers.get("Authorization") != "Bearer s3cret":
                    self.send_error(401, "Unauthorized")
                    return
                self._answer(json.dumps({"result": {"rows": ROWS}}).encode(), "application/json")
            case "/loads.xml":
                rows = b"".join(
                    b"<load><id>%s</id><day>%s</day></load>" % (r["id"].encode(), r["day"].encode()) for r in ROWS
                )
                self._answer(b"<loads>" + rows + b"</loads>", "application/xml")
            case "/moved":
                self.send_response(302)
                self.send_header("Location", "/loads.csv")
                self.end_headers()
            case "/elsewhere":
                self.send_response(302)
                self.send_header("Location", self.path.partition("?")[2])
                self.end_headers()
            case "/cut.csv":
                self._answer(CSV, "text/csv", Content_Length=str(len(CSV) + 100))
            case "/circle":
                self.send_response(302)
                self.send_header("Location", "/circle")
                self.end_headers()
            case "/cut-chunks.csv":
                self.send_response(200)
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                self.wfile.write(b"40\r\n" + CSV[:20])
            case "/slow.csv":
                self.server.released.wait(20)  # type: ignore[attr-defined]  # an event set by the fixture
            case "/down" | "/busy":
                self.send_error(503 if self.path == "/down" else 429)
            case "/odd":
                self._answer(CSV, "application/octet-stream")
            case "/page.csv":
                self._answer(b"<!DOCTYPE html>\n<html><body>Please sign in</body></html>\n", "text/html")
            case _:
                self.send_error(404, "Not Found")

    def do_HEAD(self) -> None:
        if self.path.startswith("/get-only/"):
            self.send_error(int(self.path.rpartition("/")[2]))
        else:
            self.do_GET()

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def serving() -> Iterator[str]:
    instance = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    instance.released = threading.Event()  # type: ignore[attr-defined]  # read by the handler
    thread = threading.Thread(target=instance.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{instance.server_port}"
    instance.released.set()  # type: ignore[attr-defined]  # as above
    instance.shutdown()
    instance.server_close()
    thread.join()


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with serving() as url:
        yield url


@pytest.fixture
def profile_at(tmp_path: Path) -> Callable[..., FilesProfile]:
    def write(url: str, source: str = "", **settings: str) -> FilesProfile:
        (tmp_path / "profile.yml").write_text(
            'kind: files\nsettings:\n  place: {}\n  token: {optional: true}\nfiles:\n  f:\n    location: "{place}"\n'
            + source
        )
        (tmp_path / "loads.sql").write_text("select id as load_id, day as service_date from f")
        profile = open_profile(str(tmp_path), {"place": url, **settings})
        assert isinstance(profile, FilesProfile)
        return profile

    return write


def ids(profile: FilesProfile) -> list[str]:
    with profile.read(load_contract().table("loads")) as batches:
        return [value for batch in batches for value in batch.column("load_id").to_pylist()]


def test_a_download_leaves_no_file_open(server: str, profile_at: Callable[..., FilesProfile]) -> None:
    # Regression: the descriptor of the temporary file stayed open, one for each table and run of the daemon.
    def open_downloads() -> list[str]:
        return [file.path for file in psutil.Process().open_files() if "/download-" in file.path]

    profile = profile_at(f"{server}/loads.csv")
    assert ids(profile)
    assert open_downloads() == []
    profile.close()


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("/loads.csv", ""),
        ("/loads.csv?year=2024&token=x", ""),
        ("/loads.csv.gz", ""),
        ("/packed", ""),  # named by its media type
        ("/moved", ""),  # named by where it leads
        ("/odd", "    format: csv\n"),
        ("/loads.xml", "    rows: .//load\n"),
        (
            "/api/loads",
            '    rows: result.rows\n    http_headers: {Authorization: "Bearer {token}"}\n',
        ),
    ],
)
def test_rows_come_by_url(server: str, profile_at: Callable[..., FilesProfile], path: str, source: str) -> None:
    assert ids(profile_at(server + path, source, token="s3cret")) == ["1", "2"]


@pytest.mark.parametrize(
    ("path", "source", "sentence"),
    [
        # URL             profile.yml                  what the reader is told
        ("/gone.csv", "", "/gone.csv answers 404 Not Found"),
        ("/api/loads", "    rows: result.rows\n", "/api/loads answers 401 Unauthorized"),
        # Regression: the user was told to correct URL and credentials, which were right.
        ("/down", "", "/down answers 503 Service Unavailable; run again later"),
        ("/busy", "", "/busy answers 429 Too Many Requests; run again later"),
        ("/slow.csv", "    timeout_seconds: 0.3\n", "/slow.csv did not answer within 0.3 seconds"),
        ("/cut.csv", "", "/cut.csv broke off after 33 of 133 bytes"),
        ("/cut-chunks.csv", "", "/cut-chunks.csv broke off before its end; run again"),
        ("/circle", "", "/circle answers 302 Found; it leads in a circle or to no http address"),
        ("/odd", "", "the format of http.*/odd is not plain from its name"),
        ("/page.csv", "    columns: [id]\n", "/page.csv has no column 'id'; it has doctype_html. Is it the right file"),
    ],
)
def test_a_url_that_fails_ends_in_one_sentence(
    server: str, profile_at: Callable[..., FilesProfile], path: str, source: str, sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        ids(profile_at(server + path, source))


def test_a_server_that_is_not_there(profile_at: Callable[..., FilesProfile]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(UserError, match=r"cannot be fetched .*Connection refused"):
        ids(profile_at(f"http://127.0.0.1:{port}/loads.csv"))


@pytest.mark.parametrize("url", ["ftp://host/loads.csv", "file:///etc/passwd", "s3://bucket/loads.csv"])
def test_other_schemes_are_refused(profile_at: Callable[..., FilesProfile], url: str) -> None:
    with pytest.raises(UserError, match="is no path; use a path, a glob, or an http or https URL"):
        ids(profile_at(url))


@pytest.mark.parametrize(
    ("url", "token", "sentence"),
    [
        ("{server}/gone.csv?token=s3cret", "x", "/gone.csv answers 404"),
        ("{server}/loads.csv?token=s3cret two", "x", "Nothing can be fetched from http://127.0.0.1"),
        ("{server}/loads.csv?token=s3cret", "x\ny", "Nothing can be fetched from http://127.0.0.1"),
        ("{server}/loads.csv", "s3cret\ny", "Nothing can be fetched from http://127.0.0.1"),
        ("{server}/elsewhere?file:///s3cret", "x", "/elsewhere answers 302 Found; it leads in a circle or to no http"),
        ("http://bob:s3cret@127.0.0.1:18999/loads.csv", "x", "18999: its URL or a header is not as HTTP asks"),
        ("http://bob:s3cret@127.0.0.1/loads.csv", "x", "Nothing can be fetched from http://127.0.0.1"),
        ("http://bob:s3cret@127.0.0.1:80a/loads.csv", "x", "Nothing can be fetched from the URL"),
        ("http://bob:s3/cret@127.0.0.1/loads.csv?s3cret", "x", "Nothing can be fetched from the URL"),
        ("http://[::1/?s3cret", "x", "Nothing can be fetched from the URL"),
        ("ftp://bob:s3cret@[::1/", "x", "'the URL' is no path"),
    ],
)
@pytest.mark.parametrize("use", [ids, lambda profile: profile.modified_at("loads")], ids=["read", "modified"])
def test_no_secret_of_a_url_or_header_is_told(
    server: str,
    profile_at: Callable[..., FilesProfile],
    url: str,
    token: str,
    sentence: str,
    use: Callable[[FilesProfile], object],
) -> None:
    profile = profile_at(url.format(server=server), '    http_headers: {X-Key: "{token}"}\n', token=token)
    with pytest.raises(UserError, match=sentence) as error:
        use(profile)
    shown = "".join(traceback.format_exception(error.value))  # as Dagster's log shows it, causes and all
    assert "s3cret" not in shown
    assert "\n" not in str(error.value)


def test_a_header_may_end_in_a_line_break(server: str, profile_at: Callable[..., FilesProfile]) -> None:
    source = '    rows: result.rows\n    http_headers: {Authorization: "Bearer {token}"}\n'
    assert ids(profile_at(server + "/api/loads", source, token="s3cret\n")) == ["1", "2"]


def test_headers_go_with_a_redirect_within_the_server_alone(
    server: str, profile_at: Callable[..., FilesProfile]
) -> None:
    source = '    rows: result.rows\n    http_headers: {Authorization: "Bearer {token}"}\n'
    assert ids(profile_at(f"{server}/elsewhere?/api/loads", source, token="s3cret")) == ["1", "2"]
    with serving() as other, pytest.raises(UserError, match="answers 401 Unauthorized"):
        ids(profile_at(f"{server}/elsewhere?{other}/api/loads", source, token="s3cret"))


def test_modification_times(server: str, profile_at: Callable[..., FilesProfile], tmp_path: Path) -> None:
    assert profile_at(f"{server}/loads.csv").modified_at("loads") == datetime(2024, 3, 5, 10, tzinfo=UTC)
    assert datetime.now(UTC) - profile_at(f"{server}/odd").modified_at("loads") < timedelta(seconds=5)
    # Regression: a server that gives the file but tells nothing of it (a signed URL, say) stopped every tick.
    for code in (403, 405, 501):
        found = profile_at(f"{server}/get-only/{code}").modified_at("loads")
        assert datetime.now(UTC) - found < timedelta(seconds=5)
    with pytest.raises(UserError, match="answers 404"):
        profile_at(f"{server}/gone.csv").modified_at("loads")
    with pytest.raises(UserError, match="There is no file"):
        profile_at(str(tmp_path / "gone.csv")).modified_at("loads")


# Regression: an export moved into place with the time of its writing, as by mv, cp -p and rsync, waited under the
# schedules until it was written again.
def test_a_file_has_changed_when_it_came_to_its_place(profile_at: Callable[..., FilesProfile], tmp_path: Path) -> None:
    began = datetime.now(UTC) - timedelta(seconds=1)
    (tmp_path / "export").mkdir()
    for name in ("a.csv", "b.csv"):
        (tmp_path / "export" / name).write_text("id\n1\n")
        os.utime(tmp_path / "export" / name, (0, 0))
    assert profile_at(str(tmp_path / "export" / "a.csv")).modified_at("loads") > began
    every = profile_at(str(tmp_path / "export" / "*.csv"))
    before = every.modified_at("loads")
    time.sleep(0.02)  # the kernel's clock of files is as coarse as its ticks
    (tmp_path / "export" / "b.csv").unlink()
    assert every.modified_at("loads") > before
