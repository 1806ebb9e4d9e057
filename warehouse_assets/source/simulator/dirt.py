"""What is wrong in the company's tables, at stated rates. The rows as they should be come from the other modules."""

from dataclasses import dataclass

import numpy as np

from warehouse_assets.source.simulator.randomness import chances
from warehouse_assets.source.simulator.rows import NEVER, Array, Block, Fault, Rows, Stage
from warehouse_assets.source.simulator.service import CONTAINER_CHANGE, DAMAGE, hours
from warehouse_assets.source.simulator.vocabulary import KEYS
from warehouse_assets.source.simulator.world import MASTERS, Month


@dataclass(frozen=True)
class Rate:
    """Share of a table's rows that have a fault of a kind, in a column or (None) as a whole."""

    table: str
    kind: str
    column: str | None
    share: float


#: kinds: null (a value missing), impossible (a value that nothing can have), zero (a weight of nothing), malformed
#: (a text of the wrong form), orphan (a key nobody has), reversed (an end before its start), misdated (a time days
#: off), duplicate (entered twice, under another key), late (appears days after its
#: day), corrected (a wrong value put right later), deleted (removed for good some days later)
RATES: tuple[Rate, ...] = (
    Rate("customers", "null", "email", 0.02),
    Rate("customers", "null", "phone", 0.04),
    Rate("customers", "null", "acquisition_channel", 0.02),
    Rate("customers", "malformed", "email", 0.006),
    Rate("service_locations", "null", "postal_code", 0.01),
    Rate("service_agreements", "impossible", "discount_ratio", 0.002),
    Rate("route_runs", "null", "fuel_gallons", 0.01),
    Rate("route_runs", "impossible", "fuel_gallons", 0.001),
    Rate("route_runs", "reversed", "ended_at", 0.001),
    Rate("route_stops", "corrected", "status", 0.0003),
    Rate("loads", "misdated", "tipped_at", 0.001),
    Rate("route_stops", "null", "weight_lb", 0.004),
    Rate("route_stops", "null", "fill_ratio", 0.003),
    Rate("route_stops", "impossible", "weight_lb", 0.00005),
    Rate("route_stops", "orphan", "container_id", 0.0004),
    Rate("route_stops", "reversed", "departed_at", 0.0006),
    Rate("route_stops", "late", None, 0.004),
    Rate("route_stops", "corrected", "weight_lb", 0.002),
    Rate("route_stops", "deleted", None, 0.0002),
    Rate("loads", "null", "weight_lb", 0.006),
    Rate("loads", "null", "tip_fee_usd", 0.01),
    Rate("loads", "impossible", "weight_lb", 0.0006),
    Rate("loads", "zero", "weight_lb", 0.0005),
    Rate("loads", "orphan", "vehicle_id", 0.002),
    Rate("loads", "duplicate", None, 0.01),
    Rate("loads", "late", None, 0.015),
    Rate("loads", "corrected", "weight_lb", 0.008),
    Rate("vehicle_telemetry", "null", "hydraulic_pressure_psi", 0.012),
    Rate("vehicle_telemetry", "null", "oil_pressure_psi", 0.008),
    Rate("vehicle_telemetry", "impossible", "engine_hours", 0.0008),
    Rate("vehicle_telemetry", "impossible", "engine_temperature_f", 0.0008),
    Rate("vehicle_telemetry", "late", None, 0.01),
    Rate("shifts", "reversed", "clock_out_at", 0.001),
    Rate("shifts", "corrected", "clock_out_at", 0.008),
    Rate("service_tickets", "orphan", "customer_id", 0.003),
    Rate("service_tickets", "null", "service_location_id", 0.05),
    Rate("service_tickets", "reversed", "resolved_at", 0.004),
    Rate("service_tickets", "deleted", None, 0.003),
    Rate("surveys", "impossible", "score", 0.004),
    Rate("payments", "null", "invoice_id", 0.004),
    Rate("payments", "late", None, 0.01),
    Rate("payments", "corrected", "method", 0.004),
    Rate("expenses", "null", "vendor", 0.01),
    Rate("expenses", "late", None, 0.02),
    Rate("expenses", "corrected", "amount_usd", 0.006),
    Rate("leads", "deleted", None, 0.005),
    Rate("portal_sessions", "null", "device_type", 0.01),
    Rate("portal_sessions", "orphan", "customer_id", 0.001),
    Rate("portal_events", "null", "page", 0.01),
)
#: references that orphans break: a source with them has no foreign key there
ORPHANED = frozenset((rate.table, rate.column) for rate in RATES if rate.kind == "orphan")
_START_OF = {
    "departed_at": "arrived_at",
    "clock_out_at": "clock_in_at",
    "resolved_at": "opened_at",
    "ended_at": "started_at",
}
#: of the loads entered twice, how many a clerk deletes within weeks
_DUPLICATES_DELETED = 0.4


