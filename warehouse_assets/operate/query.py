"""Answering `warehouse sql`: one read-only query, streamed."""

from collections.abc import Iterator, Sequence
from typing import Any

import psycopg

from warehouse_assets.database.connections import connect, resolve
from warehouse_assets.errors import UserError
from warehouse_assets.settings import Settings

_FETCH_ROWS = 10_000


def rows_of(settings: Settings, database: str, query: str) -> Iterator[Sequence[Any]]:
    """Yield the header and the rows of ``query``, run in a read-only transaction.

    Raises:
        UserError: the query is wrong, writes, or returns nothing that could be printed.
    """
    url = getattr(resolve(settings), database)
    with connect(url, application_name="warehouse sql") as connection:
        connection.read_only = True
        try:
            with connection.cursor() as cursor:
                cursor.execute(query.encode())
                if cursor.description is None:
                    raise UserError("The statement returns no rows; `warehouse sql` answers queries only.")
                yield [column.name for column in cursor.description]
                while rows := cursor.fetchmany(_FETCH_ROWS):
                    yield from rows
        except psycopg.Error as error:
            raise UserError(f"PostgreSQL refuses the query: {' '.join(str(error).split())}") from error
