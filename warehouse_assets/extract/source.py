"""The source side of extraction: one snapshot of what a profile gives, and rows streamed out of it.

PostgreSQL sources are read in one exported snapshot, so all tables of a system show the same instant. What a profile
is and how its columns are cast belongs to ``source.profiles``; merging and control tables do not belong here.
"""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import psycopg
from psycopg import sql

from warehouse_assets.database.connections import connect_to_source
from warehouse_assets.database.copy import CopyCount, copy_arrow, copy_between
from warehouse_assets.database.errors import explain_error, message_of
from warehouse_assets.errors import UserError
from warehouse_assets.extract import names
from warehouse_assets.source.contract import Table
from warehouse_assets.source.profiles import FilesProfile, PostgresProfile, Profile, Reject
from warehouse_assets.source.profiles.mapping import (
    REFUSALS,
    MappedTable,
    SourceColumn,
    describe,
    map_table,
    stands_for_itself,
)

OnRows = Callable[[int, int], None]

#: How far before the watermark an incremental read begins. A row gets its time when its transaction begins and shows
#: when that commits: one that was open for longer than this may hide its rows until the keys are next compared.
OVERLAP = timedelta(hours=1)
#: The same for a cursor that counts instead of telling the time.
OVERLAP_COUNT = 10_000

_INTEGERS = ("smallint", "integer", "bigint")
_NUMBERS = (*_INTEGERS, "numeric", "real", "double precision")
#: Types a table that is read as it stands may have for each contract type: no value changes its meaning among them.
#: Anything else is a change of the source that a SELECT of a profile has to settle.
_ACCEPTED: Mapping[str, tuple[str, ...]] = {
    "integer": _INTEGERS,
    "bigint": _INTEGERS,
    "numeric": (*_NUMBERS, "money"),
    "double precision": _NUMBERS,
    "boolean": ("boolean",),
    "date": ("date",),
    "timestamptz": ("timestamp with time zone", "timestamp without time zone", "date"),
    "jsonb": ("json", "jsonb"),
}


class Session(Protocol):
    """One reader of the snapshot; belongs to one thread at a time."""

    def check(self, table: Table) -> bool:
        """Tell whether rows can be read by their cursor; raise a UserError if the source cannot fill the table."""

    def fingerprint(self, table: Table) -> str:
        """Another one when what is asked of the source is another."""

    def has_rows(self, table: Table) -> bool:
        """Tell whether the source has any row of the table."""

    def copy_rows(
        self, table: Table, target: psycopg.Connection, into: sql.Composable, since: str | None, on_rows: OnRows | None
    ) -> CopyCount:
        """Stream the rows from the cursor value ``since`` on (all rows if None) into a table on ``target``."""

    def copy_keys(self, table: Table, target: psycopg.Connection, into: sql.Composable) -> CopyCount:
        """Stream the ``identity`` of all rows into a table on ``target``."""

    def rejects(self, table: Table) -> list[Reject]:
        """Rows that the last ``copy_rows`` could not carry, since they are no rows of the contract's types."""


class Snapshot(Protocol):
    """The source at one instant; ``now`` is what its own clock shows.

    ``read_at`` tells of files when they were opened, by the clock of their times of modification; None: as rows arrive.
    """

    now: datetime
    read_at: datetime | None

    def session(self) -> AbstractContextManager[Session]:
        """Open a reader of this snapshot."""

    def estimated_rows(self, table: Table) -> float:
        """A guess at the table's rows, to start the largest first."""

    def count(self, table: Table) -> int | None:
        """Count the rows, beside the readers; None where counting is as dear as reading."""


