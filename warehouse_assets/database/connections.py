"""The one way to a database: how its URL is read and a connection opened. No queries belong here."""

import re
import time
from typing import LiteralString

import psycopg
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from warehouse_assets.database.trouble import BROKEN, STARTING
from warehouse_assets.errors import UnreachableError, UserError

MINIMUM_VERSION = 15
_PATIENCE_SECONDS = 60.0
_BROKEN_SECONDS = 5.0


def redact(text: str) -> str:
    """Return ``text`` with the password of every URL or connection string in it replaced by ``***``."""
    text = re.sub(r"(\w+(?:\+\w+)?://[^:/@\s]*):[^/\s]*@", r"\1:***@", text)
    return re.sub(r"(password\s*=\s*)('(?:[^'\\]|\\.)*'|[^\s&]+)", r"\1***", text, flags=re.IGNORECASE)


def connect(url: str, *, application_name: str, autocommit: bool = False) -> psycopg.Connection:
    """Open a connection with session time zone UTC and client encoding UTF-8.

    Args:
        url: a PostgreSQL URL or connection string; its TLS and other parameters pass through.
        application_name: shown in pg_stat_activity and the server's log.
        autocommit: as in psycopg.

    Raises:
        UnreachableError: the server does not answer or has no connection left.
        UserError: it refuses the user, lacks the database or is older than PostgreSQL 15. The sentence never holds the
            password.
    """
    parameters = url_parameters(url)
    parameters.setdefault("connect_timeout", "10")
    parameters |= {"application_name": application_name, "client_encoding": "UTF8"}
    begun = time.monotonic()
    while True:
        try:
            connection = psycopg.connect(make_conninfo("", **parameters), autocommit=True)
            break
        except psycopg.OperationalError as error:
            waited, said = time.monotonic() - begun, str(error)
            is_starting = waited < _PATIENCE_SECONDS and any(phrase in said for phrase in STARTING)
            if is_starting or (waited < _BROKEN_SECONDS and BROKEN in said):
                time.sleep(0.1)
                continue
            raise _refusal(parameters, said) from None
        except psycopg.Error as error:
            raise _refusal(parameters, str(error)) from None
    if connection.info.server_version < MINIMUM_VERSION * 10000:
        version = connection.info.server_version // 10000
        connection.close()
        raise UserError(
            f"The server of {_where(parameters)} is PostgreSQL {version}; use PostgreSQL {MINIMUM_VERSION} or later."
        )
    # Locks are held, models computed, and snapshots kept between statements: a server's limits do not fit.
    connection.execute("set idle_in_transaction_session_timeout = 0; set idle_session_timeout = 0")
    if connection.info.parameter_status("TimeZone") != "UTC":
        connection.execute("set time zone 'UTC'")
    if not (connection.info.parameter_status("DateStyle") or "ISO").startswith("ISO"):
        connection.execute("set datestyle = 'ISO'")  # psycopg reads no other; whether days come before months stays
    connection.autocommit = autocommit
    return connection


def connect_to_source(
    url: str, *, application_name: str, autocommit: bool = False, patience_seconds: int = 60
) -> psycopg.Connection:
    """``connect`` for reading the user's own tables: a lock on one is not waited for longer, unless the role says less.

    An ALTER TABLE that nobody commits would otherwise hold up runs and schedules without a word.
    """
    connection = connect(url, application_name=application_name, autocommit=True)
    connection.execute(
        "select set_config('lock_timeout', %s, false) where current_setting('lock_timeout') = '0'",
        (f"{patience_seconds}s",),
    )
    connection.autocommit = autocommit
    return connection


def url_parameters(url: str) -> dict[str, str]:
    """Return what a database URL says, by libpq's names.

    Raises:
        UserError: it cannot be read.
    """
    plain = re.sub(r"^(postgres(?:ql)?)\+\w+://", r"\1://", url)  # SQLAlchemy's way of naming a driver
    unreadable = UserError(
        "The database URL cannot be read; write it as postgresql://user:password@host:5432/database, and "
        "percent-encode the password (%2F for /, %40 for @)."
    )
    try:
        parameters = {name: str(value) for name, value in conninfo_to_dict(plain).items() if value is not None}
    except psycopg.ProgrammingError:
        raise unreadable from None  # the cause would hold the URL
    # libpq takes what follows a bare / or @ of the password for the host, port or database, which sentences name.
    host, port, database = (parameters.get(name, "") for name in ("host", "port", "dbname"))
    if "@" in host[1:] or re.search(r"[^\d,]", port) or ("@" in database and f"/{database}" in plain):
        raise unreadable
    return parameters


def libpq_environment(url: str) -> dict[str, str]:
    """Return libpq's variables for what ``url`` says, so that a program finds its database without being told.

    A program's arguments, unlike its environment, can be read by every user of the machine.

    Raises:
        UserError: the URL cannot be read.
    """
    variables = {
        option.keyword.decode(): option.envvar.decode() for option in pq.Conninfo.get_defaults() if option.envvar
    }
    return {variables[name]: value for name, value in url_parameters(url).items() if name in variables}


def _where(parameters: dict[str, str]) -> str:
    host = parameters.get("host") or parameters.get("hostaddr") or "the local socket"
    return f"database {parameters.get('dbname', '(default)')!r} at {host}:{parameters.get('port', '5432')}"


def _refusal(parameters: dict[str, str], said: str) -> UserError:
    """Return what to tell of a refused connection in one sentence: what, where, remedy, no password."""
    where, user = _where(parameters), parameters.get("user", "(default)")
    if (password := parameters.get("password")) and len(password) > 2:
        said = said.replace(password, "***")
    reason = " ".join(redact(said).split())
    plain = re.sub(r'"[^"]*"', '""', said)  # a database may be called SSL
    checks: tuple[tuple[type[UserError], tuple[str, ...], LiteralString | str], ...] = (
        (UserError, ("password authentication failed", "no password supplied"),
         f"The server refuses user {user!r} for {where}: wrong or missing password; correct it in the URL."),
        (UserError, ("no pg_hba.conf entry",),
         f"The server's pg_hba.conf does not let user {user!r} into {where} from this machine; "
         "add an entry there, or correct the URL."),
        (UserError, ("does not support SSL", "SSL", "certificate"),
         f"No TLS connection to {where} could be made ({reason}); correct sslmode and certificates in the URL."),
        (UserError, ("does not exist",),  # a certificate file, too
         f"There is no such user or database ({user!r}, {where}); create it first, or correct the URL."),
        (UserError, ("resolve host", "translate host name", "Name or service not known", "getaddrinfo"),
         f"The host of {where} is not known to this machine; correct the URL."),
        (UnreachableError, ("too many clients", "too many connections", "remaining connection slots"),
         f"The server of {where} has no connection left; stop other programs, or raise its connection limit."),
        (UnreachableError,
         ("Connection refused", "timeout expired", "timed out", "No route to host", "unreachable", "No such file"),
         f"No server answers for {where}; start it, or correct the URL."),
    )  # fmt: skip
    for kind, phrases, sentence in checks:
        if any(phrase in plain for phrase in phrases):
            return kind(sentence)
    return UserError(f"Cannot connect to {where} as user {user!r} ({reason}); check the server and the URL.")
