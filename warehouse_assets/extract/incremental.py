"""Bringing a raw table that has rows in step with the source: how much is read, and in which order it is applied.

The statements are in ``rules``, ``merge``, ``quarantine`` and ``record``. First loads belong to ``first_load``.
"""

from dataclasses import fields, replace
from datetime import UTC, date, datetime, timedelta

from psycopg import sql

from warehouse_assets.extract import first_load, merge, names, quarantine, record, rules
from warehouse_assets.extract.days import days_through
from warehouse_assets.extract.job import Job, allow_empty, expect_identity, set_watermark
from warehouse_assets.extract.record import TableLoad, TableState
from warehouse_assets.extract.state import next_batch, write_dirty_days
from warehouse_assets.source.contract import Table

#: Tables up to this many rows are read whole each time: that costs under 0.1 s and finds deletes at once.
WHOLE_ROWS = 20_000
#: The source's rows are counted each time up to this many (0.15 s for 2.5 million), and once an hour above.
COUNTED_ROWS = 3_000_000
#: Keys of larger tables are compared with the source's when the counts disagree, and after this time anyway: once a
#: day, also of tables that are read once a day, a little earlier or later.
RECONCILE_AFTER = timedelta(hours=20)


class _ReadWholeError(Exception):
    """An incremental reading cannot be right, the table has to be read whole; says why."""


def is_read_whole(job: Job, state: TableState | None) -> bool:
    """Tell whether the table is read whole for what is known before the reading."""
    if job.full_refresh or state is None or not job.has_cursor or state.watermark is None:
        return True
    if (state.contract_hash, state.select_hash) != (job.contract_hash, job.select_hash):
        return True
    if job.table.delete_policy == "keep" and is_long_ago(state.reconciled_at):
        # its source may purge, so no count tells of rows that a long transaction hid; what it still has is read
        return state.rows_raw <= COUNTED_ROWS
    return state.rows_raw + state.rows_quarantined <= WHOLE_ROWS


def load_again(job: Job, state: TableState | None) -> bool:
    """Read what has changed, or all where that cannot be told; return whether raw changed.

    Raises:
        UserError: the source is unexpectedly empty, or the figures do not agree.
    """
    if state is not None and state.select_hash not in (None, job.select_hash):
        job.load.warnings.append(_changed_select(job.table))
    before = replace(job.load)
    whole = is_read_whole(job, state) or rules.DUPLICATE_KEY in quarantine.rules_broken(job.warehouse, job.table, state)
    if not whole and state is not None:
        if state.rows_raw <= COUNTED_ROWS or _is_first_of_hour(state):
            job.start_counting()
        try:
            with job.warehouse.transaction():
                return _apply(job, state, since=state.watermark)
        except _ReadWholeError as why:
            _restore(job.load, before)
            job.load.warnings.append(f"{job.table.name} was read whole: {why}")
    with job.warehouse.transaction():
        return _apply(job, state, since=None)


def _changed_select(table: Table) -> str:
    stay = "" if table.delete_policy == "reconcile" else "; rows no longer given stay, since the source may purge"
    return (
        f"{table.name} was read whole: its SELECT has changed since the last run (its text, a setting that it uses, "
        f"the profile's time zone, or the columns and types that it gives){stay}"
    )


