"""etl.table_state, etl.dirty_day and etl.job_log as extraction reads and writes them, in the batch's transaction."""

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal

import psycopg

Status = Literal["succeeded", "unchanged", "failed"]


@dataclass(frozen=True)
class TableState:
    """The row of a table in etl.table_state."""

    watermark: str | None
    rows_raw: int
    rows_quarantined: int
    contract_hash: str | None
    select_hash: str | None
    reconciled_at: datetime | None
    extracted_at: datetime | None
    latest_day: date | None


@dataclass
class TableLoad:
    """What one extraction of one table did.

    Rows read from the source are ``rows_inserted + rows_updated + rows_unchanged + rows_rejected``; a row let out of
    quarantine because the row it repeated has gone counts as read. ``changed_batch_id`` is the batch that last changed
    raw, this one or an earlier one. ``highest_cursor`` is the watermark, or the cursor of a row dated ahead of the
    source's now.
    """

    table: str
    system: str
    profile: str
    started_at: datetime
    run_id: str | None = None
    status: Status = "unchanged"
    batch_id: int | None = None
    changed_batch_id: int | None = None
    rows_extracted: int = 0
    rows_inserted: int = 0
    rows_updated: int = 0
    rows_unchanged: int = 0
    rows_deleted: int = 0
    rows_rejected: int = 0
    bytes: int = 0
    watermark_from: str | None = None
    watermark_to: str | None = None
    highest_cursor: str | None = None
    rows_raw: int = 0
    rows_quarantined: int = 0
    latest_day: date | None = None
    dirty_days: int = 0
    seconds: float = 0.0
    job_log_id: int | None = None
    is_reconciled: bool = False
    error: str | None = None
    warnings: list[str] = field(default_factory=list)


def read_state(connection: psycopg.Connection, table: str) -> TableState | None:
    """The state of a table; None before its first batch."""
    row = connection.execute(
        """
        select
            watermark, coalesce(rows_raw, 0), coalesce(rows_quarantined, 0), contract_hash, select_hash,
            reconciled_at, extracted_at, latest_day
        from etl.table_state
        where source_table = %s
        """,
        (table,),
    ).fetchone()
    return None if row is None else TableState(*row)


def write_state(
    connection: psycopg.Connection,
    load: TableLoad,
    contract_hash: str,
    select_hash: str | None,
    *,
    is_raw_changed: bool,
    read_at: datetime | None = None,
) -> None:
    """Move the table's state to what ``load`` left. Without a batch only the reading itself is recorded.

    Sets the load's ``changed_batch_id``.

    ``read_at`` is when the source was read, where that was before this transaction.
    """
    row = connection.execute(
        """
        insert into etl.table_state as state (
            source_table, profile, batch_id, changed_batch_id, watermark, highest_cursor, rows_raw, rows_quarantined,
            contract_hash, select_hash, extracted_at, changed_at, reconciled_at, latest_day
        )
        values (
            %(table)s, %(profile)s, coalesce(%(batch)s, 0), case when %(changed)s then %(batch)s end, %(watermark)s,
            %(highest)s, %(rows_raw)s, %(rows_quarantined)s, %(contract)s, %(select)s, coalesce(%(read_at)s, now()),
            case when %(changed)s then now() end, case when %(reconciled)s then now() end, %(latest_day)s
        )
        on conflict (source_table) do update
        set
            profile = excluded.profile,
            batch_id = greatest(excluded.batch_id, state.batch_id),
            changed_batch_id = coalesce(excluded.changed_batch_id, state.changed_batch_id),
            watermark = excluded.watermark,
            highest_cursor = excluded.highest_cursor,
            rows_raw = excluded.rows_raw,
            rows_quarantined = excluded.rows_quarantined,
            contract_hash = excluded.contract_hash,
            select_hash = excluded.select_hash,
            extracted_at = excluded.extracted_at,
            changed_at = coalesce(excluded.changed_at, state.changed_at),
            reconciled_at = coalesce(excluded.reconciled_at, state.reconciled_at),
            latest_day = excluded.latest_day
        returning changed_batch_id
        """,
        {
            "table": load.table,
            "profile": load.profile,
            "batch": load.batch_id,
            "changed": is_raw_changed,
            "watermark": load.watermark_to,
            "highest": load.highest_cursor,
            "rows_raw": load.rows_raw,
            "rows_quarantined": load.rows_quarantined,
            "contract": contract_hash,
            "select": select_hash,
            "reconciled": load.is_reconciled,
            "latest_day": load.latest_day,
            "read_at": read_at,
        },
    ).fetchone()
    load.changed_batch_id = row[0] if row else None


def days_ever(connection: psycopg.Connection, table: str) -> set[date]:
    """Every business day that a batch of the table has touched."""
    rows = connection.execute("select business_date from etl.dirty_day where source_table = %s", (table,))
    return {day for (day,) in rows}


def write_log(connection: psycopg.Connection, load: TableLoad) -> int:
    """Write the attempt to etl.job_log; return its number."""
    row = connection.execute(
        """
        insert into etl.job_log (
            run_id, batch_id, system, source_table, profile, status, started_at, finished_at, seconds,
            rows_extracted, rows_inserted, rows_updated, rows_unchanged, rows_deleted, rows_rejected,
            bytes, watermark_from, watermark_to, error
        )
        values (
            %s, %s, %s, %s, %s, %s, %s, clock_timestamp(), %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s
        )
        returning job_log_id
        """,
        (
            load.run_id, load.batch_id, load.system, load.table, load.profile, load.status, load.started_at,
            load.seconds, load.rows_extracted, load.rows_inserted, load.rows_updated, load.rows_unchanged,
            load.rows_deleted, load.rows_rejected, load.bytes, load.watermark_from, load.watermark_to, load.error,
        ),
    ).fetchone()  # fmt: skip
    assert row is not None  # noqa: S101  an insert of one row returns one
    return int(row[0])
