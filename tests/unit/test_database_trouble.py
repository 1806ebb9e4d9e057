"""Which errors mean that PostgreSQL has gone or its disk is full, whatever library tells of it."""

import psycopg
import psycopg2
import pytest
import sqlalchemy

from warehouse_assets.database.trouble import DISK_FULL, STOPPED, names_full_disk, trouble


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


# Regression: initdb on a full disk said nothing of the disk.
@pytest.mark.parametrize(
    "said",
    [
        'could not extend file "base/1/2691": wrote only 4096 of 8192 bytes at block 10',
        "could not write to file: No space left on device",
    ],
)
def test_a_full_disk_is_known_by_what_postgresql_says_of_it(said: str) -> None:
    assert names_full_disk(said)
    assert not names_full_disk("could not extend file: Permission denied")
