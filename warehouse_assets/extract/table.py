"""Extraction of one table in one transaction: rows, quarantine, dirty days, watermark, state and job log together.

Chooses between a first load, a later one (``incremental``) and leaving the table empty; ``load`` runs the tables of a
system side by side.
"""

import time

from psycopg import sql

from warehouse_assets.database.errors import explain_error
from warehouse_assets.errors import UserError
from warehouse_assets.extract import ddl, first_load, incremental, names, quarantine, record, rules
from warehouse_assets.extract.job import Job, expect_identity, set_watermark
from warehouse_assets.extract.record import TableLoad, TableState
from warehouse_assets.extract.state import lock_table, write_dirty_days


def extract_table(job: Job) -> TableLoad:
    """Bring one raw table in step with the source, in one transaction on ``job.warehouse``.

    Raises:
        UserError: the source does not fit the contract, is unexpectedly empty, or the figures do not agree; nothing
            is changed then.
    """
    table, load = job.table, job.load
    began = time.monotonic()
    with explain_error(f"extracting {table.name}"), job.warehouse.transaction():
        lock_table(job.warehouse, table.name)
        state = record.read_state(job.warehouse, table.name)
        is_mapped = table.name in job.profile.tables
        if is_mapped:
            job.has_cursor = job.session.check(table)
            job.select_hash = job.session.fingerprint(table)
        is_new = _prepare_table(job, state)
        if not is_mapped:
            is_raw_changed = _leave_empty(job, state, is_new)
        elif is_new or first_load.is_empty(job.warehouse, table):
            is_raw_changed = _load_first(job, state, is_new)
        else:
            is_raw_changed = incremental.load_again(job, state)
        load.status = "unchanged" if load.batch_id is None else "succeeded"
        record.write_state(
            job.warehouse,
            load,
            job.contract_hash,
            job.select_hash,
            is_raw_changed=is_raw_changed,
            read_at=job.snapshot.read_at,
        )
        load.seconds = time.monotonic() - began
        load.job_log_id = record.write_log(job.warehouse, load)
    load.seconds = time.monotonic() - began
    return load


def _prepare_table(job: Job, state: TableState | None) -> bool:
    """Make raw and quarantine, or bring them in step with the contract; return whether raw is new."""
    table, warehouse = job.table, job.warehouse
    if not ddl.exists(warehouse, table):
        ddl.create(warehouse, table)
        return True
    if state is not None and state.contract_hash == job.contract_hash:
        return False
    try:
        with warehouse.transaction():
            ddl.follow_contract(warehouse, table)
    except UserError:
        if not job.full_refresh:
            raise
        ddl.drop(warehouse, table)
        ddl.create(warehouse, table)
        return True
    ddl.drop_indexes(warehouse, table)
    ddl.create(warehouse, table)
    ddl.add_indexes(warehouse, table, job.calendar.time_zone)
    return False


def _leave_empty(job: Job, state: TableState | None, is_new: bool) -> bool:
    """Keep a table empty that the profile lacks."""
    if state is not None and state.rows_raw > 0:
        raise UserError(
            f"Profile {job.profile.name!r} has no table {job.table.name}, but raw.{job.table.name} holds "
            f"{state.rows_raw} rows; give the profile the table, or {job.databases.another_warehouse}."
        )
    if is_new:
        ddl.add_primary_key(job.warehouse, job.table)
        ddl.add_indexes(job.warehouse, job.table, job.calendar.time_zone)
        job.batch()
    return False


def _load_first(job: Job, state: TableState | None, is_new: bool) -> bool:
    """Fill an empty raw table; return whether it has rows then.

    Where it was made anew, every day that its rows ever touched is dirty beside those of the rows it has now.
    """
    table, warehouse, load = job.table, job.warehouse, job.load
    if state is not None and not is_new and not job.session.has_rows(table):
        return False
    batch_id = job.batch()
    warehouse.execute("truncate pg_temp.extract_rejected")
    copied = first_load.copy_into_raw(warehouse, table, job.session, batch_id, job.on_rows)
    load.rows_rejected = rules.note_rejects(warehouse, table, job.session.rejects(table))
    load.rows_extracted, load.bytes = copied.rows + load.rows_rejected, copied.bytes
    load.rows_rejected += first_load.judge(warehouse, table)
    ddl.add_indexes(warehouse, table, job.calendar.time_zone)
    quarantine.synchronize(warehouse, table, batch_id, is_complete=True)
    loaded = first_load.survey(warehouse, table, job.calendar)
    warehouse.execute(sql.SQL("analyze {}").format(names.raw(table.name)))
    load.rows_inserted = load.rows_raw = loaded.rows
    load.rows_quarantined = load.rows_rejected
    set_watermark(job, loaded.watermark)
    load.latest_day = loaded.latest_day
    load.is_reconciled = True
    days = loaded.days | record.days_ever(warehouse, table.name) if state is not None else loaded.days
    load.dirty_days = write_dirty_days(warehouse, table.name, batch_id, days)
    expect_identity(table, load.rows_extracted, load.rows_raw + load.rows_rejected)
    return bool(loaded.rows or days)
