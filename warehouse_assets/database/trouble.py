"""What a broken connection or a full disk looks like, whichever library tells of it. Errors of queries are not here."""

STOPPED = (
    "PostgreSQL stopped, or the connection to it broke, before the work was done. What was committed stays, nothing is "
    "half-written; `warehouse doctor` tells what can be reached. Start the server and run again; `warehouse run` "
    "starts an embedded one itself."
)
DISK_FULL = (
    "PostgreSQL has no room left on its disk. What was committed stays, nothing is half-written; free some space and "
    "run the command again."
)

_FULL_DISK = ("No space left on device", "Disk quota exceeded", "Check free disk space", ": wrote only ")
#: What a client meets while the server restarts after a crash.
BROKEN = "server closed the connection unexpectedly"
#: What a server says that will soon take connections.
STARTING = (
    "the database system is starting up",
    "the database system is in recovery mode",
    "the database system is not yet accepting connections",
)
_LIBRARIES = ("psycopg", "psycopg2", "sqlalchemy")


def names_full_disk(message: str) -> bool:
    """Whether a message of whatever program holds the operating system's words for a full disk, or PostgreSQL's."""
    return any(words in message for words in _FULL_DISK)


def names_gone_server(message: str) -> bool:
    """Whether a message of whatever program holds PostgreSQL's words for a server that has gone or is coming back."""
    return any(words in message for words in (BROKEN, *STARTING, "the database system is shutting down"))


def trouble(error: BaseException) -> str | None:
    """One sentence if ``error``, or what led to it, is a lost connection to PostgreSQL or its full disk; else None."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        if type(current).__module__.split(".")[0] in _LIBRARIES:
            original = getattr(current, "orig", None) or current
            state = getattr(original, "sqlstate", None) or getattr(original, "pgcode", None)
            if state == "53100":
                return DISK_FULL
            is_connection = state is not None and (state.startswith("08") or state in ("57P01", "57P02", "57P03"))
            is_silent = state is None and any(
                kind.__name__ in ("OperationalError", "InterfaceError") for kind in type(original).__mro__
            )
            if is_connection or is_silent:
                return STOPPED
        current = current.__cause__ or current.__context__
    return None
