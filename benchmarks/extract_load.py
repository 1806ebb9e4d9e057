"""First load and incremental load of one large table, beside psql: rows a second, memory, seconds.

The table has the shape of route_stops: 12 columns, a text key, rules, a business date, a cursor. psql pipes a binary
COPY of it into the same table with the same primary key; then our first load fills raw from the same source. After
that a share of the rows is changed, once spread over the whole table and once in its newest rows, and extracted.

Run with ``.venv/bin/python -m benchmarks.extract_load [--rows 5000000]``; needs about 600 bytes of disk a row.
"""

import argparse
import shutil
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import psutil
import psycopg

from benchmarks.psql import PSQL, psql_environment
from warehouse_assets.database.databases import Databases, resolve
from warehouse_assets.database.embedded import EmbeddedServer
from warehouse_assets.database.migrate import migrate
from warehouse_assets.extract.load import extract_system
from warehouse_assets.extract.record import TableLoad
from warehouse_assets.settings import Settings
from warehouse_assets.source.contract import BusinessDate, Column, Contract, Rule, Table
from warehouse_assets.source.profiles import open_profile

COLUMNS = (
    ("stop_id", "text"),
    ("run_id", "text"),
    ("customer_id", "text"),
    ("container_id", "text"),
    ("service_date", "date"),
    ("sequence", "integer"),
    ("arrived_at", "timestamptz"),
    ("status", "text"),
    ("is_contaminated", "boolean"),
    ("fill_ratio", "numeric(5,3)"),
    ("weight_lb", "numeric(10,2)"),
    ("updated_at", "timestamptz"),
)
TABLE = Table(
    system="bench",
    name="stops",
    description="One row per stop.",
    columns=tuple(
        Column(name, data_type, name, is_required=name in ("stop_id", "service_date", "updated_at"))
        for name, data_type in COLUMNS
    ),
    primary_key=("stop_id",),
    cursor="updated_at",
    business_date=BusinessDate(column="service_date"),
    delete_policy="reconcile",
    rules=(
        Rule("status_known", "error", expect="status in ('completed', 'missed', 'skipped')"),
        Rule("weight_plausible", "error", expect="weight_lb between 0 and 40000"),
        Rule("arrived_known", "warning", expect="arrived_at is not null"),
    ),
)
CONTRACT = Contract({TABLE.name: TABLE})

FILL = """
    insert into stops
    select
        'S' || lpad(i::text, 9, '0'), 'R' || i / 60, 'C' || i % 15000, 'N' || i % 21000,
        date '2024-01-01' + (i / {per_day})::integer, i % 60,
        timestamptz '2024-01-01 06:00Z' + i * interval '12 seconds',
        case when i % 50 = 0 then 'missed' else 'completed' end, i % 40 = 0,
        (i % 1000) / 1000.0, 100 + i % 900,
        timestamptz '2024-01-01 06:00Z' + i * interval '12 seconds'
    from generate_series(0, {rows} - 1) as i
"""


def fill_source(url: str, rows: int) -> None:
    """Make the source table with its key and an index on the cursor, as a company's database would have it."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("drop table if exists stops")
        connection.execute(f"create table stops ({', '.join(f'{n} {t}' for n, t in COLUMNS)}, primary key (stop_id))")
        connection.execute(FILL.format(rows=rows, per_day=max(rows // 700, 1)))
        connection.execute("create index on stops (updated_at)")
        connection.execute("vacuum (analyze) stops")


def psql_load(databases: Databases) -> float:
    """Seconds that psql takes to copy the table into an empty one with the same key."""
    with psycopg.connect(databases.warehouse, autocommit=True) as connection:
        connection.execute("drop table if exists public.stops_by_psql")
        columns = ", ".join(f"{name} {data_type}" for name, data_type in COLUMNS)
        connection.execute(f"create table public.stops_by_psql ({columns}, primary key (stop_id))")
        connection.execute("checkpoint")
    started = time.perf_counter()
    sender = subprocess.Popen(
        [PSQL, "-qc", "copy stops to stdout (format binary)"],
        env=psql_environment(databases.operational),
        stdout=subprocess.PIPE,
    )
    subprocess.run(
        [PSQL, "-qc", "copy public.stops_by_psql from stdin (format binary)"],
        env=psql_environment(databases.warehouse),
        stdin=sender.stdout,
        check=True,
    )
    if sender.wait() != 0:
        raise SystemExit("psql could not read the source table.")
    seconds = time.perf_counter() - started
    with psycopg.connect(databases.warehouse, autocommit=True) as connection:
        connection.execute("drop table public.stops_by_psql")
    return seconds


class PeakMemory:
    """The growth of this process's resident memory while it is entered, in MiB."""

    def __enter__(self) -> "PeakMemory":
        self._process = psutil.Process()
        self._start = self._peak = self._process.memory_info().rss
        self._done = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()
        return self

    def _watch(self) -> None:
        while not self._done.wait(0.02):
            self._peak = max(self._peak, self._process.memory_info().rss)

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._watcher.join()

    @property
    def mib(self) -> float:
        """Growth in MiB."""
        return (self._peak - self._start) / 2**20


