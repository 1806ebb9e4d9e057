"""PostgreSQL's errors as sentences for the user. Refused connections are told in ``connections``."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from warehouse_assets.errors import UserError


@contextmanager
def explain_error(doing: str) -> Iterator[None]:
    """Turn those of PostgreSQL's errors that the user can put right into a UserError; others pass unchanged.

    Args:
        doing: what was going on, as in "copying into raw.customers".
    """
    try:
        yield
    except psycopg.Error as error:
        if (sentence := error_sentence(error, doing)) is None:
            raise
        raise UserError(sentence) from error


def message_of(error: psycopg.Error) -> str:
    """What PostgreSQL says, in one line and without the line of the statement that it points at."""
    return (error.diag.message_primary or str(error)).strip().split("\n")[0]


def error_sentence(error: psycopg.Error, doing: str) -> str | None:
    """Return one sentence for ``error``, or None where it is not one that the user can put right."""
    said = message_of(error)
    where = re.search(r"COPY (.+?), line (\d+)(?:, column ([^:\n]+))?", error.diag.context or "")
    place = f" at row {where[2]}" if where else ""
    if where and where[3]:
        place = f" in column {where[3].strip()}{place}"
    if isinstance(error, psycopg.errors.CharacterNotInRepertoire | psycopg.errors.UntranslatableCharacter):
        return f"A text met while {doing}{place} is no valid UTF-8 or holds a NUL byte ({said}); correct it."
    if isinstance(error, psycopg.DataError | psycopg.IntegrityError):
        detail = f": {error.diag.message_detail.rstrip('.')}" if error.diag.message_detail else ""
        return f"A value met while {doing}{place} is refused by PostgreSQL ({said}{detail}); correct it."
    if isinstance(error, psycopg.errors.ProgramLimitExceeded):
        return (
            f"A value met while {doing} is too large for PostgreSQL ({said}), such as a key of thousands of "
            "characters; shorten it."
        )
    if isinstance(error, psycopg.errors.LockNotAvailable):
        return (
            f"Another session, such as an ALTER TABLE that is not committed, holds a lock in the way of {doing} "
            f"({said}); end it and run again."
        )
    if isinstance(error, psycopg.errors.QueryCanceled):
        return (
            f"The database server stopped {doing} ({said}); if its statement_timeout is too short for that, raise it "
            "(alter role … set statement_timeout = 0), and run again."
        )
    if isinstance(error, psycopg.errors.DiskFull):
        return f"The database server's disk is full ({doing}: {said}); free some space there and run again."
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        return f"The database user lacks a right needed for {doing} ({said}); grant it and run again."
    if error.sqlstate in (None, "57P01", "57P02", "57P03") and isinstance(error, psycopg.OperationalError):
        return f"The connection to the database broke while {doing} ({said}); see that its server runs and run again."
    return None