def soil(month: Month) -> None:
    """Plant the month's faults in its blocks, and note each as a ``Fault`` of its block."""
    places: dict[str, int] = {}
    for block in month.blocks:
        place = places.setdefault(block.table, 0)
        places[block.table] += 1
        for rate in RATES:
            if rate.table == block.table and len(block):
                _plant(month, block, rate, place)
    for rate in RATES:
        if rate.table in MASTERS:
            _plant_in_master(month, rate)


def _plant_in_master(month: Month, rate: Rate) -> None:
    """Plant a fault in the rows that a master table gained this month."""
    rows = month.master(rate.table)
    new = np.concatenate(month.added.get(rate.table, [np.zeros(0, np.int64)]))
    rng = month.rng(f"dirt {rate.table} {rate.kind} {rate.column}")
    chosen = new[chances(rng, min(rate.share * month.plan.dirt_scale, 0.5), len(new))]
    if rate.column is None:
        raise ValueError(f"{rate.kind} needs a column")
    block = Block(rate.table, rows, rows["_changed_at"])
    chosen = chosen[_fit(block, rate, chosen)]
    if not len(chosen):
        return
    values = rows[rate.column].copy()
    values[chosen] = _wrong(rng, block, rate, values[chosen], chosen)
    rows[rate.column] = values
    month.plant(rate.table, Fault(rate.kind, chosen, rows["_changed_at"][chosen], rate.column))


def _plant(month: Month, block: Block, rate: Rate, place: int) -> None:
    # A stream of its own for every block and rate: what others draw must not matter.
    rng = month.rng(f"dirt {rate.table} {rate.kind} {rate.column} {place}")
    chosen = np.flatnonzero(chances(rng, min(rate.share * month.plan.dirt_scale, 0.5), len(block)))
    chosen = chosen[_fit(block, rate, chosen)]
    if not len(chosen):
        return
    at = block.visible_at[chosen]
    if rate.kind == "duplicate":
        _enter_twice(month, rng, block, chosen)
        return
    if rate.kind == "late":
        block.visible_at = block.visible_at.copy()
        block.visible_at[chosen] += hours(24 * rng.uniform(1, 9, len(chosen)))
        block.faults.append(Fault("late", chosen, block.visible_at[chosen]))
        return
    if rate.kind == "deleted":
        gone = at + hours(24 * rng.uniform(1, 21, len(chosen)))
        block.deleted_at = np.full(len(block), NEVER) if block.deleted_at is None else block.deleted_at
        block.deleted_at[chosen] = gone
        block.faults.append(Fault("deleted", chosen, gone))
        return
    if rate.column is None:
        raise ValueError(f"{rate.kind} needs a column")
    values = block.columns[rate.column].copy()
    if rate.kind == "corrected":
        _correct(rng, block, rate.column, values, chosen, at)
        return
    values[chosen] = _wrong(rng, block, rate, values[chosen], chosen)
    block.columns[rate.column] = values
    block.faults.append(Fault(rate.kind, chosen, _shown_at(block, rate.column, chosen), rate.column))


def _fit(block: Block, rate: Rate, chosen: Array) -> Array:
    """Which of the chosen rows can have the fault: it must be new there, and must change something."""
    fits = np.ones(len(chosen), dtype=bool)
    taken = np.zeros(len(block), dtype=bool)
    for fault in block.faults:
        if fault.detail == (rate.column or "") or "duplicate" in (fault.kind, rate.kind):
            taken[fault.which] = True
    fits &= ~taken[chosen]
    if rate.column is not None and rate.kind in (
        "null",
        "corrected",
        "impossible",
        "zero",
        "reversed",
        "malformed",
        "misdated",
    ):
        values = block.columns[rate.column][chosen]
        match values.dtype.kind:
            case "f":
                fits &= ~np.isnan(values)
            case "M":
                fits &= ~np.isnat(values)
            case "i":
                fits &= values >= 0
            case "S":
                fits &= values != b""
    if rate.kind == "deleted" and rate.table == "leads":  # not those that an opportunity grew from
        fits &= np.isnat(block.stages[0].at[chosen])
    if rate.kind == "deleted" and rate.table == "service_tickets":  # not those that sent a crew
        fits &= ~np.isin(block.columns["ticket_type"][chosen], (DAMAGE, CONTAINER_CHANGE))
    return fits


