"""Answering `warehouse sql`: one read-only query, streamed."""

from collections.abc import Iterator, Sequence
from typing import Any

import psycopg

from warehouse_assets.database.connections import connect, resolve
from warehouse_assets.errors import UserError
from warehouse_assets.settings import Settings

_ROWS_AT_ONCE = 1_000


def rows_of(settings: Settings, database: str, query: str) -> Iterator[Sequence[Any]]:
    """Yield the header and the rows of ``query``, run in a read-only transaction.

    Of several statements the first gives the rows, which are then held in memory.

    Raises:
        UserError: the query is wrong, writes, or returns nothing that could be printed.
    """
    url = getattr(resolve(settings), database)
    with connect(url, application_name="warehouse sql") as connection:
        connection.read_only = True
        statement = query.encode()
        # A stream tells no columns before its first row, and takes one statement that returns rows.
        connection.pgconn.prepare(b"", statement)
        described = connection.pgconn.describe_prepared(b"")
        try:
            with connection.cursor() as cursor:
                if described.nfields:
                    yield [(described.fname(place) or b"").decode() for place in range(described.nfields)]
                    yield from cursor.stream(statement, size=_ROWS_AT_ONCE)
                    return
                cursor.execute(statement)
                if cursor.description is None:
                    raise UserError("The statement returns no rows; `warehouse sql` answers queries only.")
                yield [column.name for column in cursor.description]
                yield from cursor
        except psycopg.Error as error:
            raise UserError(f"PostgreSQL refuses the query: {' '.join(str(error).split())}") from error
