"""What vehicles and crews report: telemetry, maintenance orders, failures, shifts. Why they fail: ``fleet.py``."""

import numpy as np

from warehouse_assets.source.simulator.fleet import FleetMonth
from warehouse_assets.source.simulator.rows import NEVER, Array, Block, Rows, Stage
from warehouse_assets.source.simulator.schedule import SECOND, clock
from warehouse_assets.source.simulator.service import hours
from warehouse_assets.source.simulator.world import Month

PREVENTIVE, CORRECTIVE = range(2)


def report_telemetry(month: Month, fleet: FleetMonth, runs: Rows, weather: Rows) -> None:
    """Bring a row per vehicle and day: what it did, and sensors that follow wear as drift builds up."""
    rng = month.rng("telemetry")
    vehicles = month.master("vehicles")
    days, count = len(month.days), len(vehicles)
    cell = runs["day_place"] * count + runs["vehicle"]
    went = ~runs["cancelled"]
    size = days * count

    def total(values: Array) -> Array:
        return np.bincount(cell[went], values[went], minlength=size).reshape(days, count)

    worked = total((runs["ended"] - runs["started"]) / 60.0).clip(0, 20)
    miles, gallons = total(np.nan_to_num(runs["miles_driven"])), total(np.nan_to_num(runs["gallons"]))
    lifts = total(runs["lifts"].astype(np.float64))
    busy = worked > 0
    noise = {name: rng.standard_normal((days, count)) for name in ("heat", "oil", "hydraulic", "shake", "idle")}
    engine, hydraulics, driveline = (fleet.drift[:, :, number] for number in range(3))
    age = (month.days[:, None] - vehicles["in_service_date"][None, :]).astype(np.float64) / 365.25
    high = weather["high"][vehicles["depot_id"] - 1].T
    odometer = vehicles["_odometer"] + np.cumsum(miles, axis=0)
    vehicles["_odometer"] = odometer[-1]
    drift = engine + hydraulics + driveline

    def when_busy(values: Array) -> Array:
        return np.where(busy, np.round(values, 2), np.nan).ravel()

    day = np.repeat(month.days, count)
    readings = Rows(
        vehicle_id=np.tile(np.arange(1, count + 1), days),
        depot_id=np.tile(vehicles["depot_id"], days),
        telemetry_date=day,
        engine_hours=np.round(worked, 2).ravel(),
        odometer_miles=np.round(odometer, 2).ravel(),
        miles=np.round(miles, 2).ravel(),
        fuel_gallons=np.round(gallons, 2).ravel(),
        idle_minutes=np.round((worked * 60 * (0.16 + 0.03 * noise["idle"])).clip(0), 2).ravel(),
        hydraulic_cycles=np.round(lifts * 2.2).ravel(),
        hydraulic_pressure_psi=when_busy(2_350 - 150 * hydraulics + 36 * noise["hydraulic"]),
        engine_temperature_f=when_busy(194 + 13 * engine + 0.12 * (high - 60) + 2.8 * noise["heat"]),
        oil_pressure_psi=when_busy((47 - 6.5 * engine - 0.25 * age + 2.0 * noise["oil"]).clip(4)),
        vibration_mm_s=np.where(
            busy, np.round((2.5 + 1.5 * driveline + 0.05 * age + 0.22 * noise["shake"]).clip(0.2), 3), np.nan
        ).ravel(),
        fault_codes=np.where(busy, rng.poisson(0.04 + 0.55 * np.maximum(drift - 0.7, 0)), 0).ravel(),
    )
    readings = readings.take(np.flatnonzero(np.tile(np.isnat(vehicles["retired_date"]), days)))
    ids = month.world.ids("vehicle_telemetry", len(readings))
    month.bring(
        Block(
            "vehicle_telemetry",
            Rows({"vehicle_telemetry_id": ids, **readings}),
            month.local.utc(readings["telemetry_date"], 1_425.0),
        )
    )


def repair_vehicles(month: Month, fleet: FleetMonth, runs: Rows) -> Rows:
    """Bring maintenance orders and failures; returns the orders' costs: depot, closed (UTC), usd."""
    failed_at = _failure_times(month, fleet.failures, runs)
    orders = _maintenance_orders(month, fleet, failed_at)
    closed = orders["closed_at"]
    month.bring(
        Block(
            "maintenance_orders",
            orders,
            orders["opened_at"],
            [Stage(closed, {"closed_at": NEVER, "downtime_hours": np.nan, "parts_usd": np.nan, "labor_usd": np.nan})],
        )
    )
    _bring_failures(month, fleet.failures, runs, failed_at, orders)
    return Rows(depot=orders["depot_id"] - 1, closed=closed, usd=orders["parts_usd"] + orders["labor_usd"])


def _failure_times(month: Month, failures: Rows, runs: Rows) -> Array:
    """When each failure happened (UTC): within its run, or early in the afternoon of a day without one."""
    run = failures["run"]
    on_run = run >= 0
    day = np.where(on_run, runs["day"][run], month.days[failures["day"]])
    length = (runs["ended"] - runs["started"])[run]
    minute = np.where(on_run, runs["started"][run] + length * failures["share"], 800.0)
    return clock(month.local.clock_start(day), minute)