def _shown_at(block: Block, column: str, chosen: Array) -> Array:
    """When the value of a column first shows in the table."""
    at = block.visible_at[chosen]
    for stage in block.stages:
        if column in stage.before:
            at = np.fmax(at, stage.at[chosen])
    return at


def _wrong(rng: np.random.Generator, block: Block, rate: Rate, values: Array, chosen: Array) -> Array:
    count = len(chosen)
    match rate.kind, rate.column:
        case "null", _:
            empty: dict[str, object] = {"f": np.nan, "i": -1, "S": b"", "M": np.datetime64("NaT")}
            return np.full(count, empty[values.dtype.kind], dtype=values.dtype)
        case "zero", _:
            return np.zeros(count)
        case "malformed", "email":
            return np.char.replace(values, b"@", b" at ")
        case "misdated", "tipped_at":
            return np.asarray(values - hours(24.0 * rng.integers(3, 300, count)))
        case "impossible", "fuel_gallons":
            return np.round(values * rng.uniform(20, 40, count), 2)
        case "impossible", "discount_ratio":
            return np.round(1 + rng.uniform(1, 30, count), 4)
        case "orphan", column:
            target = {"vehicle_id": "vehicles", "customer_id": "customers", "container_id": "containers"}[str(column)]
            digits = KEYS[target][1]
            return np.asarray(10**digits - 1 - rng.integers(0, 50, count))
        case "impossible", "weight_lb":
            scale = 82_000 if rate.table == "loads" else 41_000
            return np.where(rng.random(count) < 0.25, -values, np.round(scale * rng.uniform(1, 3, count)))
        case "impossible", "engine_hours":
            return np.round(rng.uniform(24.5, 60, count), 2)
        case "impossible", "engine_temperature_f":
            return np.round(rng.uniform(420, 999, count), 2)
        case "impossible", "score":
            return np.full(count, 11.0)
        case "reversed", column:
            start = _START_OF[str(column)]
            return np.asarray(block.columns[start][chosen] - hours(rng.uniform(0.5, 6, count)))
        case _:
            raise ValueError(f"no way to plant {rate.kind} in {rate.table}.{rate.column}")


def _correct(rng: np.random.Generator, block: Block, column: str, values: Array, chosen: Array, at: Array) -> None:
    """Let rows show a wrong value until it is put right days later."""
    before = values.copy()
    match values.dtype.kind:
        case "M":
            before[chosen] += hours(rng.choice([-1.0, 1.0, 2.0], len(chosen)))
        case "i":
            before[chosen] = (values[chosen] + 1) % 3
        case _:
            before[chosen] = np.round(values[chosen] * rng.choice([0.5, 1.1, 1.5], len(chosen)), 2)
    moments = np.full(len(block), NEVER)
    shown = _shown_at(block, column, chosen)
    moments[chosen] = np.fmax(at, shown) + hours(24 * rng.uniform(1, 40, len(chosen)))
    block.stages.append(Stage(moments, {column: before}))
    block.faults.append(Fault("corrected", chosen, moments[chosen], column))


def _enter_twice(month: Month, rng: np.random.Generator, block: Block, chosen: Array) -> None:
    """Add copies of the chosen rows under new keys; some are deleted again."""
    count = len(chosen)
    first = len(block)
    copies = block.columns.take(chosen)
    key = {"loads": "load_id"}[block.table]
    copies[key] = month.world.ids(block.table, count)
    appears = block.visible_at[chosen] + hours(rng.uniform(0.05, 50, count))
    block.columns = Rows({name: np.concatenate([values, copies[name]]) for name, values in block.columns.items()})
    block.visible_at = np.concatenate([block.visible_at, appears])
    block.stages = [
        Stage(
            np.concatenate([stage.at, stage.at[chosen]]),
            {
                name: np.concatenate([value, value[chosen]]) if isinstance(value, np.ndarray) and value.ndim else value
                for name, value in stage.before.items()
            },
        )
        for stage in block.stages
    ]
    gone = np.where(chances(rng, _DUPLICATES_DELETED, count), appears + hours(24 * rng.uniform(2, 30, count)), NEVER)
    deleted = np.full(first, NEVER) if block.deleted_at is None else block.deleted_at
    block.deleted_at = np.concatenate([deleted, gone])
    which = np.arange(first, first + count)
    block.faults.append(Fault("duplicate", which, appears))
    vanishes = ~np.isnat(gone)
    if vanishes.any():
        block.faults.append(Fault("deleted", which[vanishes], gone[vanishes]))
