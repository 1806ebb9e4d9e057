"""Vehicles and the people who drive and mend: who is there, what wears, what fails. Customers do not belong here."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from warehouse_assets.source.simulator.hazard import vehicle_hazard
from warehouse_assets.source.simulator.names import person_names
from warehouse_assets.source.simulator.randomness import chances
from warehouse_assets.source.simulator.rows import NO_DAY, Array, Rows
from warehouse_assets.source.simulator.schedule import SECOND, Schedule
from warehouse_assets.source.simulator.vocabulary import code
from warehouse_assets.source.simulator.world import Month

#: service type of a route → vehicle type driven
_TYPE_FOR = np.array([2, 0, 0, 1, 3])
_CAPACITY_TONS = np.array([10.5, 9.5, 8.5, 11.0])
_COST_USD = np.array([345_000, 310_000, 330_000, 245_000])
#: drifts: engine, hydraulics, driveline → component that fails
_COMPONENTS = (("engine",), ("hydraulics", "body"), ("transmission", "brakes", "tires"))
_MINOR, _MAJOR, _ROADSIDE = range(3)


@dataclass
class FleetMonth:
    """What the month did to the fleet.

    ``run_vehicle``, ``run_driver``: positions per run. ``run_failure``: share of the run after which its vehicle
    failed (NaN: it did not), ``run_severity``: how badly (-1: not). ``drift``: (days, vehicles, engine, hydraulics and
    driveline), ``hazard``: (days, vehicles). ``failures`` and ``services``: rows of failures and preventive services.
    """

    run_vehicle: Array
    run_driver: Array
    run_failure: Array
    run_severity: Array
    drift: Array
    hazard: Array
    failures: Rows
    services: Rows


@dataclass
class _Wear:
    """How worn the vehicles are; ``drive_month`` changes the arrays in place, day by day.

    ``drift`` and ``cracked`` (wears faster): (vehicles, engine, hydraulics and driveline). ``hours_since``: worked
    since the last service, ``service_at``: hours at which the next is due. ``down_until``: day from which it drives.
    """

    drift: Array
    cracked: Array
    hours_since: Array
    service_at: Array
    down_until: Array


class _Failure(NamedTuple):
    """A failure: vehicle and run (positions, -1 no run), day and drift (numbers), share of the run, hours idle."""

    vehicle: int
    run: int
    day: int
    drift: int
    share: float
    idle: float
    severity: int


def open_fleet(month: Month) -> None:
    """Buy the vehicles that the routes need, with spares, and hire drivers and technicians."""
    rng = month.rng("fleet")
    routes, depots = month.master("routes"), month.master("depots")
    depot_of: list[int] = []
    type_of: list[int] = []
    for depot in range(len(depots)):
        mine = np.flatnonzero(routes["depot_id"] - 1 == depot)
        for route in mine:
            role, weekday = int(routes["service_type"][route]), routes["service_weekday"][route]
            if role == 0 and weekday != 1:  # one truck drives a zone's routes of all weekdays
                routes["_vehicle"][route] = routes["_driver"][route] = len(depot_of) - 1
                continue
            routes["_vehicle"][route] = routes["_driver"][route] = len(depot_of)
            depot_of.append(depot)
            type_of.append(int(_TYPE_FOR[role]))
        spares = max(1, round(0.28 * sum(place == depot for place in depot_of)))
        depot_of += [depot] * spares
        type_of += [0, 1, 2, 3][:spares] if spares <= 4 else [number % 4 for number in range(spares)]
    first, size = month.days[0], len(depot_of)
    _buy(month, rng, np.array(depot_of), np.array(type_of), first - rng.integers(60, 3_800, size).astype("m8[D]"))
    _hire(month, rng, np.array(depot_of), first - rng.integers(40, 4_000, size).astype("m8[D]"))
    count = len(depots) * 3
    month.add(
        "technicians",
        Rows(
            technician_id=month.world.ids("technicians", count),
            depot_id=np.repeat(np.arange(len(depots)) + 1, 3),
            name=person_names(rng, count),
            skill=np.tile(np.arange(3), len(depots)),
        ),
        np.full(count, month.opening - np.timedelta64(500, "D")),
    )


def _buy(month: Month, rng: np.random.Generator, depot: Array, kind: Array, bought: Array) -> None:
    """Buy vehicles of ``kind`` for ``depot`` (positions) on the days ``bought``."""
    count = len(depot)
    age_days = (month.days[0] - bought).astype(np.int64)
    fuel = rng.choice(3, count, p=(0.76, 0.2, 0.04))
    month.add(
        "vehicles",
        Rows(
            vehicle_id=month.world.ids("vehicles", count),
            depot_id=depot + 1,
            vehicle_type=kind,
            make=rng.integers(0, 4, count),
            model_year=bought.astype("datetime64[Y]").astype(np.int64) + 1970,
            fuel_type=fuel,
            capacity_tons=np.round(_CAPACITY_TONS[kind] + rng.normal(0, 0.4, count), 2),
            in_service_date=bought,
            retired_date=np.full(count, NO_DAY),
            purchase_cost_usd=np.round(_COST_USD[kind] * rng.lognormal(0, 0.05, count) * (1 + 0.35 * (fuel == 2)), -2),
            _hours_since=np.where(age_days > 0, rng.uniform(0, 240, count), 0.0),
            _odometer=np.round(age_days * rng.uniform(48, 70, count), 1),
            _down_until=np.full(count, month.days[0]),
            _service_at=rng.uniform(225, 330, count),
            _thirst=rng.lognormal(0, 0.06, count),
            **{f"_drift_{number}": rng.uniform(0, 0.3, count) for number in range(3)},
        ),
        month.local.utc(bought, 0.0),
    )


def _hire(month: Month, rng: np.random.Generator, depot: Array, hired: Array) -> None:
    """Hire a driver for each of ``depot`` (positions) on the days ``hired``."""
    count = len(depot)
    month.add(
        "drivers",
        Rows(
            driver_id=month.world.ids("drivers", count),
            depot_id=depot + 1,
            name=person_names(rng, count),
            license_class=(rng.random(count) < 0.25).astype(np.int64),
            hired_date=hired,
            left_date=np.full(count, NO_DAY),
            _pace=rng.lognormal(0, 0.07, count),
            _wage=np.round(rng.uniform(25.5, 34.0, count), 2),
        ),
        month.local.utc(hired, 0.0),
    )


def change_fleet(month: Month) -> None:
    """Replace drivers who leave, and each March the vehicles past their time, from the month's first day on."""
    if month.is_first:
        return
    rng = month.rng("turnover")
    drivers, vehicles, routes = month.master("drivers"), month.master("vehicles"), month.master("routes")
    today = month.days[0]
    leaving = np.flatnonzero(np.isnat(drivers["left_date"]) & chances(rng, 0.012, len(drivers)))
    gone_at = np.full(len(leaving), month.opening + 8 * 3_600 * SECOND)
    month.change("drivers", leaving, gone_at, {"left_date": np.full(len(leaving), today)})
    _hire(month, rng, drivers["depot_id"][leaving] - 1, np.full(len(leaving), today))
    new = len(drivers) - len(leaving) + np.arange(len(leaving))
    for old, successor in zip(leaving.tolist(), new.tolist(), strict=True):
        routes["_driver"][routes["_driver"] == old] = successor
    if month.start.month != 3:
        return
    age = (today - vehicles["in_service_date"]).astype(np.float64) / 365.25
    old_ones = np.flatnonzero(np.isnat(vehicles["retired_date"]) & (age > 10.5))
    gone_at = np.full(len(old_ones), month.opening + 8 * 3_600 * SECOND)
    month.change("vehicles", old_ones, gone_at, {"retired_date": np.full(len(old_ones), today)})
    depot, kind = vehicles["depot_id"][old_ones] - 1, vehicles["vehicle_type"][old_ones]
    _buy(month, rng, depot, kind, np.full(len(old_ones), today))
    new = len(vehicles) - len(old_ones) + np.arange(len(old_ones))
    for old, successor in zip(old_ones.tolist(), new.tolist(), strict=True):
        routes["_vehicle"][routes["_vehicle"] == old] = successor


