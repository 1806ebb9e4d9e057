"""The embedded server's life: made, raced for, killed, found again. Every test has a home of its own."""

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import psycopg
import pytest
from server_life import START, assert_row_kept, ended, postmaster, write_row

from warehouse_assets.database import embedded, place
from warehouse_assets.database.connections import connect
from warehouse_assets.database.embedded import DATABASES, EmbeddedServer
from warehouse_assets.errors import UserError

is_root = os.geteuid() == 0


@pytest.fixture
def home(make_home: Callable[[str], Path]) -> Path:
    return make_home("life")


@pytest.fixture(scope="module")
def shared_home() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix=f"warehouse-test-{os.getpid()}-shared-"))
    path.chmod(0o755)
    yield path
    EmbeddedServer(path).destroy()
    shutil.rmtree(path)


@pytest.fixture
def running(shared_home: Path) -> EmbeddedServer:
    """A running server that tests may stop and kill, but leave able to start."""
    server = EmbeddedServer(shared_home)
    server.start()
    return server


def test_start_and_stop_twice_each(running: EmbeddedServer) -> None:
    first, url = postmaster(running), running.url("warehouse")
    write_row(running)
    running.start()
    assert postmaster(running) == first
    running.stop()
    running.stop()
    assert not running.is_running()
    assert ended(first, within=0.1)
    running.start()
    assert running.url("warehouse") == url
    assert_row_kept(running)


def test_stop_is_clean_with_a_client_in_mid_statement(running: EmbeddedServer) -> None:
    write_row(running)
    (log := next((running.home / "log" / "postgres").glob("postgresql-*.log"))).write_text("")
    client = psycopg.connect(running.url("warehouse"))
    client.pgconn.send_query(b"select pg_sleep(60)")
    time.sleep(0.2)
    running.stop()
    client.close()
    running.start()
    assert "ready to accept connections" in log.read_text()
    assert "automatic recovery in progress" not in log.read_text()
    assert_row_kept(running)


def test_databases_and_settings(running: EmbeddedServer) -> None:
    with connect(running.url("warehouse"), application_name="test") as connection:
        rows = connection.execute(
            "select datname, pg_encoding_to_char(encoding), datlocprovider, datlocale from pg_database"
        ).fetchall()
        assert {row for row in rows if row[0] in DATABASES} == {(name, "UTF8", "b", "C.UTF-8") for name in DATABASES}
        names = ["fsync", "synchronous_commit", "full_page_writes", "wal_level", "jit", "TimeZone", "max_connections"]
        shown = [connection.execute(f"show {name}".encode()).fetchone() for name in names]
        assert [row[0] for row in shown if row] == ["on", "on", "on", "minimal", "off", "UTC", "100"]


def test_listens_on_this_machine_only_and_always_asks_for_the_password(running: EmbeddedServer) -> None:
    listening = {(item.laddr.ip, item.laddr.port) for item in postmaster(running).net_connections() if not item.raddr}
    assert listening == {("127.0.0.1", int((running.home / "postgres" / "port").read_text()))}
    without = running.url("warehouse").replace(":" + (running.home / "postgres" / "password").read_text(), "")
    with pytest.raises(UserError, match="wrong or missing password"):
        connect(without, application_name="test")


def test_password_and_data_are_closed_to_others(running: EmbeddedServer) -> None:
    base = running.home / "postgres"
    assert (base / "password").stat().st_mode & 0o777 == 0o600
    assert (base / "password").stat().st_uid == os.geteuid()
    assert (base / "data").stat().st_mode & 0o777 == 0o700
    assert not any("password" in path.name for path in base.iterdir() if path.name != "password")


def test_survives_kill_9_of_the_postmaster_with_a_busy_backend(running: EmbeddedServer) -> None:
    write_row(running)
    client = psycopg.connect(running.url("warehouse"))
    backend = psutil.Process(client.info.backend_pid)
    # A backend that computes does not notice by itself that its postmaster is gone.
    client.pgconn.send_query(b"select count(*) from generate_series(1, 100000000000)")
    time.sleep(0.3)
    killed = postmaster(running)
    killed.kill()
    assert ended(killed)
    assert not running.is_running()
    assert not ended(backend, within=0.1)
    running.start()
    assert ended(backend, within=0.1)
    assert_row_kept(running)
    client.close()


