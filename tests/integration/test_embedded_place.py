"""Where the embedded server keeps its files and as whom it runs: root, an ordinary user, folders closed to others."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from server_life import START, assert_row_kept, postmaster, write_row

from warehouse_assets.database import place
from warehouse_assets.database.embedded import EmbeddedServer
from warehouse_assets.errors import UserError

is_root = os.geteuid() == 0


@pytest.fixture
def home(make_home: Callable[[str], Path]) -> Path:
    return make_home("place")


@pytest.mark.skipif(not is_root, reason="the home of an ordinary user is open to its own server")
def test_root_keeps_the_data_outside_a_home_that_the_account_cannot_enter() -> None:
    home = Path(tempfile.mkdtemp(prefix=f"warehouse-test-{os.getpid()}-closed-"))  # mode 0700, as /root
    server = EmbeddedServer(home / "warehouse")
    try:
        server.start()
        write_row(server)
        data = place.data_link(server.home)
        assert data.is_symlink()
        assert data.resolve().parent == place.outside_store(server.home)
        assert home.stat().st_mode & 0o777 == 0o700
        assert postmaster(server).uids().effective == data.stat().st_uid != 0
        server.stop()
        server.start()
        assert_row_kept(server)
        server.stop()
        data.unlink()  # a start that was killed before it made the link
        server.start()
        assert server.is_running()
        assert_row_kept(server)
        server.stop()
        (store := data.resolve()).rename(moved := store.with_name("moved"))
        with pytest.raises(UserError, match="which is gone; put it back"):
            server.start()
        moved.rename(store)
    finally:
        server.destroy()
        shutil.rmtree(home)


def test_starts_whatever_the_umask(home: Path) -> None:
    for directory in (home, home / "made"):
        command = [sys.executable, "-c", f"import os; os.umask(0o077); {START}", str(directory)]
        assert subprocess.run(command, check=False, timeout=120).returncode == 0
        write_row(EmbeddedServer(directory))
        EmbeddedServer(directory).destroy()


@pytest.mark.skipif(not is_root, reason="only root has an account to choose")
def test_root_copies_binaries_that_the_account_cannot_enter(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory() as closed:  # mode 0700
        hidden = place._copied_binaries(Path(closed), place.wheel_binaries(18), 18)
        monkeypatch.setattr(place, "wheel_binaries", lambda _: hidden)
        server = EmbeddedServer(home)
        server.start()
        write_row(server)
        assert Path(postmaster(server).cmdline()[0]).is_relative_to(place.OUTSIDE)
        server.destroy()
        assert not place.outside_store(home).exists()


AS_ORDINARY_USER = """
import os, sys
from pathlib import Path
from warehouse_assets.database import embedded, place
from warehouse_assets.database.connections import connect
from warehouse_assets.errors import UserError

home, binaries, uid, roots = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
place.wheel_binaries = lambda major: binaries
# While still root: imports all that the user might not be able to read.
connect(embedded.EmbeddedServer(roots).url("warehouse"), application_name="test").close()
os.setgroups([]); os.setgid(uid); os.setuid(uid)
server = embedded.EmbeddedServer(home / "own")
server.start()
with connect(server.url("warehouse"), application_name="test") as connection:
    assert connection.execute("select 1").fetchone() == (1,)
assert (home / "own" / "postgres" / "data").stat().st_uid == uid
server.stop()
server.start()
for other in (home / "closed", roots):
    try:
        embedded.EmbeddedServer(other).start()
    except UserError as error:
        print(error)
server.destroy()
"""


@pytest.mark.skipif(not is_root, reason="everything else here already runs as an ordinary user")
def test_as_an_ordinary_user(home: Path, server: EmbeddedServer) -> None:
    nobody = 65534
    binaries = place._copied_binaries(home, place.wheel_binaries(18), 18)
    (home / "own").mkdir()
    os.chown(home / "own", nobody, nobody)
    (home / "closed").mkdir(mode=0o755)
    arguments = [str(home), str(binaries), str(nobody), str(server.home)]
    ran = subprocess.run(
        [sys.executable, "-c", AS_ORDINARY_USER, *arguments], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    closed, others = ran.stdout.splitlines()
    assert "cannot be used by this account (Permission denied); set WAREHOUSE_HOME" in closed
    assert "cannot be used by this account" in others