def extract(databases: Databases, settings: Settings) -> tuple[TableLoad, float]:
    """Extract the table as a run does; return its load and the seconds of the whole call."""
    profile = open_profile("default", {}, databases.operational, contract=CONTRACT)
    started = time.perf_counter()
    (load,) = extract_system(databases, settings, profile, "bench", contract=CONTRACT)
    return load, time.perf_counter() - started


def clear(databases: Databases) -> None:
    """Forget what was extracted."""
    with psycopg.connect(databases.warehouse, autocommit=True) as connection:
        connection.execute("drop table if exists raw.stops, quarantine.stops")
        connection.execute("truncate etl.table_state, etl.dirty_day, etl.job_log")
        connection.execute("checkpoint")


def change(url: str, condition: str, hours_ago: int) -> int:
    """Change the rows that fulfil ``condition``, some hours ago by their cursor; return how many."""
    with psycopg.connect(url, autocommit=True) as connection:
        changed = connection.execute(
            f"update stops set weight_lb = weight_lb + 1, updated_at = now() - %s::interval where {condition}",  # noqa: S608  our own
            (f"{hours_ago} hours",),
        ).rowcount
        connection.execute("vacuum (analyze) stops")
    return changed


def extract_changes(databases: Databases, settings: Settings, condition: str, hours_ago: int) -> float:
    """Change the rows that fulfil ``condition`` and extract them; return the seconds of the extraction."""
    settle(databases)
    changed = change(databases.operational, condition, hours_ago)
    load, seconds = extract(databases, settings)
    if load.rows_updated != changed:
        raise SystemExit(f"{changed} rows were changed, {load.rows_updated} arrived.")
    # one row changed two hours later puts this change before the overlap of the next reading
    change(databases.operational, "stop_id = 'S000000000'", hours_ago - 2)
    extract(databases, settings)
    return seconds


def settle(databases: Databases) -> None:
    """Let the server write out what the last step left, so that it does not burden the next."""
    with psycopg.connect(databases.warehouse, autocommit=True) as connection:
        connection.execute("vacuum (analyze) raw.stops")
        connection.execute("checkpoint")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--share", type=float, default=0.01, help="share of the rows changed before an extraction")
    parser.add_argument("--repeat", type=int, default=3, help="rounds of everything, best of each counts")
    arguments = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="warehouse-bench-"))
    home.chmod(0o755)
    settings = Settings(home=home)
    try:
        databases = resolve(settings)
        migrate(databases.warehouse)
        fill_source(databases.operational, arguments.rows)
        by_psql, ours, growth = [], [], []
        for _ in range(arguments.repeat):
            by_psql.append(psql_load(databases))
            clear(databases)
            with PeakMemory() as memory:
                load, seconds = extract(databases, settings)
            ours.append(seconds)
            growth.append(memory.mib)
            print(f"  psql {by_psql[-1]:.2f} s, first load {seconds:.2f} s, RSS +{memory.mib:.0f} MiB", flush=True)
        first = min(ours)
        print(f"{arguments.rows:,} rows, {len(COLUMNS)} columns, {load.bytes / 2**20:,.0f} MiB")
        psql = min(by_psql)
        print(f"first load: {arguments.rows / first:,.0f} rows/s, psql | psql: {arguments.rows / psql:,.0f} rows/s")
        print(f"ratio of rows a second {psql / first:.2f} (reach 0.80), RSS growth {max(growth):.0f} MiB (< 150)")
        every, oldest_new = round(1 / arguments.share), round(arguments.rows * (1 - arguments.share))
        for label, condition, hours_ago in (
            ("the newest", f"stop_id >= 'S' || lpad({oldest_new}::text, 9, '0')", 90),
            ("spread over all", f"mod(substr(stop_id, 2)::bigint, {every}) = 3", 45),
        ):
            again = [
                extract_changes(databases, settings, condition, hours_ago - 4 * i) for i in range(arguments.repeat)
            ]
            times = ", ".join(f"{seconds:.2f}" for seconds in again)
            print(f"{arguments.share:.0%} of the rows changed, {label}: {times} s, ", end="")
            print(f"{min(again) / first:.1%} of the first load (reach 4%)", flush=True)
        load, seconds = extract(databases, settings)
        print(f"nothing new: {seconds:.2f} s ({load.status}, {load.rows_extracted:,} rows of the overlap read)")
    finally:
        EmbeddedServer(home).destroy()
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main()
