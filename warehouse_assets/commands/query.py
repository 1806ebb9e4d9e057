"""Answering `warehouse sql`: one query that reads, streamed."""

from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
from psycopg.errors import error_from_result
from psycopg.types.string import TextLoader

from warehouse_assets.database.connections import connect
from warehouse_assets.database.databases import resolve
from warehouse_assets.errors import UserError
from warehouse_assets.settings import Settings

_ROWS_AT_ONCE = 1_000
#: Types whose values Python prints well. All others are printed as PostgreSQL writes them: JSON as JSON, arrays in
#: braces, and Python has no infinite days, no 24:00 and no years before 1 or after 9999.
_AS_PYTHON = ("bool", "int2", "int4", "int8")


def rows_of(settings: Settings, database: str, query: str) -> Iterator[Sequence[Any]]:
    """Yield the header and the rows of ``query``, run in a read-only transaction.

    Raises:
        UserError: the query is wrong, more than one, writes, or returns nothing that could be printed.
    """
    try:
        statement = query.encode()
    except UnicodeEncodeError as error:
        raise UserError("The query holds a byte that is not UTF-8; write it in a UTF-8 terminal or file.") from error
    url = getattr(resolve(settings), database)
    with connect(url, application_name="warehouse sql") as connection:
        connection.execute("set default_transaction_read_only = on")
        connection.commit()
        connection.read_only = True
        try:
            # A stream tells no columns before its first row. PostgreSQL prepares no more than one statement.
            prepared = connection.pgconn.prepare(b"", statement)
            if prepared.status == psycopg.pq.ExecStatus.FATAL_ERROR:
                raise error_from_result(prepared)
            described = connection.pgconn.describe_prepared(b"")
            if not described.nfields:
                raise UserError("The statement returns no rows; `warehouse sql` answers queries only.")
            types = connection.adapters.types
            for oid in {described.ftype(place) for place in range(described.nfields)}:
                if oid not in {types[name].oid for name in _AS_PYTHON}:
                    connection.adapters.register_loader(oid, TextLoader)
            yield [(described.fname(place) or b"").decode() for place in range(described.nfields)]
            with connection.cursor() as cursor:
                yield from cursor.stream(statement, size=_ROWS_AT_ONCE)
        except psycopg.Error as error:
            raise UserError(f"PostgreSQL refuses the query: {' '.join(str(error).split())}") from error
