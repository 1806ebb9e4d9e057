"""The simulated company in a real database: made, made again, killed, moved forward, kept apart from strangers."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import LiteralString

import psycopg
import pytest
from psycopg import sql

from warehouse_assets.database.embedded import EmbeddedServer
from warehouse_assets.errors import UserError
from warehouse_assets.source.contract import Column, Contract, Table, load_contract
from warehouse_assets.source.simulator import (
    advance,
    company,
    complete_company,
    schema,
    simulate_company,
    simulation_state,
)
from warehouse_assets.source.simulator.dirt import ORPHANED
from warehouse_assets.source.simulator.vocabulary import KEYS

AS_OF = datetime(2026, 3, 28, 15, tzinfo=UTC)
#: five months, so that a step forward crosses the end of one and settles who left within 90 days
SMALL = {"customers": "40", "start": "2025-11-10", "days": "140", "dirt_scale": "3"}
#: what the simulator writes; the contract may have more, which stay empty until somebody writes them
WRITTEN = {*KEYS, "weather", "holidays", "commodity_prices", "competitor_rates"}


@pytest.fixture
def planted_url(server: EmbeddedServer, make_database: Callable[..., str]) -> str:
    """The URL of a fresh, empty database for the planted truths."""
    return make_database(server)


def value(url: str, query: LiteralString | sql.Composed, *parameters: object) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute(query, parameters).fetchone()
    assert row is not None
    return row[0]


def contents(operational: str, planted: str | None = None) -> dict[str, tuple[int, str]]:
    """Rows and a hash of each table."""
    found: dict[str, tuple[int, str]] = {}
    tables = [(operational, "public", table.name) for table in load_contract()]
    if planted:
        tables += [(planted, "planted", name) for name in ("churn", "vehicle_hazard", "fault")]
    for url, part, table in tables:
        with psycopg.connect(url) as connection:
            row = connection.execute(
                sql.SQL(
                    "select count(*), coalesce(md5(string_agg(md5(x::text), '' order by md5(x::text))), '') from {} x"
                ).format(sql.Identifier(part, table))
            ).fetchone()
        assert row is not None
        found[f"{part}.{table}"] = row
    return found


def test_every_table_is_filled_and_twice_the_same(operational_url: str, planted_url: str) -> None:
    months: list[tuple[int, int]] = []
    summary = simulate_company(
        operational_url, planted_url, "small", 7, AS_OF, SMALL, on_progress=lambda done, of: months.append((done, of))
    )
    assert months == [(number, 5) for number in range(1, 6)]
    first = contents(operational_url, planted_url)
    written = {table: rows for table, (rows, _) in first.items() if rows}
    assert written.keys() >= {f"public.{table}" for table in WRITTEN}
    assert {f"public.{table}": rows for table, rows in summary.rows.items()}.items() <= {
        table: rows for table, (rows, _) in first.items()
    }.items()
    assert summary.as_of == AS_OF
    simulate_company(operational_url, planted_url, "small", 7, AS_OF, SMALL)
    assert contents(operational_url, planted_url) == first
    simulate_company(operational_url, None, "small", 8, AS_OF, SMALL)
    assert contents(operational_url)["public.route_stops"] != first["public.route_stops"]


def test_moving_the_clock_gives_the_company_that_ran_on(operational_url: str, planted_url: str) -> None:
    dirty = {**SMALL, "dirt_scale": "12"}
    simulate_company(operational_url, planted_url, "small", 7, AS_OF, dirty)
    hours = [1, 0.5, 6, 24, 24 * 9, 3, 24 * 30]
    deleted = 0
    for step in hours:
        deleted += sum(advance(operational_url, planted_url, step).deleted.values())
    moved = contents(operational_url, planted_url)
    assert deleted > 0
    now = AS_OF + timedelta(hours=sum(hours))
    state = simulation_state(operational_url)
    assert state is not None
    assert state.clock == now
    simulate_company(operational_url, planted_url, "small", 7, now, dirty)
    at_once = contents(operational_url, planted_url)
    assert [table for table in moved if moved[table] != at_once[table]] == []


def test_an_hour_brings_new_and_changed_rows(operational_url: str) -> None:
    simulate_company(operational_url, None, "small", 7, datetime(2026, 3, 25, 12, tzinfo=UTC), SMALL)
    running = value(operational_url, "select count(*) from route_runs where status = 'in_progress'")
    planned = value(operational_url, "select count(*) from route_runs where status = 'planned'")
    summary = advance(operational_url, None, 2)
    assert summary.rows["route_stops"] > 0
    assert summary.rows["route_runs"] > 0
    assert (running, planned) != (0, 0)
    assert value(operational_url, "select count(*) from route_runs where status = 'in_progress'") != running
    assert value(operational_url, "select max(updated_at) <= %s from route_stops", summary.as_of)


def test_no_row_was_updated_after_the_clock(operational_url: str) -> None:
    simulate_company(operational_url, None, "small", 7, AS_OF, SMALL)
    for table in load_contract():
        if table.cursor:
            query = sql.SQL("select coalesce(max({}) <= %s, true) from {}").format(
                sql.Identifier(table.cursor), sql.Identifier(table.name)
            )
            assert value(operational_url, query, AS_OF), table


def test_keys_indexes_and_references_are_those_of_the_contract(operational_url: str) -> None:
    simulate_company(operational_url, None, "small", 7, AS_OF, SMALL)
    with psycopg.connect(operational_url) as connection:
        constraints = set(
            connection.execute(
                "select conrelid::regclass::text, string_agg(attname, ',' order by ordinality), contype::text "
                "from pg_constraint, unnest(conkey) with ordinality as k (number, ordinality), pg_attribute "
                "where attrelid = conrelid and attnum = number and connamespace = 'public'::regnamespace "
                "and contype in ('p', 'f') and convalidated group by pg_constraint.oid, conrelid, contype"
            )
        )
        indexed = set(
            connection.execute(
                "select indrelid::regclass::text, attname from pg_index join pg_attribute "
                "on attrelid = indrelid and attnum = indkey[0]"
            )
        )
    for table in load_contract():
        assert (table.name, ",".join(table.primary_key), "p") in constraints
        assert table.cursor is None or (table.name, table.cursor) in indexed
        for column in table.columns:
            if column.references:
                has_key = (table.name, column.name, "f") in constraints
                assert has_key == ((table.name, column.name) not in ORPHANED), f"{table.name}.{column.name}"


def grown(monkeypatch: pytest.MonkeyPatch, *, is_required: bool = False) -> None:
    """Let the contract have a table and a column more than the simulator knows."""
    contract = load_contract()
    tires = Table(
        system="fleet",
        name="tire_changes",
        description="One row per tire changed.",
        columns=(
            Column("tire_change_id", "text", "Key.", is_required=True),
            Column("vehicle_id", "text", "Vehicle.", is_required=True, references="vehicles"),
            Column("updated_at", "timestamptz", "Changed.", is_required=True),
        ),
        primary_key=("tire_change_id",),
        cursor="updated_at",
        business_date=None,
        delete_policy="reconcile",
        rules=(),
    )
    stops = contract.table("route_stops")
    noted = replace(stops, columns=(*stops.columns, Column("note", "text", "Note.", is_required=is_required)))
    more = Contract({**contract.tables, "route_stops": noted, "tire_changes": tires})
    for module in (company, schema):
        monkeypatch.setattr(module, "load_contract", lambda: more)


def test_a_company_gains_what_the_contract_gains(operational_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    simulate_company(operational_url, None, "small", 7, AS_OF, SMALL)
    grown(monkeypatch)
    complete_company(operational_url)
    complete_company(operational_url)  # there is nothing more to gain
    assert value(operational_url, "select count(*) from tire_changes") == 0
    assert value(operational_url, "select count(*) > 0 and count(note) = 0 from route_stops")
    with psycopg.connect(operational_url) as connection, pytest.raises(psycopg.errors.ForeignKeyViolation):
        connection.execute("insert into tire_changes values ('T-1', 'nobody''s', now())")
    with psycopg.connect(operational_url) as connection:
        connection.execute("update route_stops set note = 'gate locked'")
    assert advance(operational_url, None, 48).rows["route_stops"] > 0
    assert value(operational_url, "select count(note) > 0 and count(note) < count(*) from route_stops")


def test_a_company_is_simulated_with_what_its_simulator_does_not_know(
    operational_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    grown(monkeypatch)
    summary = simulate_company(operational_url, None, "small", 7, AS_OF, SMALL)
    assert summary.rows["tire_changes"] == 0
    assert value(operational_url, "select count(*) > 0 and count(note) = 0 from route_stops")


def test_a_required_column_that_nobody_writes_is_refused(operational_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    simulate_company(operational_url, None, "small", 7, AS_OF, SMALL)
    before = contents(operational_url)
    grown(monkeypatch, is_required=True)
    with pytest.raises(UserError, match=r"no values for route_stops\.note, which the contract requires; take"):
        complete_company(operational_url)
    assert value(operational_url, "select to_regclass('tire_changes') is null")
    with pytest.raises(UserError, match=r"no values for route_stops\.note"):
        simulate_company(operational_url, None, "small", 8, AS_OF, SMALL)
    assert contents(operational_url) == before


def test_planted_faults_are_found_in_the_tables(operational_url: str, planted_url: str) -> None:
    simulate_company(operational_url, planted_url, "small", 7, AS_OF, SMALL)
    with psycopg.connect(planted_url) as truths, psycopg.connect(operational_url) as company:
        kinds = dict(truths.execute("select kind, count(*) from planted.fault group by 1").fetchall())
        assert {"null", "impossible", "orphan", "duplicate", "late", "corrected", "deleted"} <= kinds.keys()
        checks = {
            ("loads", "deleted", ""): "select count(*) = 0 from loads where load_id = any(%s)",
            ("loads", "impossible", "weight_lb"):
                "select bool_and(weight_lb not between 0 and 80000) from loads where load_id = any(%s)",
            ("loads", "orphan", "vehicle_id"):
                "select bool_and(not exists (select from vehicles v where v.vehicle_id = loads.vehicle_id)) "
                "from loads where load_id = any(%s)",
            ("route_stops", "null", "fill_ratio"):
                "select bool_and(fill_ratio is null) from route_stops where route_stop_id = any(%s)",
            ("route_stops", "late", ""):
                "select bool_and(updated_at > service_date + 1) from route_stops where route_stop_id = any(%s)",
        }  # fmt: skip
        for (table, kind, detail), query in checks.items():
            keys = [
                key
                for (key,) in truths.execute(
                    "select row_key from planted.fault f where (table_name, kind, detail) = (%s, %s, %s) "
                    "and not exists (select from planted.fault d "
                    "where d.kind = 'deleted' and d.table_name = f.table_name and d.row_key = f.row_key "
                    "and f.kind <> 'deleted')",
                    [table, kind, detail],
                )
            ]
            assert keys, (table, kind)
            row = company.execute(query, [keys]).fetchone()
            assert row is not None
            assert row[0], (table, kind)


def test_planted_truths_say_who_left(operational_url: str, planted_url: str) -> None:
    simulate_company(operational_url, planted_url, "small", 7, AS_OF, {**SMALL, "churn_scale": "4"})
    with psycopg.connect(planted_url) as truths, psycopg.connect(operational_url) as company:
        left = set(truths.execute("select customer_id, as_of from planted.churn where churned_within_90d"))
        settled = truths.execute("select max(as_of) from planted.churn where churned_within_90d is not null").fetchone()
        ends = company.execute(
            "select distinct customer_id, end_date from service_agreements where end_date is not null"
        ).fetchall()
        seed = truths.execute("select value from planted.parameter where name = 'seed'").fetchone()
    assert seed == ("7",)
    assert left
    assert settled is not None
    assert settled[0] + timedelta(days=90) <= AS_OF.date()
    for customer, as_of in left:
        assert any(who == customer and as_of <= end < as_of + timedelta(days=90) for who, end in ends)


_CHILD = """
import sys
from datetime import datetime
from warehouse_assets.source.simulator import advance, simulate_company
what, operational, planted, as_of = sys.argv[1:]
print("begun", flush=True)
if what == "advance":
    advance(operational, planted, 24 * 12)