def drive_month(month: Month, schedule: Schedule) -> FleetMonth:
    """Assign vehicles and drivers to the runs, day by day, and let wear decide which fail."""
    rng = month.rng("wear")
    runs, vehicles = schedule.runs, month.master("vehicles")
    days, count = len(month.days), len(vehicles)
    run_vehicle = month.master("routes")["_vehicle"][runs["route"]].copy()
    run_driver = _drivers(month, runs)
    wear = _wear_of(vehicles)
    drift, hazard = np.zeros((days, count, 3)), np.zeros((days, count))
    growth = rng.gamma(0.6, 1.0, (days, count, 3)) * 0.00024
    cracks, crack_kind = rng.random((days, count)), rng.integers(0, 3, (days, count))
    luck = rng.random((days, count))
    failures: list[_Failure] = []
    services: list[tuple[int, int, float]] = []
    in_depot = _vehicles_by_depot(month)
    by_day = np.argsort(runs["day_place"], kind="stable")
    edges = np.searchsorted(runs["day_place"][by_day], np.arange(days + 1))
    for day, date in enumerate(month.days):
        today = by_day[edges[day] : edges[day + 1]]
        _send_spares(run_vehicle, runs, today, wear.down_until > date, in_depot)
        minutes = runs["end"][today] - runs["start"][today]
        hours = np.bincount(run_vehicle[today], minutes / 60.0, minlength=count).clip(0, 17)
        crack = (cracks[day] < 0.022 * month.plan.failure_scale) & (hours > 0)
        wear.cracked[crack, crack_kind[day][crack]] = True
        wear.drift += growth[day] * hours[:, None] * np.where(wear.cracked, 28.0, 1.0)
        drift[day], hazard[day] = wear.drift, _hazard_today(month, wear, date, hours)
        wear.hours_since += hours
        for vehicle in np.flatnonzero(luck[day] < hazard[day]).tolist():
            mine = today[run_vehicle[today] == vehicle]
            failures.append(_fail(rng, wear, vehicle, int(mine[0]) if len(mine) else -1, day, date))
        due = np.flatnonzero((wear.hours_since > wear.service_at) & (wear.down_until <= date))
        services += [(vehicle, day, _serve(rng, wear, vehicle)) for vehicle in due.tolist()]
    _remember_wear(vehicles, wear)
    failed = _failure_rows(rng, failures)
    on_run = failed.take(failed["run"] >= 0)
    run_failure, run_severity = np.full(len(runs), np.nan), np.full(len(runs), -1)
    run_failure[on_run["run"]], run_severity[on_run["run"]] = on_run["share"], on_run["severity"]
    served = Rows(
        vehicle=np.array([vehicle for vehicle, _, _ in services], dtype=np.int64),
        day=np.array([day for _, day, _ in services], dtype=np.int64),
        idle=np.array([idle for _, _, idle in services]),
    )
    return FleetMonth(run_vehicle, run_driver, run_failure, run_severity, drift, hazard, failed, served)


