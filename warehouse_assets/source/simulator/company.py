"""The company in its database: made once from a plan, then moved forward. How it lives is told in ``month.py``."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np
import psycopg

from warehouse_assets.database.connections import connect
from warehouse_assets.database.errors import explain_error
from warehouse_assets.errors import UserError
from warehouse_assets.settings import Settings
from warehouse_assets.source.contract import load_contract
from warehouse_assets.source.simulator import planted, schema
from warehouse_assets.source.simulator.business_calendar import LocalTime, moment
from warehouse_assets.source.simulator.keeping import load_blocks, save_blocks
from warehouse_assets.source.simulator.load import Loader, delete_rows, merge_rows
from warehouse_assets.source.simulator.month import Lived, live_month
from warehouse_assets.source.simulator.plan import Plan, make_plan
from warehouse_assets.source.simulator.rows import Array, Block, Rows
from warehouse_assets.source.simulator.world import MASTERS, World, local_time, month_number

Progress = Callable[[int, int], None]
_LOCK = 7_305_017
#: rises when a world kept by an older simulator cannot be lived on
VERSION = 2


@dataclass(frozen=True)
class SimulationSummary:
    """Rows written by table (new or changed), rows deleted, seconds it took, and the company's clock."""

    rows: dict[str, int]
    seconds: float
    as_of: datetime
    deleted: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class CompanyState:
    """The company that an operational database holds: what it was made from and what its clock shows (UTC)."""

    preset: str
    seed: int
    clock: datetime
    plan: Plan


def simulation_state(operational_url: str) -> CompanyState | None:
    """Return the simulated company in the database, or None where there is none.

    Raises:
        UserError: the database cannot be reached.
    """
    with connect(operational_url, application_name="warehouse simulate") as connection:
        found = connection.execute("select to_regclass('simulator.state') is not null").fetchone()
        if found is None or not found[0]:
            return None
        row = connection.execute("select preset, seed, plan, clock from simulator.state").fetchone()
    if row is None:
        return None
    preset, seed, plan, clock = row
    return CompanyState(preset, seed, clock.astimezone(UTC), Plan.from_json(json.dumps(plan)))


def simulate_company(
    operational_url: str,
    planted_url: str | None,
    preset: str = "demo",
    seed: int = 7,
    as_of: datetime | None = None,
    overrides: Mapping[str, object] | None = None,
    on_progress: Progress | None = None,
    *,
    replace: bool = True,
) -> SimulationSummary:
    """Simulate a company and put its tables into schema public of the operational database, in one transaction.

    A company simulated there before is replaced, or with ``replace=False`` left as it is. Killed at any moment, the
    database is as it was.

    Args:
        operational_url: where the tables go.
        planted_url: where the planted truths go; None leaves them out.
        preset: small, demo or large.
        seed: the same seed, preset, as_of and overrides give identical tables.
        as_of: the company's clock at the end; the current hour (UTC) by default.
        overrides: values for ``override_keys()``; ``time_zone`` is WAREHOUSE_TIME_ZONE unless set here.
        on_progress: called after each month with months done and months in all.
        replace: put the new company in the place of one that is there, also of one that came while this one waited.

    Raises:
        UserError: a setting cannot be used, a database cannot be reached, or public holds somebody else's tables.
    """
    started = time.monotonic()
    given = {"time_zone": Settings.from_env().time_zone, **(overrides or {})}
    plan = make_plan(preset, seed, as_of, given)
    contract = load_contract()
    with (
        explain_error("simulating the company"),
        connect(operational_url, application_name="warehouse simulate") as connection,
    ):
        connection.execute("select pg_advisory_xact_lock(%s)", [_LOCK])
        if not replace and simulation_state(operational_url) is not None:
            return SimulationSummary({}, time.monotonic() - started, plan.as_of)
        schema.refuse_strangers(connection, contract)
        schema.create_tables(connection)
        if planted_url is None:
            rows = _simulate(plan, connection, None, on_progress)
        else:
            with connect(planted_url, application_name="warehouse simulate") as truths:
                planted.create(truths, plan)
                rows = _simulate(plan, connection, truths, on_progress)
    return SimulationSummary(rows, time.monotonic() - started, plan.as_of)


