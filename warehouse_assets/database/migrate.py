"""Brings the warehouse database's own tables up to date. The tables themselves are described in ``migrations``."""

import re
import threading
from pathlib import Path

import psycopg
from psycopg import sql

from warehouse_assets.database.connections import connect
from warehouse_assets.errors import UserError

MIGRATIONS = Path(__file__).with_name("migrations")
_LOCK = "warehouse_assets.migrate"
_ONE_THREAD = threading.Lock()  # Alembic keeps its context in module globals


def head() -> str:
    """Return the number of the newest migration, such as "0003"."""
    names = (path.name for path in (MIGRATIONS / "versions").glob("*.py"))
    return max(match[1] for name in names if (match := re.match(r"(\d{4})_", name)))


def current(connection: psycopg.Connection) -> str | None:
    """Return the number of the last migration applied, or None for a database that has none."""
    row = connection.execute("select to_regclass('etl.alembic_version') is not null").fetchone()
    if row is None or not row[0]:
        return None
    row = connection.execute("select version_num from etl.alembic_version").fetchone()
    return None if row is None else str(row[0])


def migrate(url: str) -> bool:
    """Apply the migrations that the database lacks, all in one transaction; any number of callers may race.

    Needs the right to create schemas in the database, or the schemas raw, quarantine, etl and ml owned by the user.

    Returns:
        Whether anything was applied.

    Raises:
        UserError: the user's rights do not suffice, or the database is from a newer version of the product.
    """
    with connect(url, application_name="warehouse migrate") as connection:
        if not _is_behind(connection):
            return False
        connection.rollback()
        try:
            with _ONE_THREAD:
                return _upgrade(connection)
        except psycopg.errors.InsufficientPrivilege as error:
            raise UserError(_rights(connection, error)) from error


def _is_behind(connection: psycopg.Connection) -> bool:
    applied, newest = current(connection), head()
    if applied is not None and applied > newest:
        raise UserError(
            f"The warehouse database is at migration {applied}, this version of the product knows {newest}; "
            "install the newer version."
        )
    return applied != newest


def _rights(connection: psycopg.Connection, error: psycopg.Error) -> str:
    info = connection.info
    grant = sql.SQL("grant create on database {} to {}").format(sql.Identifier(info.dbname), sql.Identifier(info.user))
    return (
        f"User {info.user!r} may not make the warehouse's schemas in database {info.dbname!r} "
        f"({error.diag.message_primary}); run `{grant.as_string()}` there."
    )


def _upgrade(connection: psycopg.Connection) -> bool:
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import create_engine
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.pool import StaticPool

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    # SQLAlchemy only carries our open connection to Alembic. It rolls back once when it first meets a
    # connection, so the lock is taken inside.
    engine = create_engine("postgresql+psycopg://", creator=lambda: connection, poolclass=StaticPool)
    try:
        with engine.connect() as carrier:
            connection.execute("select pg_advisory_xact_lock(hashtextextended(%s, 0))", (_LOCK,))
            if not _is_behind(connection):
                return False
            row = connection.execute("select to_regnamespace('etl') is null").fetchone()
            if row is not None and row[0]:
                connection.execute("create schema etl")
            config.attributes["connection"] = carrier
            command.upgrade(config, "head")
            connection.commit()
            return True
    except DBAPIError as error:
        if isinstance(error.orig, psycopg.Error):
            raise error.orig from error
        raise
