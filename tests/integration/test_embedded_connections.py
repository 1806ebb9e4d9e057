"""Which URLs are in force, and each way a connection is refused as one sentence without the password."""

import datetime as dt
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from warehouse_assets.database import connections
from warehouse_assets.database.connections import connect
from warehouse_assets.database.databases import Databases, embedded_server, resolve
from warehouse_assets.database.embedded import EmbeddedServer
from warehouse_assets.errors import UserError
from warehouse_assets.settings import Settings
from warehouse_assets.transform.project import dbt_environment


def password_of(server: EmbeddedServer) -> str:
    return (server.home / "postgres" / "password").read_text()


def test_embedded_server_provides_what_the_user_does_not(server: EmbeddedServer, databases: Databases) -> None:
    assert databases == Databases(
        *(server.shielded_url(name) for name in ("operational", "warehouse", "dagster", "planted"))
    )
    settings = Settings(home=server.home, source_url="postgresql://me@elsewhere/mine")
    mixed = resolve(settings)
    assert (mixed.operational, mixed.warehouse) == ("postgresql://me@elsewhere/mine", server.shielded_url("warehouse"))
    assert mixed.planted is None


def test_no_server_is_made_where_the_user_brings_all_three(tmp_path: Path) -> None:
    own = Settings(tmp_path / "home", "postgresql://a/w", "postgresql://a/o", "postgresql://a/d")
    assert resolve(own) == Databases(
        "postgresql://a/o", "postgresql://a/w", "postgresql://a/d", None, is_warehouse_own=True
    )
    assert not (tmp_path / "home").exists()


