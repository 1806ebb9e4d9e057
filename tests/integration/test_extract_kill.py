"""Extraction killed at any instant, and two at once: the next run leaves raw equal to the source, row for row."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psycopg
import pytest
from test_extract_company import Company, company_fixture  # noqa: F401  fixture

from warehouse_assets.database.raw_lock import raw_stands_still
from warehouse_assets.errors import UnreachableError
from warehouse_assets.extract import incremental, load
from warehouse_assets.extract.load import ExtractionError

ROWS = 24_000
PROGRAM = """
import sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from test_extract_company import Company, Settings
from warehouse_assets.extract import incremental
incremental.WHOLE_ROWS = {whole_rows}
company = Company({operational!r}, {warehouse!r}, Settings(home=Path({home!r}), threads=2))
print("ready", flush=True)
sys.stdin.readline()
company.extract("stops", "prices", full_refresh={refresh})
print("done", flush=True)
"""


def fill(company: Company) -> None:
    company.source(
        "insert into stops select 'S' || i, 'T' || i %% 7, date '2024-03-01' + i / 500, 'completed', i %% 40001, "
        "jsonb_build_object('n', i), timestamptz '2024-03-01' + i * interval '1 minute' "
        "from generate_series(1, %s::integer) as i",
        ROWS,
    )
    company.source(
        "insert into prices select 'p' || i, '2024-03-01', i, now() from generate_series(1, 5000) as i; "
        "create index on stops (updated_at); analyze"
    )


def change(company: Company, seed: int) -> None:
    """Update, insert, spoil and delete some thousand rows."""
    company.source(
        "update stops set weight_lb = %s, updated_at = clock_timestamp() where hashtext(stop_id || %s) %% 10 = 0",
        seed,
        str(seed),
    )
    company.source(
        "update stops set status = 'lost', updated_at = clock_timestamp() where hashtext(stop_id || %s) %% 100 = 1",
        str(seed),
    )
    company.source("delete from stops where hashtext(stop_id || %s) %% 50 = 2", str(seed))
    company.source("insert into prices values ('n' || %s::text, '2024-03-02', 1, clock_timestamp())", seed)


def start(company: Company, *, refresh: bool) -> subprocess.Popen[str]:
    """A process that is about to extract; it begins when it is told to."""
    program = PROGRAM.format(
        tests=str(Path(__file__).parent),
        operational=company.operational,
        warehouse=company.warehouse,
        home=str(company.settings.home),
        refresh=refresh,
        whole_rows=incremental.WHOLE_ROWS,
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def begin(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def finish(process: subprocess.Popen[str]) -> int:
    """Wait for the process; return its exit status."""
    process.communicate()
    return process.returncode


def assert_sound(company: Company) -> None:
    """Raw and quarantine together are the source, row for row, and the control tables say so."""
    for name in ("stops", "prices"):
        source = company.rows(name, "source")
        good = [row for row in source if name == "prices" or row[3] != "lost"]
        assert company.rows(name, "raw") == good
        held = company.ask(f"select rows_raw, rows_quarantined from etl.table_state where source_table = '{name}'")  # noqa: S608
        assert held == [(len(good), len(source) - len(good))]
        assert company.ask(f"select count(*) from quarantine.{name}") == [len(source) - len(good)]  # noqa: S608


@pytest.mark.parametrize("stage", ["first load", "by cursor", "whole", "full refresh"])
def test_killed_at_any_instant_the_next_run_heals(
    company: Company, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    monkeypatch.setattr(incremental, "WHOLE_ROWS", 1_000_000 if stage == "whole" else -1)
    fill(company)
    refresh = stage == "full refresh"
    if stage != "first load":
        company.extract("stops", "prices")
    change(company, 0)
    # how long an undisturbed run takes here and now
    rehearsal = start(company, refresh=refresh)
    began = time.monotonic()
    begin(rehearsal)
    assert finish(rehearsal) == 0
    whole = time.monotonic() - began
    assert_sound(company)
    chooser = random.Random(stage)  # noqa: S311  instants, no secrets
    instants = [chooser.uniform(0, whole) for _ in range(4)]
    for seed, instant in enumerate(instants, start=1):
        change(company, seed)
        if stage == "first load":
            company.change_warehouse(
                "drop table raw.stops, quarantine.stops, raw.prices, quarantine.prices; truncate etl.table_state"
            )
        process = start(company, refresh=refresh)
        begin(process)
        time.sleep(instant)
        process.send_signal(signal.SIGKILL)
        finish(process)
        company.extract("stops", "prices", full_refresh=refresh)
        assert_sound(company)
        batches = company.ask("select source_table, batch_id from etl.job_log where status = 'succeeded' order by 1, 2")
        assert len(batches) == len(set(batches))


def test_the_server_killing_our_session_is_one_sentence_and_heals(company: Company) -> None:
    fill(company)
    company.extract("stops")
    company.source("update stops set weight_lb = 1, updated_at = now()")
    done = threading.Event()

    def kill() -> None:
        with psycopg.connect(company.warehouse, autocommit=True) as connection:
            while not done.is_set():
                connection.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity "
                    "where application_name = 'warehouse extract' and datname = current_database() "
                    "and (query ilike 'with differing%' or query ilike '%copy%')"
                )

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        with pytest.raises(ExtractionError, match=r"stops could not be extracted: The connection .* broke") as raised:
            company.extract("stops")
    finally:
        done.set()
        killer.join()
    assert raised.value.is_transient
    assert company.ask("select count(*) from etl.job_log where status = 'failed'") == [1]
    company.extract("stops")
    assert company.rows("stops", "raw") == company.rows("stops", "source")


def test_a_run_that_waited_reads_the_source_as_it_is_then(company: Company) -> None:
    fill(company)
    told: list[str] = []
    waiting = threading.Thread(target=company.extract, args=("stops",), kwargs={"tell": told.append})
    with psycopg.connect(company.warehouse, autocommit=True) as first:
        first.execute("select pg_advisory_lock(hashtextextended('extract.system.shop', 0))")
        waiting.start()
        while waiting.is_alive() and not company.ask("select 1 from pg_locks where not granted"):
            time.sleep(0.01)
        company.source("update stops set weight_lb = 1, updated_at = now() where stop_id = 'S7'")
    waiting.join()
    assert told == ["another run extracts shop: waiting until it has ended"]
    assert company.rows("stops", "raw") == company.rows("stops", "source")


# Regression: rows that another run brought while models were tested made tests fail that compare them with raw.
def test_extraction_waits_while_models_are_built(company: Company) -> None:
    fill(company)
    told: list[str] = []
    waiting = threading.Thread(target=company.extract, args=("stops",), kwargs={"tell": told.append})
    with psycopg.connect(company.warehouse) as build, raw_stands_still(build, told.append):
        waiting.start()
        while waiting.is_alive() and not company.ask("select 1 from pg_locks where not granted"):
            time.sleep(0.01)
        assert told == ["another run builds models: extraction waits until it has ended"]
        assert company.ask("select to_regclass('raw.stops') is null") == [True]
    waiting.join()
    assert len(told) == 1
    assert company.rows("stops", "raw") == company.rows("stops", "source")


def test_two_runs_at_once_give_the_same_as_one(company: Company) -> None:
    fill(company)
    for seed in range(2):
        change(company, seed)
        processes = [start(company, refresh=False) for _ in range(3)]
        for process in processes:
            begin(process)
        change(company, seed + 10)  # while they run
        assert [finish(process) for process in processes] == [0, 0, 0]
        company.extract("stops", "prices")
        assert_sound(company)


def test_a_server_that_went_away_fails_every_waiting_table_and_is_worth_another_try(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(company)

    def gone(url: str) -> psycopg.Connection:
        raise UnreachableError("No server answers.")

    with monkeypatch.context() as down:
        down.setattr(load, "_connected", gone)
        with pytest.raises(ExtractionError, match="could not be extracted: No server answers") as raised:
            company.extract()
    assert str(raised.value).count("No server answers") == 1, "what failed alike is told once"
    assert raised.value.is_transient
    assert [each.status for each in raised.value.loads] == ["failed"] * len(company.contract.tables)
    company.extract()
    assert_sound(company)