def complete_company(operational_url: str) -> None:
    """Give the company that is there the tables and columns that the contract has gained since it was simulated.

    Raises:
        UserError: a column that it gained is required, or the database cannot be reached.
    """
    with (
        explain_error("completing the simulated company"),
        connect(operational_url, application_name="warehouse simulate") as connection,
    ):
        connection.execute("select pg_advisory_xact_lock(%s)", [_LOCK])
        schema.add_missing(connection)


def _simulate(
    plan: Plan, connection: psycopg.Connection, truths: psycopg.Connection | None, on_progress: Progress | None
) -> dict[str, int]:
    contract = load_contract()
    now = moment(plan.as_of)
    local, last = _calendar(plan, plan.as_of)
    world = World(plan)
    told = _Truth(local)
    pending: list[Block] = []
    kept = b""
    with Loader(connection) as loader:
        for number in range(last + 1):
            if number == last:
                kept = world.save()
            lived = live_month(world, local)
            for block in lived.blocks:
                if block.table not in MASTERS or number == last:
                    loader.add(contract.table(block.table), block.seen(now))
            if number < last:
                pending += _unfinished(lived.blocks, now)
            told.hear(lived, now)
            if on_progress is not None:
                on_progress(number + 1, last + 1)
        loader.finish()
    rows = {table.name: loader.rows.get(table.name, 0) for table in contract}
    schema.add_keys(connection, rows)
    if truths is not None:
        told.write(truths, world, now)
        truths.commit()
    connection.execute(
        "insert into simulator.state (version, preset, seed, plan, clock, world, pending) "
        "values (%s, %s, %s, %s, %s, %s, %s)",
        [VERSION, plan.preset, plan.seed, plan.to_json(), plan.as_of, kept, save_blocks(pending)],
    )
    return rows


class _Truth:
    """The planted truths of some months, as far as the clock knows them."""

    def __init__(self, local: LocalTime) -> None:
        self._local = local
        self.churn = Rows()
        self.hazard = Rows()
        self.faults: list[tuple[str, str, str, Array, Array]] = []

    def hear(self, lived: Lived, now: np.datetime64, since: np.datetime64 | None = None) -> None:
        """Take what a month planted up to ``now`` (and after ``since``)."""
        until = self._day(now)
        after = np.datetime64("1900-01-01") if since is None else self._day(since)
        churn, hazards = lived.churn, lived.hazard
        self.churn.append(churn.take(np.flatnonzero((churn["as_of"] <= until) & (churn["as_of"] > after))))
        self.hazard.append(hazards.take(np.flatnonzero((hazards["day"] <= until) & (hazards["day"] > after))))
        self.faults += planted.shown_faults(lived.blocks, now, since)

    def _day(self, now: np.datetime64) -> np.datetime64:
        return np.datetime64(self._local.day(np.array([now]))[0], "D")

    def write(self, truths: psycopg.Connection, world: World, now: np.datetime64) -> None:
        """Write all that was heard, seen at ``now``."""
        agreements = world.masters["service_agreements"]
        ended = np.flatnonzero(~np.isnat(agreements["end_date"]))
        leaves = Rows(customer=agreements["customer_id"][ended] - 1, day=agreements["end_date"][ended])
        planted.write_churn(truths, self.churn, leaves, self._day(now))
        planted.write_hazard(truths, self.hazard)
        planted.write_faults(truths, self.faults)


def _calendar(plan: Plan, clock: datetime) -> tuple[LocalTime, int]:
    """The company's local time, and the number of the month its clock stands in."""
    local = local_time(plan, clock.date())
    return local, month_number(plan, local.today(clock))


def _unfinished(blocks: list[Block], now: np.datetime64) -> list[Block]:
    left = (block.unfinished(now) for block in blocks if block.table not in MASTERS)
    return [block for block in left if len(block)]


