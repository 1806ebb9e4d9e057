"""What the tests of the embedded server's life share: its process, a row to find again. Tests do not belong here."""

import time

import psutil

from warehouse_assets.database import place
from warehouse_assets.database.connections import connect
from warehouse_assets.database.embedded import EmbeddedServer

START = "import sys, pathlib; from warehouse_assets.database.embedded import EmbeddedServer as E; "
START += "E(pathlib.Path(sys.argv[1])).start()"


def postmaster(server: EmbeddedServer) -> psutil.Process:
    pid = (place.data_link(server.home) / "postmaster.pid").read_text().splitlines()[0]
    return psutil.Process(int(pid))


def ended(process: psutil.Process, within: float = 10) -> bool:
    """Tell whether the process ends; one that only waits for init to collect it has ended."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.01)
    return False


def write_row(server: EmbeddedServer) -> None:
    with connect(server.url("warehouse"), application_name="test") as connection:
        connection.execute("drop table if exists kept; create table kept (number integer)")
        connection.execute("insert into kept select generate_series(1, 1000)")


def assert_row_kept(server: EmbeddedServer) -> None:
    with connect(server.url("warehouse"), application_name="test") as connection:
        assert connection.execute("select count(*), sum(number) from kept").fetchone() == (1000, 500500)
