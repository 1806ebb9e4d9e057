"""Who may move raw. Extractions write side by side; while models are built and tested, raw stands still.

A test that compares a model with raw would fail over nothing if another run brought raw further between the two. The
server frees the locks when their process dies.
"""

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import LiteralString

import psycopg
from psycopg import sql

from warehouse_assets.telling import Tell

_RAW = "raw"


def lock_system(connection: psycopg.Connection, system: str, tell: Tell) -> None:
    """Wait for another extraction of the system to end, then hold the right to it until the connection closes."""
    _lock(
        connection, "", f"extract.system.{system}", tell, f"another run extracts {system}: waiting until it has ended"
    )


def move_raw(connection: psycopg.Connection, tell: Tell) -> None:
    """Wait for builds of models to end, then hold the right to write raw until the connection closes."""
    _lock(connection, "_shared", _RAW, tell, "another run builds models: extraction waits until it has ended")


@contextmanager
def raw_stands_still(connection: psycopg.Connection, tell: Tell) -> Iterator[None]:
    """Hold the right to build models: extractions, and a second build, wait here."""
    _lock(connection, "", _RAW, tell, "another run extracts or builds models: this one waits until it has ended")
    connection.commit()
    try:
        yield
    finally:
        with contextlib.suppress(psycopg.OperationalError):  # the server went away, and the lock with it
            connection.rollback()
            connection.execute("select pg_advisory_unlock(hashtextextended(%s, 0))", (_RAW,))
            connection.commit()


def _lock(connection: psycopg.Connection, kind: LiteralString, name: str, tell: Tell, why: str) -> None:
    """Take the session's advisory lock of this name, telling why where that means to wait."""
    found = connection.execute(f"select pg_try_advisory_lock{kind}(hashtextextended(%s, 0))", (name,)).fetchone()
    if found is None or not found[0]:
        tell(why)
        connection.execute(
            sql.SQL(
                # however long that takes: a limit on statements or locks is not meant for it
                "set local statement_timeout = 0; set local lock_timeout = 0; "
                "select pg_advisory_lock{}(hashtextextended({}, 0))"
            ).format(sql.SQL(kind), sql.Literal(name))
        )
