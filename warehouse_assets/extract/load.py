"""The tables of one system, extracted side by side on threads out of one snapshot of the source.

COPY releases the interpreter's lock, so threads do. What happens to one table is in ``table``.
"""

import contextlib
import queue
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import psycopg

from warehouse_assets.database.connections import connect, redact
from warehouse_assets.database.databases import Databases
from warehouse_assets.database.errors import explain_error, message_of
from warehouse_assets.database.raw_lock import lock_system, move_raw
from warehouse_assets.errors import UnreachableError, UserError
from warehouse_assets.extract import ddl, record, rules
from warehouse_assets.extract.days import Calendar
from warehouse_assets.extract.job import Job, OnTable
from warehouse_assets.extract.record import TableLoad
from warehouse_assets.extract.source import Session, Snapshot, open_snapshot
from warehouse_assets.extract.table import extract_table
from warehouse_assets.settings import Settings
from warehouse_assets.source.contract import Contract, Table, load_contract
from warehouse_assets.source.profiles import Profile
from warehouse_assets.telling import Tell

MAX_THREADS = 3
_APPLICATION = "warehouse extract"


class ExtractionError(UserError):
    """Some tables of a system could not be extracted.

    ``loads`` holds all tables, the failed ones with their ``error``; ``is_transient`` tells whether each of the
    failures was a broken connection, so that trying again may help.
    """

    def __init__(self, message: str, loads: list[TableLoad], is_transient: bool):
        super().__init__(message)
        self.loads = loads
        self.is_transient = is_transient


@dataclass
class _Work:
    """What the threads share."""

    contract: Contract
    profile: Profile
    snapshot: Snapshot
    databases: Databases
    calendar: Calendar
    full_refresh: bool
    run_id: str | None
    on_table: OnTable | None
    counter: Executor
    waiting: "queue.SimpleQueue[Table]"
    done: list[TableLoad] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)
    connections: set[psycopg.Connection] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)
    is_stopped: bool = False

    def job(self, table: Table, warehouse: psycopg.Connection, session: Session) -> Job:
        """The extraction of one table."""
        return Job(
            contract=self.contract,
            table=table,
            profile=self.profile,
            snapshot=self.snapshot,
            session=session,
            warehouse=warehouse,
            databases=self.databases,
            calendar=self.calendar,
            full_refresh=self.full_refresh,
            load=_attempt(table, self.profile, self.run_id),
            contract_hash=ddl.contract_hash(table, self.calendar.time_zone),
            counter=self.counter,
            on_table=self.on_table,
        )

    def stop(self) -> None:
        """Cancel what the threads are doing; their transactions roll back."""
        with self.lock:
            self.is_stopped = True
            for connection in self.connections:
                with contextlib.suppress(psycopg.Error):
                    connection.cancel_safe(timeout=5)


def extract_system(
    databases: Databases,
    settings: Settings,
    profile: Profile,
    system: str,
    *,
    tables: Sequence[str] | None = None,
    contract: Contract | None = None,
    run_id: str | None = None,
    full_refresh: bool = False,
    on_table: OnTable | None = None,
    tell: Tell = lambda text: None,
) -> list[TableLoad]:
    """Bring the raw tables of a system in step with the source; each in a transaction of its own.

    A second extraction of the same system waits until the first has ended, and any one until no models are built; then
    it reads the source as it is then.

    Args:
        databases: the URLs in force; the warehouse must have been migrated.
        settings: time zone and number of threads.
        profile: where the rows come from.
        system: a system of the contract.
        tables: names of its tables; None for all.
        contract: the contract; None for this installation's.
        run_id: stands in the job log.
        full_refresh: read every row again, allow an empty source, and make tables anew that no longer fit the
            contract.
        on_table: called with a table's name and the rows copied so far, on the table's thread.
        tell: called with a sentence when another run is waited for.

    Returns:
        One load per table, in the contract's order.

    Raises:
        ExtractionError: a table failed; the others were extracted all the same.
        UserError: the source or the warehouse cannot be reached, or nothing of the name is contracted.
    """
    contract = load_contract() if contract is None else contract
    chosen = _chosen(contract, system, tables)
    with (
        _system_locked(databases.warehouse, system, settings.time_zone, full_refresh, tell),
        _opened(profile, databases, chosen, run_id) as snapshot,
        ThreadPoolExecutor(1, thread_name_prefix="count") as counter,
    ):
        sizes = {table.name: snapshot.estimated_rows(table) for table in chosen if table.name in profile.tables}
        waiting: queue.SimpleQueue[Table] = queue.SimpleQueue()
        for table in sorted(chosen, key=lambda table: -sizes.get(table.name, -1.0)):
            waiting.put(table)
        work = _Work(
            contract=contract,
            profile=profile,
            snapshot=snapshot,
            databases=databases,
            calendar=Calendar(snapshot.now.astimezone(ZoneInfo(settings.time_zone)).date(), settings.time_zone),
            full_refresh=full_refresh,
            run_id=run_id,
            on_table=on_table,
            counter=counter,
            waiting=waiting,
        )
        _run_threads(work, min(settings.threads, MAX_THREADS, len(chosen)))
    return _outcome(work, chosen)