else:
    simulate_company(operational, planted, "small", int(what), datetime.fromisoformat(as_of), {
        "customers": "40", "start": "2025-11-10", "days": "140", "dirt_scale": "3",
    })
print("done", flush=True)
"""


def killed_after(seconds: float, what: str, operational: str, planted: str) -> bool:
    """Start a simulation of its own process and kill it; tells whether it had ended before."""
    command = [sys.executable, "-c", _CHILD, what, operational, planted, AS_OF.isoformat()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "begun\n"
        time.sleep(seconds)
        os.kill(child.pid, signal.SIGKILL)
        return "done" in child.stdout.read()


@pytest.mark.parametrize("seconds", [0.2, 0.7, 1.5])
def test_a_killed_simulation_leaves_all_or_nothing_and_the_next_heals(
    operational_url: str, planted_url: str, seconds: float
) -> None:
    killed_after(seconds, "7", operational_url, planted_url)
    if simulation_state(operational_url) is None:  # else it was killed after the commit
        assert value(operational_url, "select count(*) from pg_tables where schemaname = 'public'") == 0
    simulate_company(operational_url, planted_url, "small", 7, AS_OF, SMALL)
    state = simulation_state(operational_url)
    assert state is not None
    assert (state.preset, state.seed, state.clock) == ("small", 7, AS_OF)


def test_a_killed_step_forward_is_taken_again(operational_url: str, planted_url: str) -> None:
    simulate_company(operational_url, planted_url, "small", 7, AS_OF, SMALL)
    for seconds in (0.1, 0.3, 0.5, 0.8):
        if killed_after(seconds, "advance", operational_url, planted_url):
            break
        state = simulation_state(operational_url)
        assert state is not None
        if state.clock != AS_OF:  # killed between the commit and the word
            break
    else:
        advance(operational_url, planted_url, 24 * 12)
    moved = contents(operational_url, planted_url)
    simulate_company(operational_url, planted_url, "small", 7, AS_OF + timedelta(days=12), SMALL)
    assert contents(operational_url, planted_url) == moved


def test_a_server_that_goes_away_is_told_in_a_sentence(operational_url: str) -> None:
    def end_connections(done: int, months: int) -> None:
        with psycopg.connect(operational_url, autocommit=True) as connection:
            connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'warehouse simulate' "
                "and datname = current_database()"
            )

    with pytest.raises(UserError, match=r"broke while simulating|broke while copying"):
        simulate_company(operational_url, None, "small", 7, AS_OF, SMALL, on_progress=end_connections)
    assert simulation_state(operational_url) is None


def test_truths_of_a_step_that_was_not_taken_are_written_once(operational_url: str, planted_url: str) -> None:
    """The planted truths commit first: when the company's own commit fails then, they are ahead until the next step."""
    simulate_company(operational_url, planted_url, "small", 7, AS_OF, SMALL)
    with psycopg.connect(operational_url, autocommit=True) as connection:
        connection.execute("alter table simulator.state add constraint stands_still check (clock < '2026-03-29')")
        before = contents(operational_url, planted_url)
        with pytest.raises(UserError, match="moving the company forward"):
            advance(operational_url, planted_url, 24 * 12)
        ahead = contents(operational_url, planted_url)
        assert [table for table in before if before[table] != ahead[table]] == [
            "planted.churn", "planted.vehicle_hazard", "planted.fault",
        ]  # fmt: skip
        connection.execute("alter table simulator.state drop constraint stands_still")
    advance(operational_url, planted_url, 24 * 12)
    moved = contents(operational_url, planted_url)
    simulate_company(operational_url, planted_url, "small", 7, AS_OF + timedelta(days=12), SMALL)
    assert contents(operational_url, planted_url) == moved