def _maintenance_orders(month: Month, fleet: FleetMonth, failed_at: Array) -> Rows:
    """The month's orders, those of the failures first, then those of the services; keys in the order of opening."""
    rng = month.rng("repairs")
    failures, services = fleet.failures, fleet.services
    serviced_at = clock(month.local.clock_start(month.days[services["day"]]), np.full(len(services), 1_050.0))
    opened = np.r_[failed_at + 900 * SECOND, serviced_at]
    idle = np.r_[failures["idle"], services["idle"]]
    vehicle = np.r_[failures["vehicle"], services["vehicle"]]
    count = len(vehicle)
    kind = np.r_[np.full(len(failures), CORRECTIVE), np.full(len(services), PREVENTIVE)]
    component = np.r_[failures["component"], rng.integers(0, 6, len(services))]
    base = np.where(kind == PREVENTIVE, 420.0, np.array([2_900, 1_700, 1_100, 3_800, 800, 900])[component])
    severity = np.r_[failures["severity"], np.zeros(len(services), dtype=np.int64)]
    parts = np.round(base * np.array([0.6, 1.1, 1.7])[severity] * rng.lognormal(0, 0.4, count), 2)
    labor = np.round(np.minimum(idle, 30) * 0.55 * rng.uniform(85, 115, count), 2)
    place = np.empty(count, dtype=np.int64)
    place[np.argsort(opened, kind="stable")] = np.arange(count)
    return Rows(
        maintenance_order_id=month.world.ids("maintenance_orders", count)[place],
        vehicle_id=vehicle + 1,
        depot_id=month.master("vehicles")["depot_id"][vehicle],
        order_type=kind,
        component=component,
        opened_at=opened,
        closed_at=opened + hours(idle),
        downtime_hours=np.asarray(np.round(idle, 2)),
        parts_usd=np.asarray(parts),
        labor_usd=np.asarray(labor),
    )


def _bring_failures(month: Month, failures: Rows, runs: Rows, failed_at: Array, orders: Rows) -> None:
    """Bring the failures, whose repairs are the first of ``orders``; how long each took is known at its end."""
    count, run = len(failures), failures["run"]
    month.bring(
        Block(
            "vehicle_failures",
            Rows(
                vehicle_failure_id=month.world.ids("vehicle_failures", count),
                vehicle_id=failures["vehicle"] + 1,
                route_run_id=np.where(run >= 0, runs["run_id"][run], -1),
                maintenance_order_id=orders["maintenance_order_id"][:count],
                component=failures["component"],
                severity=failures["severity"],
                failed_at=failed_at,
                downtime_hours=np.round(failures["idle"], 2),
            ),
            failed_at + 1_200 * SECOND,
            [Stage(orders["closed_at"][:count], {"downtime_hours": np.nan})],
        )
    )


def clock_shifts(month: Month, runs: Rows) -> Rows:
    """Bring the drivers' shifts; returns what they cost: depot, day, usd."""
    rng = month.rng("shifts")
    drivers = month.master("drivers")
    went = np.flatnonzero(~runs["cancelled"])
    key = runs["driver"][went] * 100_000 + runs["day"][went].astype(np.int64)
    order = np.lexsort((runs["started"][went], key))
    went, key = went[order], key[order]
    first = np.flatnonzero(np.r_[True, key[1:] != key[:-1]]) if len(key) else np.zeros(0, dtype=np.int64)
    driver, day = runs["driver"][went[first]], runs["day"][went[first]]
    count = len(first)
    clock_in = runs["started"][went[first]] - rng.uniform(10, 22, count)
    out = np.maximum.reduceat(runs["ended"][went], first) if count else np.zeros(0)
    clock_out = out + rng.uniform(10, 28, count)
    rest = np.where(clock_out - clock_in > 360, np.round(rng.uniform(28, 48, count)), 15.0)
    years = (month.days[0].astype("datetime64[Y]").astype(np.int64) + 1970) - 2020
    wage = np.round(drivers["_wage"][driver] * 1.03**years / 1.03**5, 2)
    paid = (clock_out - clock_in - rest) / 60.0
    overtime = np.maximum(paid - 10.0, 0)
    midnight = month.local.clock_start(day)
    left = clock(midnight, clock_out)
    month.bring(
        Block(
            "shifts",
            Rows(
                shift_id=month.world.ids("shifts", count),
                driver_id=driver + 1,
                depot_id=drivers["depot_id"][driver],
                shift_date=day,
                clock_in_at=clock(midnight, clock_in),
                clock_out_at=left,
                break_minutes=rest,
                hourly_rate_usd=wage,
            ),
            clock(midnight, clock_in),
            [Stage(left, {"clock_out_at": NEVER, "break_minutes": np.nan})],
        )
    )
    return Rows(depot=drivers["depot_id"][driver] - 1, day=day, usd=(paid + 0.5 * overtime) * wage * 1.42)