def test_survives_kill_9_of_a_backend(running: EmbeddedServer) -> None:
    write_row(running)
    with psycopg.connect(running.url("warehouse")) as client:
        psutil.Process(client.info.backend_pid).kill()
        assert_row_kept(running)  # waits for the server to recover
    assert running.is_running()


def test_survives_the_parent_and_ctrl_c(home: Path) -> None:
    # A shell's background jobs, this test run perhaps, ignore Ctrl-C and hand that down.
    heed = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    code = heed + START + "; import time; print('up', flush=True); time.sleep(60)"
    parent = subprocess.Popen([sys.executable, "-c", code, str(home)], stdout=subprocess.PIPE, start_new_session=True)
    assert parent.stdout is not None
    assert parent.stdout.readline() == b"up\n"
    server = EmbeddedServer(home)
    assert os.getsid(postmaster(server).pid) != os.getsid(parent.pid)
    os.killpg(parent.pid, signal.SIGINT)
    parent.wait(10)
    parent.stdout.close()
    time.sleep(0.2)
    assert server.is_running()
    write_row(server)


@pytest.mark.parametrize("attempt", range(4))
def test_a_start_killed_at_any_instant_heals(home: Path, attempt: int) -> None:
    child = subprocess.Popen([sys.executable, "-c", START, str(home)])
    time.sleep(random.Random(attempt).uniform(0.15, 1.2))  # noqa: S311  spreads the kills, repeatably
    child.kill()
    child.wait()
    server = EmbeddedServer(home)
    server.start()
    write_row(server)
    with connect(server.url("postgres"), application_name="test") as connection:
        names = {name for (name,) in connection.execute("select datname from pg_database")}
    assert names >= set(DATABASES)


def test_processes_that_start_at_once(home: Path) -> None:
    children = [subprocess.Popen([sys.executable, "-c", START, str(home)]) for _ in range(3)]
    assert [child.wait(60) for child in children] == [0, 0, 0]
    write_row(EmbeddedServer(home))


def test_threads_that_start_and_stop_at_once(home: Path) -> None:
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda turn: getattr(EmbeddedServer(home), ("start", "stop")[turn % 2])(), range(12)))
    server = EmbeddedServer(home)
    server.start()
    write_row(server)


def test_stale_pid_file_that_names_another_living_process(running: EmbeddedServer) -> None:
    # Regression: PostgreSQL itself refuses to start when the process id in the file was given to another program
    # of the same account, as happens when a container starts again.
    write_row(running)
    pid_file = place.data_link(running.home) / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    owner = (running.home / "postgres" / "data").stat()
    killed = postmaster(running)
    killed.kill()
    assert ended(killed)
    other = subprocess.Popen(["sleep", "60"], **({"user": owner.st_uid} if is_root else {}))
    try:
        pid_file.write_text("\n".join([str(other.pid), *lines[1:]]) + "\n")
        assert not running.is_running()
        running.start()
        assert_row_kept(running)
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_taken_port_is_left_for_a_new_one(running: EmbeddedServer) -> None:
    write_row(running)
    port = int((running.home / "postgres" / "port").read_text())
    running.stop()
    with socket.socket() as taker:
        taker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taker.bind(("127.0.0.1", port))
        taker.listen()
        running.start()
        assert int((running.home / "postgres" / "port").read_text()) != port
        assert_row_kept(running)


def test_taken_port_that_is_pinned_is_one_sentence(home: Path) -> None:
    with socket.socket() as taker:
        taker.bind(("127.0.0.1", 0))
        port = taker.getsockname()[1]
        with pytest.raises(UserError, match=f"Port {port} of WAREHOUSE_PORT is in use by another program; stop"):
            EmbeddedServer(home, port=port).start()
    server = EmbeddedServer(home, port=port)
    server.start()
    assert f":{port}/" in server.url("warehouse")