def test_a_database_of_somebody_else_is_never_written_to(operational_url: str) -> None:
    with psycopg.connect(operational_url) as connection:
        connection.execute("create table public.customers (customer_id text); insert into customers values ('mine')")
    with pytest.raises(
        UserError, match=r"tables of its own \(customers\) and no simulated company; nothing was written"
    ):
        simulate_company(operational_url, None, "small", 7, AS_OF, SMALL)
    assert value(operational_url, "select string_agg(customer_id, ',') from customers") == "mine"
    assert value(operational_url, "select to_regnamespace('simulator') is null")


def test_a_company_that_is_not_there_cannot_be_moved(operational_url: str) -> None:
    assert simulation_state(operational_url) is None
    with pytest.raises(UserError, match="There is no simulated company in the operational database yet"):
        advance(operational_url, None, 1)


@pytest.mark.parametrize("hours", [0, -3, 1e9, float("nan")])
def test_the_clock_does_not_run_backwards(operational_url: str, hours: float) -> None:
    with pytest.raises(UserError, match="cannot be moved by"):
        advance(operational_url, None, hours)


def test_a_company_of_another_version_is_not_moved(operational_url: str) -> None:
    simulate_company(operational_url, None, "small", 7, AS_OF, {**SMALL, "start": "2026-03-01", "days": "28"})
    with psycopg.connect(operational_url) as connection:
        connection.execute("update simulator.state set version = version - 1")
    with pytest.raises(UserError, match="made by another version of the simulator"):
        advance(operational_url, None, 1)
