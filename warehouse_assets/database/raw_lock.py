"""Who may move raw. Extractions write side by side; while models are built and tested, raw stands still.

A test that compares a model with raw would fail over nothing if another run brought raw further between the two. The
server frees the locks when their process dies.
"""

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

_RAW = 7_305_001


def move_raw(connection: psycopg.Connection) -> None:
    """Wait for builds of models to end, then hold the right to write raw until the connection closes."""
    connection.execute("select pg_advisory_lock_shared(%s)", (_RAW,))


@contextmanager
def raw_stands_still(connection: psycopg.Connection) -> Iterator[None]:
    """Hold the right to build models: extractions, and a second build, wait here."""
    connection.execute("select pg_advisory_lock(%s)", (_RAW,))
    connection.commit()
    try:
        yield
    finally:
        with contextlib.suppress(psycopg.OperationalError):  # the server went away, and the lock with it
            connection.rollback()
            connection.execute("select pg_advisory_unlock(%s)", (_RAW,))
            connection.commit()