def _wear_of(vehicles: Rows) -> _Wear:
    """The wear that the month before left; a crack shows in its drift."""
    drift = np.stack([vehicles[f"_drift_{number}"] for number in range(3)], axis=1)
    kept = (vehicles[name].copy() for name in ("_hours_since", "_service_at", "_down_until"))
    return _Wear(drift, drift > 0.55, *kept)


def _remember_wear(vehicles: Rows, wear: _Wear) -> None:
    """Keep the wear for the month after."""
    for number in range(3):
        vehicles[f"_drift_{number}"] = wear.drift[:, number]
    vehicles["_hours_since"], vehicles["_service_at"] = wear.hours_since, wear.service_at
    vehicles["_down_until"] = wear.down_until


def _vehicles_by_depot(month: Month) -> list[Array]:
    """Vehicles (positions) that are not retired, for each depot."""
    vehicles = month.master("vehicles")
    in_use = np.isnat(vehicles["retired_date"])
    return [np.flatnonzero((vehicles["depot_id"] == depot) & in_use) for depot in month.master("depots")["depot_id"]]


def _send_spares(run_vehicle: Array, runs: Rows, today: Array, down: Array, in_depot: list[Array]) -> None:
    """Give today's runs whose vehicle is down another of the depot that stands idle, if there is one."""
    for run in today[down[run_vehicle[today]]]:
        others = in_depot[runs["depot"][run]]
        free = others[~down[others] & ~np.isin(others, run_vehicle[today])]
        if len(free):
            run_vehicle[run] = free[0]