def _is_first_of_hour(state: TableState) -> bool:
    """Whether the table was last read in another hour of the clock."""
    read_at = state.extracted_at
    return read_at is None or int(read_at.timestamp() // 3600) != int(datetime.now(UTC).timestamp() // 3600)


def _restore(load: TableLoad, before: TableLoad) -> None:
    for field in fields(before):
        setattr(load, field.name, getattr(before, field.name))


def _apply(job: Job, state: TableState | None, since: str | None) -> bool:
    """Read the source from ``since`` on (whole if None), judge, merge, reconcile; return whether raw changed."""
    table, warehouse, load = job.table, job.warehouse, job.load
    is_whole = since is None
    load.rows_raw = state.rows_raw if state else merge.count_live(warehouse, table)
    load.rows_quarantined = state.rows_quarantined if state else quarantine.count(warehouse, table)
    warehouse.execute("truncate pg_temp.extract_changed, pg_temp.extract_rejected")
    merge.create_staging(warehouse, table)
    copied = job.session.copy_rows(table, warehouse, names.STAGING, since, job.on_rows)
    load.rows_rejected = rules.note_rejects(warehouse, table, job.session.rejects(table))
    load.rows_extracted = copied.rows + load.rows_rejected
    load.bytes, load.watermark_from = copied.bytes, since
    if is_whole and load.rows_extracted == 0:
        allow_empty(job, load.rows_raw)
    set_watermark(job, _highest_cursor(job, state, is_whole))
    removed = _judge(job, is_whole)
    number = next_batch(warehouse)
    difference = merge.merge_staging(warehouse, table, job.calendar, number)
    if difference.rows or removed:
        load.batch_id = number
    load.rows_inserted = difference.inserted
    load.rows_updated = difference.updated + difference.revived
    load.rows_unchanged = load.rows_extracted - load.rows_rejected - difference.rows
    load.rows_raw += difference.inserted + difference.revived - removed
    _synchronize_quarantine(job, is_whole)
    _reconcile(job, state, is_whole)
    _release_repeats(job)
    load.latest_day = state.latest_day if state else None
    is_described_anew = state is not None and state.contract_hash != job.contract_hash
    if not (load.rows_inserted or load.rows_updated or load.rows_deleted or removed or is_described_anew):
        return False
    days = merge.changed_days(warehouse) | days_through(warehouse, job.contract, table, job.calendar.time_zone)
    if is_described_anew:  # which days its rows touch may be another matter now
        job.batch()
        days |= _all_days(job)
    load.dirty_days = write_dirty_days(warehouse, table.name, job.batch(), days)
    load.latest_day = merge.latest_day(warehouse, table, job.calendar, load.latest_day)
    return True


def _all_days(job: Job) -> set[date]:
    """The business days that the table touches and ever touched, and those of the tables it is dated through."""
    table, warehouse = job.table, job.warehouse
    through = table.business_date.through if table.business_date else ()
    days = first_load.survey(warehouse, table, job.calendar).days
    return days.union(*(record.days_ever(warehouse, name) for name in (table.name, *through)))


def _highest_cursor(job: Job, state: TableState | None, is_whole: bool) -> str | None:
    """The highest cursor staged.

    Raises:
        _ReadWholeError: an incremental reading does not find the row that set the watermark, or one later: it was
            deleted, or the source's clock has run backwards, and changed rows may stand before the watermark.
    """
    table = job.table
    if table.cursor is None or not job.has_cursor:
        return None
    before = state.watermark if state else None
    row = job.warehouse.execute(
        sql.SQL("select max({0})::text, max({0}) < {1}::{2} from {3}").format(
            sql.Identifier(table.cursor),
            sql.Literal(before),
            names.type_of(table.column(table.cursor)),
            names.STAGING,
        )
    ).fetchone()
    highest, is_behind = row if row else (None, None)
    if not is_whole and (highest is None or is_behind):
        raise _ReadWholeError(
            f"its latest {table.cursor} was {before} and is now {highest or 'not there'} "
            "(the latest row was deleted, or the source's clock ran backwards)"
        )
    return None if highest is None else str(highest)


def _judge(job: Job, is_whole: bool) -> int:
    """Set aside the staged rows that break rules, and take their like out of raw; return the rows taken out.

    Raises:
        _ReadWholeError: two rows of a part share a key; which is the latest can only be told from all.
    """
    table, warehouse, load = job.table, job.warehouse, job.load
    load.rows_rejected += rules.apply_rules(warehouse, table, names.STAGING)
    if merge.has_duplicate_keys(warehouse, table):
        if not is_whole:
            raise _ReadWholeError("two of its rows share a key")
        load.rows_rejected += rules.reject_duplicate_keys(warehouse, table, names.STAGING)
    removed = merge.remove_rejected(warehouse, table, job.calendar) if load.rows_rejected else 0
    if repeats := rules.apply_unique_rules(warehouse, table, names.STAGING, against_raw=True):
        load.rows_rejected += repeats
        removed += merge.remove_rejected(warehouse, table, job.calendar)
    return removed


def _synchronize_quarantine(job: Job, is_whole: bool) -> None:
    load = job.load
    if not load.rows_quarantined and not load.rows_rejected:
        return
    number = load.batch_id or next_batch(job.warehouse)
    is_complete = is_whole and job.table.delete_policy == "reconcile"
    taken_in, let_go = quarantine.synchronize(job.warehouse, job.table, number, is_complete=is_complete)
    load.rows_quarantined += taken_in - let_go
    if taken_in or let_go:
        load.batch_id = number


def _reconcile(job: Job, state: TableState | None, is_whole: bool) -> None:
    """Mark rows deleted in the source, let go of their like in quarantine, and see that the figures agree.

    Raises:
        UserError: they do not, after the source was read whole.
        _ReadWholeError: they do not, after a part was read.
    """
    table, warehouse, load = job.table, job.warehouse, job.load
    if table.delete_policy == "keep":
        counted = job.counted()
        if not is_whole and counted is not None and counted > load.rows_raw + load.rows_quarantined:
            raise _ReadWholeError("the source has more rows than raw and quarantine")
        load.is_reconciled = is_whole
        return
    is_due = state is None or is_long_ago(state.reconciled_at)
    counted = None if is_whole or is_due else job.counted()
    if not is_whole and not is_due and counted in (None, load.rows_raw + load.rows_quarantined):
        return
    keys, source_rows = (names.STAGING, load.rows_extracted) if is_whole else _read_keys(job)
    number = load.batch_id or next_batch(warehouse)
    load.rows_deleted = merge.mark_deleted(warehouse, table, job.calendar, keys, number)
    if load.rows_deleted:
        load.batch_id = number
    load.rows_raw = merge.count_live(warehouse, table)
    load.rows_quarantined = quarantine.count(warehouse, table)
    load.is_reconciled = is_whole or is_due
    if is_whole:
        expect_identity(table, source_rows, load.rows_raw + load.rows_quarantined)
    elif is_due and merge.has_moved(warehouse, table, keys):  # as dear as finding the deleted ones
        raise _ReadWholeError(
            f"rows have changed under an earlier {table.cursor} than was read (a transaction was open for long, or the "
            "source's clock ran backwards)"
        )
    elif source_rows != load.rows_raw + load.rows_quarantined:
        raise _ReadWholeError(
            f"the figures did not agree (source {source_rows}, raw {load.rows_raw}, quarantine {load.rows_quarantined})"
        )


def _read_keys(job: Job) -> tuple[sql.Identifier, int]:
    """Copy the source's keys, each with its cursor, and let go of quarantined rows that are gone.

    Returns:
        The keys' table and their number.
    """
    table, warehouse, load = job.table, job.warehouse, job.load
    warehouse.execute(sql.SQL("drop table if exists {}").format(names.SOURCE_KEYS))
    warehouse.execute(
        sql.SQL("create temporary table extract_source_keys ({}) on commit drop").format(
            names.definitions(table, table.identity)
        )
    )
    copied = job.session.copy_keys(table, warehouse, names.SOURCE_KEYS)
    load.bytes += copied.bytes
    if copied.rows == 0:
        allow_empty(job, load.rows_raw)
    if quarantine.release_absent(warehouse, table):
        job.batch()
    return names.SOURCE_KEYS, copied.rows


def is_long_ago(reconciled_at: datetime | None) -> bool:
    """Whether the keys have to be compared, whatever the counts say."""
    return reconciled_at is None or datetime.now(UTC) - reconciled_at > RECONCILE_AFTER


def _release_repeats(job: Job) -> None:
    """Let rows out of quarantine that repeated a row which has since changed or gone."""
    table, warehouse, load = job.table, job.warehouse, job.load
    if not any(rule.unique for rule in table.rules) or not load.rows_quarantined or load.batch_id is None:
        return
    if not quarantine.stage_repeats(warehouse, table):
        return
    warehouse.execute("truncate pg_temp.extract_rejected")
    rules.apply_rules(warehouse, table, names.STAGING)
    rules.apply_unique_rules(warehouse, table, names.STAGING, against_raw=True)
    # what the first pass noted has been counted; it stays for its days
    warehouse.execute("update pg_temp.extract_changed set is_written = false where is_written")
    difference = merge.merge_staging(warehouse, table, job.calendar, job.batch())
    released = quarantine.release_staged(warehouse, table)
    load.rows_quarantined -= released
    load.rows_raw += difference.inserted + difference.revived
    load.rows_extracted += released
    load.rows_inserted += difference.inserted
    load.rows_updated += released - difference.inserted