def test_two_homes_never_meet(running: EmbeddedServer, make_home: Callable[[str], Path]) -> None:
    other = EmbeddedServer(make_home("other"))
    other.start()
    write_row(other)
    write_row(running)
    other.destroy()
    assert_row_kept(running)


def test_destroy_leaves_nothing(home: Path) -> None:
    running = EmbeddedServer(home)
    running.start()
    process = postmaster(running)
    running.destroy()
    assert ended(process, within=0.1)
    assert [path for path in running.home.rglob("*") if path.name != "log"] == []
    assert not place.outside_store(running.home).exists()
    with pytest.raises(UserError, match="no embedded server under"):
        running.url("warehouse")


def test_threads_that_destroy_at_once(home: Path) -> None:
    for _ in range(3):
        EmbeddedServer(home).start()
        with ThreadPoolExecutor(6) as pool:
            for future in [pool.submit(EmbeddedServer(home).destroy) for _ in range(12)]:
                future.result(120)
        assert not list(home.glob("postgres*"))


def test_threads_that_destroy_and_start_at_once(home: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        acts = [EmbeddedServer(home).start, EmbeddedServer(home).destroy]
        for future in [pool.submit(act) for _ in range(4) for act in acts]:
            future.result(120)
    EmbeddedServer(home).start()
    assert EmbeddedServer(home).is_running()


def test_other_version_of_the_data_is_one_sentence(running: EmbeddedServer) -> None:
    running.stop()
    with pytest.raises(UserError, match="is of PostgreSQL 18, this product brings 16"):
        EmbeddedServer(running.home, major=16).start()


def test_lock_held_by_a_hung_command_is_one_sentence(running: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "_LOCK_WAIT_SECONDS", 0.2)
    with running._locked(), pytest.raises(UserError, match="Another command has been starting or stopping"):
        EmbeddedServer(running.home).start()


@pytest.mark.parametrize("name", ["a file", 'quo"ted', "money$", "/proc/home"])
def test_unusable_homes_are_one_sentence(home: Path, name: str) -> None:
    (home / "a file").write_text("")
    with pytest.raises(UserError, match=r"not a directory; move|holds a quote, \$|/proc/home.* cannot be used"):
        EmbeddedServer(home / name).start()


def test_home_with_spaces_and_other_letters(home: Path) -> None:
    server = EmbeddedServer(home / "mon dépôt (été) 'x'")
    try:
        server.start()
        write_row(server)
    finally:
        server.destroy()


def test_broken_configuration_is_one_sentence(running: EmbeddedServer) -> None:
    running.stop()
    own_settings = place.data_link(running.home) / "postgresql.auto.conf"
    own_settings.write_text("shared_buffers = '9999TB'\n")
    try:
        with pytest.raises(UserError, match=r"could not be started \(.*shared_buffers.*\); see .*log") as raised:
            running.start()
        assert "\n" not in str(raised.value)
    finally:
        own_settings.write_text("")


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


@pytest.mark.skipif(not is_root, reason="needs root to mount a small disk")
def test_full_disk_is_one_sentence(home: Path) -> None:
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=30m,mode=755", "tmpfs", str(home)], check=False)
    if mounted.returncode != 0:
        pytest.skip("this machine does not let root mount a tmpfs")
    try:
        with pytest.raises(UserError, match=r"The disk that holds .* is full; free some space"):
            EmbeddedServer(home).start()
        subprocess.run(["mount", "-o", "remount,size=1g", str(home)], check=True)
        server = EmbeddedServer(home)
        server.start()
        write_row(server)
        server.stop()
        subprocess.run(["mount", "-o", "remount,size=100k", str(home)], check=False)
        fill(home / "filler")
        with pytest.raises(UserError, match=r"The disk that holds .* is full; free some space"):
            server.start()
        (home / "filler").unlink()
        server.start()
        assert_row_kept(server)
    finally:
        EmbeddedServer(home).destroy()
        subprocess.run(["umount", str(home)], check=True)