class PostgresSession:
    """A connection inside the snapshot."""

    def __init__(self, connection: psycopg.Connection, profile: PostgresProfile):
        self._connection = connection
        self._profile = profile
        self._mapped: dict[str, MappedTable] = {}

    def check(self, table: Table) -> bool:
        """Compare the columns of the profile's SELECT with the contract, reading no row.

        Raises:
            UserError: the SELECT fails, or a contracted column is missing or of a type that does not fit.
        """
        return self._map(table).has_cursor

    def fingerprint(self, table: Table) -> str:
        """As ``MappedTable.fingerprint``."""
        return self._map(table).fingerprint

    def _map(self, table: Table) -> MappedTable:
        if table.name not in self._mapped:
            described = describe(self._connection, self._profile, table.name)
            if stands_for_itself(self._profile, table.name):
                _expect_contract(self._connection.info.dbname, table, described)
            self._mapped[table.name] = map_table(self._profile, table, described)
        return self._mapped[table.name]

    def has_rows(self, table: Table) -> bool:
        """Tell whether the profile's SELECT gives a row."""
        row = self._connection.execute(
            sql.SQL("select exists (select from ({}) as source)").format(self._map(table).query)
        ).fetchone()
        return bool(row and row[0])

    def copy_rows(
        self, table: Table, target: psycopg.Connection, into: sql.Composable, since: str | None, on_rows: OnRows | None
    ) -> CopyCount:
        """Stream rows; with ``since``, also those whose cursor or key is null, which no later read would find.

        Raises:
            UserError: a value is none of its contracted type, and names the column; or the source fails.
        """
        select: sql.Composable = self._map(table).query
        if since is not None and table.cursor is not None:
            cursor = table.column(table.cursor)
            start = sql.SQL("{}::{}").format(sql.Literal(since), names.type_of(cursor))
            if step := _overlap(cursor.data_type):
                start = sql.SQL("{} - {}").format(start, step)
            conditions = [sql.SQL("source.{} >= {}").format(sql.Identifier(cursor.name), start)]
            conditions += [
                sql.SQL("source.{} is null").format(sql.Identifier(name)) for name in (cursor.name, *table.primary_key)
            ]
            select = sql.SQL("select * from ({}) as source where {}").format(select, sql.SQL(" or ").join(conditions))
        try:
            with self._connection.transaction():  # a savepoint, from which the column can be asked for
                return copy_between(self._connection, select, target, into, table.column_names, on_rows)
        except UserError as error:
            if isinstance(error.__cause__, psycopg.DataError):
                self._refuse_column(table)
            raise

    def _refuse_column(self, table: Table) -> None:
        """Name the first column with a value that is none of its type; nothing where no column is to blame."""
        if self._refusal(table, sql.SQL("*")):
            return
        for column in table.columns:
            if said := self._refusal(table, sql.Identifier(column.name)):
                raise UserError(
                    f"{self._profile.where(table.name)} gives {table.name}.{column.name} a value that does not become "
                    f"{column.data_type} ({said}); convert it in a SELECT, or correct it in the source."
                )

    def _refusal(self, table: Table, counted: sql.Composable) -> str | None:
        """What the source says against a value when it counts a column alone, or rows; None where it counts them."""
        statement = sql.SQL("select count({}) from ({}) as source").format(counted, self._map(table).query)
        try:
            with self._connection.transaction():
                self._connection.execute(statement)
        except psycopg.DataError as error:
            return message_of(error)
        return None

    def copy_keys(self, table: Table, target: psycopg.Connection, into: sql.Composable) -> CopyCount:
        """Stream the keys and cursors, cast to their contract types."""
        select = sql.SQL("select {} from ({}) as source").format(names.columns(table.identity), self._map(table).query)
        return copy_between(self._connection, select, target, into, table.identity)

    def rejects(self, table: Table) -> list[Reject]:
        """None: a database has no rows that are no rows."""
        return []


def _expect_contract(database: str, table: Table, described: Mapping[str, SourceColumn]) -> None:
    """See that a table read as it stands has every contracted column, of the contract's type or one like it."""
    remedy = f"or write a SELECT for {table.name} in a profile of your own (docs/how-to/bring-your-own-data.md)"
    for column in table.columns:
        source = described.get(column.name)
        if source is None:
            raise UserError(
                f"Table {table.name} of the source database {database!r} lacks column {column.name!r}, which the "
                f"contract requires: add it there, {remedy}. Nothing of the table was loaded."
            )
        accepted = _ACCEPTED.get(column.data_type.partition("(")[0])
        if accepted is not None and source.type_name not in accepted:
            raise UserError(
                f"Column {column.name!r} of table {table.name} of the source database {database!r} has type "
                f"{source.type_name}, the contract wants {column.data_type}: change it back there, {remedy}. "
                "Nothing of the table was loaded."
            )


def _overlap(data_type: str) -> sql.Composable | None:
    if data_type == "timestamptz":
        return sql.Literal(OVERLAP)
    if data_type == "date":
        return sql.SQL("1")
    if data_type in ("integer", "bigint"):
        return sql.Literal(OVERLAP_COUNT)
    return None


class PostgresSnapshot:
    """A PostgreSQL source as it is at one instant, for any number of readers."""

    read_at: datetime | None = None

    def __init__(self, url: str, profile: PostgresProfile, keeper: psycopg.Connection):
        self._url = url
        self._profile = profile
        self._keeper = keeper
        self._lock = threading.Lock()
        self.now: datetime = source_now(keeper)
        row = keeper.execute("select pg_export_snapshot()").fetchone()
        assert row is not None  # noqa: S101  a select without from has one row
        self._snapshot: str = row[0]

    @contextmanager
    def session(self) -> Iterator[PostgresSession]:
        """Open a connection and put it into the snapshot."""
        with _reader(self._url) as connection:
            connection.execute(sql.SQL("set transaction snapshot {}").format(sql.Literal(self._snapshot)))
            yield PostgresSession(connection, self._profile)

    def estimated_rows(self, table: Table) -> float:
        """The planner's guess; 0 for a table that cannot be read, which its reader will explain."""
        with self._lock:
            try:
                with self._keeper.transaction():
                    select = self._profile.select_sql(table.name)
                    row = self._keeper.execute(sql.SQL("explain (format json) {}").format(select)).fetchone()
            except (*REFUSALS, psycopg.errors.LockNotAvailable, psycopg.errors.QueryCanceled):
                return 0.0
        return float(row[0][0]["Plan"]["Plan Rows"]) if row else 0.0

    def count(self, table: Table) -> int:
        """Count the rows of the profile's SELECT on the connection that keeps the snapshot."""
        # in a savepoint: a count that fails must not end the transaction that keeps the snapshot
        with self._lock, explain_error(f"counting {table.name} in the source"), self._keeper.transaction():
            # one core, since the others are busy with the rows themselves
            self._keeper.execute("set local max_parallel_workers_per_gather = 0")
            select = self._profile.select_sql(table.name)
            row = self._keeper.execute(sql.SQL("select count(*) from ({}) as source").format(select)).fetchone()
        return int(row[0]) if row else 0