@contextlib.contextmanager
def _opened(profile: Profile, databases: Databases, chosen: Sequence[Table], run_id: str | None) -> Iterator[Snapshot]:
    """Open the source; where that fails, say so in the job log of each table."""
    with contextlib.ExitStack() as stack:
        try:
            snapshot = stack.enter_context(open_snapshot(profile, databases.operational))
        except UserError as error:
            for table in chosen:
                _log_failure(databases.warehouse, _attempt(table, profile, run_id), error)
            raise
        yield snapshot


def _attempt(table: Table, profile: Profile, run_id: str | None) -> TableLoad:
    return TableLoad(
        table=table.name, system=table.system, profile=profile.name, started_at=datetime.now(UTC), run_id=run_id
    )


def _chosen(contract: Contract, system: str, tables: Sequence[str] | None) -> tuple[Table, ...]:
    all_tables = contract.tables_of(system)
    if not all_tables:
        raise UserError(f"There is no system {system!r} in the contract; it has {', '.join(contract.systems)}.")
    if tables is None:
        return all_tables
    for name in tables:
        if contract.table(name).system != system:
            raise UserError(f"Table {name} is of system {contract.table(name).system}, not of {system}.")
    return tuple(table for table in all_tables if table.name in tables)


@contextlib.contextmanager
def _system_locked(url: str, system: str, time_zone: str, full_refresh: bool, tell: Tell) -> Iterator[None]:
    """Hold the right to extract a system: only then may the source's snapshot be taken.

    With a snapshot older than another extraction's, rows would go back to what they were. While models are built, raw
    stands still. The server frees the locks when this process dies.
    """
    with contextlib.closing(connect(url, application_name=f"{_APPLICATION} {system}", autocommit=True)) as connection:
        lock_system(connection, system, tell)
        move_raw(connection, tell)
        _settle_time_zone(connection, time_zone, full_refresh)
        yield


def _settle_time_zone(connection: psycopg.Connection, time_zone: str, full_refresh: bool) -> None:
    """Store the company's time zone the first time; afterwards only a full refresh may bring another."""
    connection.execute(
        "insert into etl.setting (key, value) values ('time_zone', %s) on conflict (key) do nothing", (time_zone,)
    )
    if full_refresh:
        connection.execute("update etl.setting set value = %s where key = 'time_zone'", (time_zone,))
    row = connection.execute("select value from etl.setting where key = 'time_zone'").fetchone()
    if row is not None and row[0] != time_zone:
        raise UserError(
            f"This warehouse's business days are of time zone {row[0]}, WAREHOUSE_TIME_ZONE is {time_zone}: "
            "set it back, or run with --full-refresh to date everything anew."
        )


def _run_threads(work: _Work, number: int) -> None:
    with ThreadPoolExecutor(max(number, 1), thread_name_prefix="extract") as pool:
        try:
            for future in [pool.submit(_work_off, work) for _ in range(max(number, 1))]:
                future.result()
        except BaseException:
            work.stop()
            raise


def _connected(warehouse_url: str) -> psycopg.Connection:
    return connect(warehouse_url, application_name=_APPLICATION, autocommit=True)