def _hazard_today(month: Month, wear: _Wear, date: np.datetime64, hours: Array) -> Array:
    """The probability that each vehicle fails on a day on which it works ``hours``."""
    age = (date - month.master("vehicles")["in_service_date"]).astype(np.int64) / 365.25
    hazard = vehicle_hazard(wear.hours_since, age, wear.drift.sum(axis=1), month.plan.failure_scale)
    return np.where(hours > 0, hazard, 0.0)


def _fail(rng: np.random.Generator, wear: _Wear, vehicle: int, run: int, day: int, date: np.datetime64) -> _Failure:
    """Let a vehicle fail where it is most worn; the repair makes that part as new."""
    worst = int(np.argmax(wear.drift[vehicle] + rng.gumbel(0, 0.15, 3)))
    severity = int(rng.choice(3, p=(0.45, 0.37, 0.18)))
    idle = float((rng.uniform(3, 9), rng.uniform(18, 70), rng.uniform(44, 150))[severity])
    share = float(rng.uniform(0.08, 0.92))
    wear.down_until[vehicle] = date + np.timedelta64(1 + int(idle // 24), "D")
    wear.drift[vehicle, worst] = rng.uniform(0, 0.15)
    wear.cracked[vehicle, worst] = False
    wear.hours_since[vehicle] *= 0.6
    return _Failure(vehicle, run, day, worst, share, idle, severity if run >= 0 else _MINOR)


def _serve(rng: np.random.Generator, wear: _Wear, vehicle: int) -> float:
    """Give a vehicle its preventive service, which finds about half of what is worn; returns hours idle."""
    idle = float(rng.uniform(3, 11))
    wear.hours_since[vehicle] = 0.0
    wear.service_at[vehicle] = rng.uniform(225, 360)
    found = rng.random(3) < 0.55
    wear.drift[vehicle, found] *= 0.3
    wear.cracked[vehicle, found] = False
    return idle


def _failure_rows(rng: np.random.Generator, failures: list[_Failure]) -> Rows:
    """The failures as columns, with the component (code) that failed."""
    component = [code("component", str(rng.choice(_COMPONENTS[failure.drift]))) for failure in failures]
    return Rows(
        vehicle=np.array([failure.vehicle for failure in failures], dtype=np.int64),
        run=np.array([failure.run for failure in failures], dtype=np.int64),
        day=np.array([failure.day for failure in failures], dtype=np.int64),
        component=np.array(component, dtype=np.int64),
        share=np.array([failure.share for failure in failures]),
        idle=np.array([failure.idle for failure in failures]),
        severity=np.array([failure.severity for failure in failures], dtype=np.int64),
    )


def _drivers(month: Month, runs: Rows) -> Array:
    """The driver of each run: the route's own, or another of the depot when absent or gone."""
    rng = month.rng("drivers")
    drivers, routes = month.master("drivers"), month.master("routes")
    chosen = routes["_driver"][runs["route"]].copy()
    absent = chances(rng, 0.05, len(runs))
    for run in np.flatnonzero(absent):
        same_day = (runs["day"] == runs["day"][run]) & (runs["depot"] == runs["depot"][run])
        others = np.flatnonzero((drivers["depot_id"] - 1 == runs["depot"][run]) & np.isnat(drivers["left_date"]))
        free = np.setdiff1d(others, chosen[same_day])
        if len(free):
            chosen[run] = rng.choice(free)
    return chosen