def test_a_server_not_made_yet_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no embedded server under .* yet; run `warehouse start`"):
        embedded_server(Settings(home=tmp_path)).url("warehouse")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PGSSLMODE", "require"), ("PGCHANNELBINDING", "require"), ("PGGSSENCMODE", "require"),
        ("PGTARGETSESSIONATTRS", "read-only"), ("PGREQUIREAUTH", "md5"), ("PGHOSTADDR", "127.0.0.9"),
        ("PGOPTIONS", "-c search_path=nowhere -c default_transaction_read_only=on"),
    ],
)  # fmt: skip
def test_what_is_exported_for_other_servers_is_not_meant_for_this_one(
    server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with connect(server.shielded_url("warehouse"), application_name="test") as connection:
        connection.execute("create temporary table written (a integer)")
        assert connection.execute("show search_path").fetchone() == ('"$user", public',)
    for_dbt = dbt_environment(Settings(home=server.home), server.shielded_url("warehouse"))
    assert for_dbt[variable] != value


# Regression: no parameter of a URL sets these aside, and every command failed.
@pytest.mark.parametrize(("variable", "value"), [("PGSERVICE", "nowhere"), ("PGTZ", "Mars"), ("PGDATESTYLE", "Mars")])
def test_what_no_url_can_set_aside_is_dropped(
    server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with connect(resolve(Settings(home=server.home)).warehouse, application_name="test") as connection:
        assert connection.execute("select 1").fetchone() == (1,)


@pytest.mark.parametrize("port", ["80", "http", "65536", "-1"])
def test_port_that_is_none(port: str) -> None:
    with pytest.raises(UserError, match=rf"WAREHOUSE_PORT is '{port}'; use a port number"):
        Settings.from_env({"WAREHOUSE_PORT": port})


def test_passwords_do_not_show(server: EmbeddedServer, databases: Databases) -> None:
    assert password_of(server) not in repr(databases)
    assert password_of(server) not in connections.redact(f"cannot use {databases.warehouse} today")


def test_session_is_utc_and_utf8_on_a_server_that_is_not(
    postgres16: EmbeddedServer, make_database: Callable[..., str]
) -> None:
    url = make_database(postgres16)
    with psycopg.connect(url, autocommit=True) as connection:
        name = url.rsplit("/", 1)[1]
        connection.execute(f"alter database {name} set timezone = 'Asia/Tokyo'".encode())
        connection.execute(f"alter database {name} set client_encoding = 'LATIN1'".encode())
    with connect(url, application_name="a name") as connection:
        query = "select '2026-01-01 00:00Z'::timestamptz::text, current_setting('application_name'), '…'"
        assert connection.execute(query).fetchone() == ("2026-01-01 00:00:00+00", "a name", "…")
        connection.rollback()
        assert connection.execute("select now()").fetchone()[0].utcoffset() == dt.timedelta(0)  # type: ignore[index]  # a select without from has one row
        assert not connection.autocommit


# Regression: locks went with their idle session, while the run or build that held them went on.
def test_no_limit_of_the_server_ends_an_idle_session(warehouse_url: str) -> None:
    limits = "?options=-c%20idle_session_timeout%3D50%20-c%20idle_in_transaction_session_timeout%3D50"
    with connect(warehouse_url + limits, application_name="test", autocommit=True) as connection:
        time.sleep(0.3)
        with connection.transaction():
            connection.execute("select 1")
            time.sleep(0.3)
        assert connection.execute("select 1").fetchone() == (1,)


# Regression: a source whose dates are written as in Germany ended every run with a traceback.
def test_dates_written_otherwise_are_read(warehouse_url: str) -> None:
    with connect(f"{warehouse_url}?options=-c%20datestyle%3DGerman", application_name="test") as connection:
        noon = connection.execute("select timestamptz '02.03.2024 12:00Z'").fetchone()
    assert noon == (dt.datetime(2024, 3, 2, 12, tzinfo=dt.UTC),)


@pytest.mark.parametrize("prefix", ["postgresql+psycopg2", "postgresql+psycopg", "postgres", "postgresql"])
def test_urls_as_other_tools_write_them(server: EmbeddedServer, warehouse_url: str, prefix: str) -> None:
    url = warehouse_url.replace("postgresql", prefix, 1)
    with connect(url, application_name="test", autocommit=True) as connection:
        assert connection.autocommit


def refused(url: str, secret: str) -> str:
    with pytest.raises(UserError) as raised:
        connect(url, application_name="test")
    sentence = str(raised.value)
    assert secret not in sentence
    assert "\n" not in sentence
    assert raised.value.__cause__ is None  # the cause would hold the password
    return sentence


def test_wrong_password(warehouse_url: str, server: EmbeddedServer) -> None:
    url = warehouse_url.replace(password_of(server), "guess-4711")
    name = warehouse_url.rsplit("/", 1)[1]
    sentence = refused(url, "guess-4711")
    assert f"refuses user 'warehouse' for database '{name}' at 127.0.0.1:" in sentence
    assert sentence.endswith("wrong or missing password; correct it in the URL.")


def test_missing_database_and_user(server: EmbeddedServer) -> None:
    assert "There is no such user or database ('warehouse', database 'absent'" in refused(
        server.url("absent"), password_of(server)
    )
    sentence = refused(server.url("warehouse").replace("//warehouse:", "//nobody_here:"), password_of(server))
    assert "refuses user 'nobody_here'" in sentence


def test_unreachable_server_and_unknown_host() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: refuses
        port = taken.getsockname()[1]
        sentence = refused(f"postgresql://me:s3cret@127.0.0.1:{port}/mine", "s3cret")
    assert sentence == f"No server answers for database 'mine' at 127.0.0.1:{port}; start it, or correct the URL."
    assert "is not known to this machine" in refused("postgresql://me:s3cret@no-such-host.invalid/mine", "s3cret")


def test_server_that_never_answers_is_given_up() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"postgresql://me:s3cret@127.0.0.1:{silent.getsockname()[1]}/mine?connect_timeout=2"
        assert "No server answers" in refused(url, "s3cret")


def test_something_else_on_the_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_BROKEN_SECONDS", 0.5)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()

        def answer() -> None:
            for _ in range(50):
                try:
                    client, _ = other.accept()
                except OSError:
                    return
                client.close()

        threading.Thread(target=answer, daemon=True).start()
        assert "Cannot connect to database 'mine'" in refused(
            f"postgresql://me:s3cret@127.0.0.1:{other.getsockname()[1]}/mine?sslmode=disable", "s3cret"
        )
        other.shutdown(socket.SHUT_RDWR)


def test_tls_parameters_reach_the_server(server: EmbeddedServer) -> None:
    sentence = refused(server.url("warehouse") + "?sslmode=require", password_of(server))
    assert "No TLS connection to database 'warehouse'" in sentence
    assert "correct sslmode and certificates" in sentence


# Regression: a certificate file that "does not exist" was told as a missing user or database.
def test_missing_certificate_is_told_as_such(tmp_path: Path) -> None:
    with socket.socket() as willing:
        willing.bind(("127.0.0.1", 0))
        willing.listen()

        def agree_to_tls() -> None:
            client, _ = willing.accept()
            with client:
                client.recv(8)
                client.sendall(b"S")
                client.recv(1)

        threading.Thread(target=agree_to_tls, daemon=True).start()
        place = f"127.0.0.1:{willing.getsockname()[1]}"
        file = tmp_path / "root.crt"
        url = f"postgresql://me:s3cret@{place}/mine?sslmode=verify-full&sslrootcert={file}"
        sentence = refused(url, "s3cret")
    assert sentence.startswith(f"No TLS connection to database 'mine' at {place} could be made")
    assert f'"{file}" does not exist' in sentence


def test_missing_database_called_ssl_is_told_as_such(server: EmbeddedServer) -> None:
    assert "There is no such user or database" in refused(server.url("SSL"), password_of(server))


# Regression: what follows a bare / or @ of the password was shown as the host, the port or the database.
@pytest.mark.parametrize(
    "url",
    [
        "mysql://me:s3cret@host/mine",
        "postgresql://me:s3cret@host:port/mine",
        "just words",
        "postgresql://me:pa/s3cret@host:5432/mine",
        "postgresql://me:pa@s3cret@host:5432/mine",
        "postgresql://me:p?a@s3cret@host:5432/mine",
        "postgresql://me:12/s3cret@host/mine",
        "postgresql+psycopg://me:pa s3cret@host/mine",
        "postgresql://me:s3cret/mine",
        "host=there pass word=s3cret",
    ],
)
def test_text_that_is_no_url_is_not_repeated(url: str) -> None:
    assert "The database URL cannot be read; write it as postgresql://" in refused(url, "s3cret")


def test_what_is_percent_encoded_reaches_the_server(make_database: Callable[..., str], server: EmbeddedServer) -> None:
    url = make_database(server)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("create role \"me@home\" login password 'p/a@s?s'")
    try:
        host = urlsplit(url)
        own = f"postgresql://me%40home:p%2Fa%40s%3Fs@{host.hostname}:{host.port}{host.path}?application_name=a@b"
        connect(own, application_name="test").close()
    finally:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute('drop role "me@home"')


def test_server_older_than_15(postgres16: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    # No older server can be had here; the bound is raised instead.
    monkeypatch.setattr(connections, "MINIMUM_VERSION", 17)
    sentence = refused(postgres16.url("warehouse"), password_of(postgres16))
    assert sentence.endswith("is PostgreSQL 16; use PostgreSQL 17 or later.")


def test_no_connection_left(postgres16: EmbeddedServer, make_database: Callable[..., str]) -> None:
    url = make_database(postgres16)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("create role narrow login password 'narrow-4711' connection limit 0")
        port = connection.info.port
    name = url.rsplit("/", 1)[1]
    try:
        sentence = refused(f"postgresql://narrow:narrow-4711@127.0.0.1:{port}/{name}", "narrow-4711")
        assert "has no connection left" in sentence
    finally:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("drop role narrow")
