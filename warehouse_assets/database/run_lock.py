"""The lock that a run holds on the warehouse while its process lives: found free, the process is gone.

It belongs to a session of the server, so it ends with the process on whatever machine or in whatever container.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager

import psycopg

from warehouse_assets.database.connections import connect

_NAME = "hashtextextended('run ' || %s, 0)"


@contextmanager
def run_lock(warehouse_url: str, run_id: str) -> Iterator[None]:
    """Hold the lock of a run; the same process may hold it twice."""
    with closing(connect(warehouse_url, application_name="warehouse run", autocommit=True)) as connection:
        connection.execute(f"select pg_advisory_lock_shared({_NAME})", (run_id,))
        yield


def is_alive(connection: psycopg.Connection, run_id: str) -> bool:
    """Whether a process holds the lock of the run; ``connection`` is in autocommit mode."""
    row = connection.execute(f"select pg_try_advisory_xact_lock({_NAME})", (run_id,)).fetchone()
    return row is not None and not row[0]