def advance(operational_url: str, planted_url: str | None, hours: float) -> SimulationSummary:
    """Move the simulated company's clock forward, and its tables with it, in one transaction.

    The tables are then as a simulation that ran to the new clock at once would have made them.

    Args:
        operational_url: the company's database.
        planted_url: where the planted truths go; None leaves them out.
        hours: how far, more than 0.

    Raises:
        UserError: there is no simulated company there, or ``hours`` cannot be used.
    """
    started = time.monotonic()
    if not 0 < hours <= 24 * 3_660:
        raise UserError(f"The company cannot be moved by {hours:g} hours; give a number above 0 and up to ten years.")
    state = simulation_state(operational_url)
    if state is None:
        raise UserError("There is no simulated company in the operational database yet; run `warehouse run` first.")
    with (
        explain_error("moving the company forward"),
        connect(operational_url, application_name="warehouse simulate") as connection,
    ):
        if planted_url is None:
            return _advance(state.plan, connection, None, hours, started)
        with connect(planted_url, application_name="warehouse simulate") as truths:
            return _advance(state.plan, connection, truths, hours, started)


def _advance(
    plan: Plan, connection: psycopg.Connection, truths: psycopg.Connection | None, hours: float, started: float
) -> SimulationSummary:
    connection.execute("select pg_advisory_xact_lock(%s)", [_LOCK])
    row = connection.execute("select clock, version, world, pending from simulator.state for update").fetchone()
    if row is None:
        raise UserError("The simulated company has vanished meanwhile; run `warehouse run` to make another.")
    before, version, kept, pending_bytes = row
    if version != VERSION:
        raise UserError(
            "The simulated company was made by another version of the simulator and cannot be moved forward; "
            "make it anew with `warehouse reset --yes` and `warehouse run`; where WAREHOUSE_DATABASE_URL "
            "names the warehouse, with another, empty database in it."
        )
    clock = before.astimezone(UTC) + timedelta(hours=hours)
    now, since = moment(clock), moment(before)
    local, last = _calendar(plan, clock)
    world = World.load(plan, kept)
    pending = load_blocks(pending_bytes)
    changed = list(pending)
    told = _Truth(local)
    told.churn.append(world.memory.get("truth", Rows()))
    told.faults += planted.shown_faults(pending, now, since)
    while world.month <= last:
        kept = world.save()
        is_last = world.month == last
        lived = live_month(world, local)
        changed += lived.blocks
        if not is_last:
            pending += _unfinished(lived.blocks, now)
        told.hear(lived, now, since)
    if truths is not None:
        planted.forget(truths, since, local.today(before))
        told.write(truths, world, now)
        truths.commit()
    rows, deleted = _write_changes(connection, changed, now, since)
    pending = [left for block in pending if len(left := block.unfinished(now))]
    connection.execute(
        "update simulator.state set clock = %s, world = %s, pending = %s", [clock, kept, save_blocks(pending)]
    )
    return SimulationSummary(rows, time.monotonic() - started, clock, deleted)


def _write_changes(
    connection: psycopg.Connection, blocks: list[Block], now: np.datetime64, since: np.datetime64
) -> tuple[dict[str, int], dict[str, int]]:
    """Write what changed after ``since`` and by ``now``, parents before children; then delete what vanished."""
    tables = schema.parents_first(load_contract())
    rows, deleted = dict.fromkeys((table.name for table in tables), 0), dict.fromkeys((t.name for t in tables), 0)
    for table in tables:
        mine = [block for block in blocks if block.table == table.name]
        if table.name in MASTERS:
            mine = mine[-1:]  # it holds all rows, with what the months before changed in them
        changes = Rows()
        for block in mine:
            part = block.seen(now, since)
            if part:
                changes.append(part)
        rows[table.name] = merge_rows(connection, table, changes)
    for table in tables:
        for block in blocks:
            if block.table == table.name:
                deleted[table.name] += delete_rows(connection, table, block.vanished(now, since))
    return rows, {name: count for name, count in deleted.items() if count}