def source_now(connection: psycopg.Connection) -> datetime:
    """What the source's own clock shows: the server's, or a simulated company's, which can be moved ahead of it."""
    row = connection.execute(
        "select now(), to_regclass('simulator.state') is not null "
        "and has_table_privilege(to_regclass('simulator.state'), 'select')"
    ).fetchone()
    assert row is not None  # noqa: S101  a select without from has one row
    now: datetime = row[0]
    is_simulated = row[1]
    clock = connection.execute("select max(clock) from simulator.state").fetchone() if is_simulated else None
    return max(now, clock[0]) if clock and clock[0] else now


@contextmanager
def _reader(url: str) -> Iterator[psycopg.Connection]:
    connection = connect_to_source(url, application_name="warehouse extract (source)")
    try:
        connection.execute("set transaction isolation level repeatable read read only")
        yield connection
    finally:
        connection.close()


class FilesSession:
    """A reader of files; each reading takes them whole."""

    def __init__(self, profile: FilesProfile):
        self._profile = profile
        self._rejects: dict[str, list[Reject]] = {}

    def check(self, table: Table) -> bool:
        """Files are judged as they are read; none is read by its cursor."""
        return False

    def fingerprint(self, table: Table) -> str:
        """As ``FilesProfile.fingerprint``."""
        return self._profile.fingerprint(table.name)

    def has_rows(self, table: Table) -> bool:
        """Whether the profile's SELECT gives a row."""
        return self._profile.has_rows(table.name)

    def copy_rows(
        self, table: Table, target: psycopg.Connection, into: sql.Composable, since: str | None, on_rows: OnRows | None
    ) -> CopyCount:
        """Stream all rows; those that do not fit the contract's types are kept as ``rejects``.

        Raises:
            UserError: a file cannot be read, or a required column is missing.
        """
        types = {column.name: column.data_type for column in table.columns}
        with self._profile.read(table) as batches:
            copied = copy_arrow(batches, target, into, types, on_rows)
            self._rejects[table.name] = list(batches.rejects)
        return copied

    def copy_keys(self, table: Table, target: psycopg.Connection, into: sql.Composable) -> CopyCount:
        """Never asked for: files are read whole."""
        raise NotImplementedError

    def rejects(self, table: Table) -> list[Reject]:
        """Rows of the last reading that could not be cast or are no rows."""
        return self._rejects.get(table.name, [])


class FilesSnapshot:
    """The files of a profile, opened once for all tables."""

    def __init__(self, profile: FilesProfile):
        self._profile = profile
        self.now = datetime.now(UTC)
        self.read_at: datetime | None = self.now

    @contextmanager
    def session(self) -> Iterator[FilesSession]:
        """Open a reader."""
        yield FilesSession(self._profile)

    def estimated_rows(self, table: Table) -> float:
        """Unknown."""
        return 0.0

    def count(self, table: Table) -> int | None:
        """Not counted: reading is counting."""
        return None


@contextmanager
def open_snapshot(profile: Profile, source_url: str) -> Iterator[Snapshot]:
    """Open the source of a profile at this instant.

    Args:
        profile: the profile.
        source_url: the source database of profiles that name none themselves.

    Raises:
        UserError: the source cannot be reached or refuses the user.
    """
    if isinstance(profile, FilesProfile):
        yield FilesSnapshot(profile)
    elif isinstance(profile, PostgresProfile):
        with _reader(profile.source_url or source_url) as keeper:
            yield PostgresSnapshot(profile.source_url or source_url, profile, keeper)
    else:
        raise UserError(f"Profile {profile.name!r} is of a kind that extraction does not know.")


def reject_as_row(reject: Reject) -> tuple[str, str]:
    """The rule and the JSON text under which a refused row stands in quarantine.

    The values of a row that could be read stand under their names; what cannot be read stands under ``text``. File,
    line and reason stand beside them. NaN and infinity, which JSON lacks, are written as text.
    """
    row: dict[str, Any] = (
        {"text": reject.raw} if reject.rule == "unreadable_row" else json.loads(reject.raw, parse_constant=str)
    )
    row |= {"_reason": reject.reason, "_file": reject.file, "_line": reject.line}
    return reject.rule, json.dumps(row)
