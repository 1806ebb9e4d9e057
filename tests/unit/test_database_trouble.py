"""Which errors mean that PostgreSQL has gone or its disk is full, whatever library tells of it."""

import psycopg
import psycopg2
import pytest
import sqlalchemy

from warehouse_assets.database.trouble import DISK_FULL, STOPPED, trouble


def chained(cause: BaseException) -> BaseException:
    """An error that another one led to, as frameworks wrap them."""
    try:
        try:
            raise cause
        except BaseException as error:
            raise RuntimeError("too many retries for DB connection") from error
    except RuntimeError as error:
        return error


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (psycopg.OperationalError("server closed the connection unexpectedly"), STOPPED),
        (psycopg.errors.AdminShutdown("terminating connection due to administrator command"), STOPPED),
        (psycopg2.OperationalError("connection refused"), STOPPED),
        (sqlalchemy.exc.OperationalError("select 1", {}, psycopg2.OperationalError("connection refused")), STOPPED),
        (psycopg.errors.DiskFull("could not extend file"), DISK_FULL),
        (psycopg.errors.UndefinedTable("relation does not exist"), None),
        (psycopg.errors.DeadlockDetected("deadlock detected"), None),
        (ValueError("connection refused"), None),
    ],
)
def test_what_is_told(error: BaseException, sentence: str | None) -> None:
    assert trouble(error) == sentence
    assert trouble(chained(error)) == sentence
