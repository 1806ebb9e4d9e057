"""What the extraction of one table works with, and the figures it must keep. No order of steps belongs here."""

from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass

import psycopg
from psycopg import sql

from warehouse_assets.database.databases import Databases
from warehouse_assets.errors import UserError
from warehouse_assets.extract import names
from warehouse_assets.extract.days import Calendar
from warehouse_assets.extract.record import TableLoad
from warehouse_assets.extract.source import Session, Snapshot
from warehouse_assets.extract.state import next_batch
from warehouse_assets.source.contract import Contract, Table
from warehouse_assets.source.profiles import Profile

OnTable = Callable[[str, int], None]
"""Called with a table's name and the rows copied so far."""


@dataclass
class Job:
    """The extraction of one table: both connections are inside their transactions.

    A full refresh reads every row again, allows an empty source, and makes tables anew that no longer fit the
    contract.
    """

    contract: Contract
    table: Table
    profile: Profile
    snapshot: Snapshot
    session: Session
    warehouse: psycopg.Connection
    databases: Databases
    calendar: Calendar
    full_refresh: bool
    load: TableLoad
    contract_hash: str
    select_hash: str | None = None
    has_cursor: bool = False
    counter: Executor | None = None
    source_count: "Future[int | None] | None" = None
    on_table: OnTable | None = None

    def on_rows(self, rows: int, _bytes: int) -> None:
        """Pass the progress of a copy on."""
        if self.on_table is not None:
            self.on_table(self.table.name, rows)

    def batch(self) -> int:
        """The number of this batch, taken when it is first needed."""
        if self.load.batch_id is None:
            self.load.batch_id = next_batch(self.warehouse)
        return self.load.batch_id

    def start_counting(self) -> None:
        """Let the source count the table's rows beside the work."""
        if self.counter is not None:
            self.source_count = self.counter.submit(self.snapshot.count, self.table)

    def counted(self) -> int | None:
        """The source's rows, if they were counted."""
        return None if self.source_count is None else self.source_count.result()


def set_watermark(job: Job, highest: str | None) -> None:
    """Set the watermark to the highest cursor read, at most the source's own now.

    A row dated ahead must not hide those written until then.
    """
    load = job.load
    if highest is None or job.table.cursor is None or not job.has_cursor:
        load.watermark_to = load.highest_cursor = None
        return
    load.watermark_to = load.highest_cursor = highest
    cursor = job.table.column(job.table.cursor)
    if cursor.data_type in ("timestamptz", "date"):
        row = job.warehouse.execute(
            sql.SQL("select least({0}::{2}, ({1}::timestamptz)::{2})::text").format(
                sql.Literal(highest), sql.Literal(job.snapshot.now), names.type_of(cursor)
            )
        ).fetchone()
        assert row is not None  # noqa: S101  a select without from has one row
        load.watermark_to = str(row[0])


def expect_identity(table: Table, source_rows: int, held_rows: int) -> None:
    """See that every source row is in raw or in quarantine.

    Raises:
        UserError: one is missing or doubled.
    """
    if source_rows != held_rows:
        raise UserError(
            f"Table {table.name} does not add up: {source_rows} rows in the source, {held_rows} in raw and quarantine "
            "together; nothing of it was changed. Run again, and report it if it happens again."
        )


def allow_empty(job: Job, rows_before: int) -> None:
    """Refuse an empty source where raw has rows that would all be marked deleted, unless that was asked for.

    Raises:
        UserError: names the table and the remedy.
    """
    if rows_before and job.table.delete_policy == "reconcile" and not job.full_refresh:
        raise UserError(
            f"The source has no row of table {job.table.name}, raw.{job.table.name} holds {rows_before}; nothing was "
            "deleted. See whether the source is the right one and filled; if the rows are really gone, run with "
            "--full-refresh."
        )