def _work_off(work: _Work) -> None:
    """Extract waiting tables until none is left, on one pair of connections; a failure costs the pair."""
    while not work.is_stopped and not work.waiting.empty():
        with contextlib.ExitStack() as pair:
            try:
                warehouse = pair.enter_context(contextlib.closing(_connected(work.databases.warehouse)))
                session = pair.enter_context(work.snapshot.session())
                with explain_error("preparing the extraction"):
                    # A commit lost in a crash takes rows, watermark and log with it, and all that came after: the next
                    # run does it again. Not waiting for the disk saves each table a flush.
                    warehouse.execute("set synchronous_commit = off")
                    rules.prepare(warehouse)
            except (UserError, psycopg.Error) as error:
                _fail_waiting(work, error)
                return
            with work.lock:
                work.connections.add(warehouse)
            try:
                _extract_waiting(work, warehouse, session)
            finally:
                with work.lock:
                    work.connections.discard(warehouse)


def _fail_waiting(work: _Work, error: Exception) -> None:
    """Fail the tables that wait: there is no connection to extract them with."""
    is_logged = True
    with contextlib.suppress(queue.Empty):
        while True:
            load = _attempt(work.waiting.get_nowait(), work.profile, work.run_id)
            load = _log_failure(work.databases.warehouse, load, error) if is_logged else _failed(load, error)
            is_logged = load.job_log_id is not None  # a server that is gone is not asked again for each table
            with work.lock:
                work.done.append(load)
                work.errors.append(error)


def _extract_waiting(work: _Work, warehouse: psycopg.Connection, session: Session) -> None:
    while not work.is_stopped:
        try:
            table = work.waiting.get_nowait()
        except queue.Empty:
            return
        job = work.job(table, warehouse, session)
        try:
            load = extract_table(job)
        except (UserError, psycopg.Error) as error:
            with work.lock:
                work.done.append(_log_failure(work.databases.warehouse, job.load, error))
                work.errors.append(error)
            return
        with work.lock:
            work.done.append(load)


def _failed(attempted: TableLoad, error: Exception) -> TableLoad:
    return TableLoad(
        table=attempted.table,
        system=attempted.system,
        profile=attempted.profile,
        started_at=attempted.started_at,
        run_id=attempted.run_id,
        status="failed",
        seconds=(datetime.now(UTC) - attempted.started_at).total_seconds(),
        error=redact(f"{message_of(error)}." if isinstance(error, psycopg.Error) else " ".join(str(error).split())),
    )


def _log_failure(warehouse_url: str, attempted: TableLoad, error: Exception) -> TableLoad:
    """The load of a failed table, written to the job log where the warehouse still answers."""
    load = _failed(attempted, error)
    with (
        contextlib.suppress(UserError, psycopg.Error),
        contextlib.closing(_connected(warehouse_url)) as connection,
    ):
        load.job_log_id = record.write_log(connection, load)
    return load


def _is_transient(error: Exception) -> bool:
    if isinstance(error, UnreachableError):
        return True
    cause = error.__cause__ if isinstance(error, UserError) else error
    return isinstance(cause, psycopg.OperationalError) and not isinstance(
        cause, psycopg.errors.DiskFull | psycopg.errors.QueryCanceled | psycopg.errors.ProgramLimitExceeded
    )


def _outcome(work: _Work, chosen: Sequence[Table]) -> list[TableLoad]:
    order = {table.name: position for position, table in enumerate(chosen)}
    loads = sorted(work.done, key=lambda load: order[load.table])
    failed = [load for load in loads if load.status == "failed"]
    if failed:
        tables_by_reason: dict[str, list[str]] = {}
        for load in failed:
            tables_by_reason.setdefault(str(load.error), []).append(load.table)
        told = [f"{', '.join(tables)}: {reason.rstrip('.')}" for reason, tables in tables_by_reason.items()]
        why = f"{'; '.join(told)}." if told[1:] else failed[0].error
        rest = len(loads) - len(failed)
        others = f" The other {rest} table{' was' if rest == 1 else 's were'} extracted." if rest else ""
        raise ExtractionError(
            f"{', '.join(load.table for load in failed)} could not be extracted: {why}{others}",
            loads,
            all(_is_transient(error) for error in work.errors),
        ) from work.errors[0]
    return loads
