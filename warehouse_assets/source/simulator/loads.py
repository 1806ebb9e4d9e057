"""Loads: what trucks tip at disposal sites, from routes, one-off roll-off orders and street sweepers; and its price."""

import numpy as np

from warehouse_assets.source.simulator.business_calendar import weekday
from warehouse_assets.source.simulator.rows import Array, Block, Rows
from warehouse_assets.source.simulator.schedule import ROLL_OFF, SECOND, clock
from warehouse_assets.source.simulator.vocabulary import code
from warehouse_assets.source.simulator.world import Month

SWEEPING, HAULED = code("load_type", "SWEEPING"), code("load_type", "ROLL OFF")


def tip_fee(month: Month, site: Array, stream: Array, day: Array) -> Array:
    """The fee in force at a site (position) for a stream on a day, US dollars a short ton."""
    fees = month.master("tip_fees")
    result = np.zeros(len(site))
    for row in range(len(fees)):
        holds = (
            (site == fees["disposal_site_id"][row] - 1)
            & (stream == fees["waste_stream"][row])
            & (day >= fees["effective_from"][row])
        )
        result[holds] = fees["fee_usd_per_ton"][row]
    return result


def tip_loads(month: Month, rng: np.random.Generator, runs: Rows, driven: Rows) -> Rows:
    """Bring the loads of the runs: stops until the truck is full, tipped at the run's disposal site.

    Args:
        month: the month.
        rng: its random stream.
        runs: the runs as they went.
        driven: the lifts in order: run, load (number within the run), pounds, departure (minute).

    Returns:
        The loads: depot, day, fee (US dollars), stream, pounds, run.
    """
    run, load = driven["run"], driven["load"]
    if not len(run):
        return Rows(depot=run, day=runs["day"][run], fee=driven["pounds"], stream=run, pounds=driven["pounds"])
    is_first = np.r_[True, (run[1:] != run[:-1]) | (load[1:] != load[:-1])]
    first = np.flatnonzero(is_first)
    last = np.r_[first[1:], len(run)] - 1
    of_run = run[last]
    weight = np.add.reduceat(driven["pounds"], first) * rng.normal(1.0, 0.012, len(first))
    weight = np.maximum(np.round(weight / 20) * 20, 20.0)
    tipped = clock(runs["base"][of_run], driven["departure"][last] + runs["trip"][of_run] * 0.55)
    routes = month.master("routes")
    stream = routes["waste_stream"][runs["route"][of_run]]
    fee = np.round(weight / 2_000 * tip_fee(month, runs["site"][of_run], stream, runs["day"][of_run]), 2)
    role = routes["service_type"][runs["route"][of_run]]
    return _bring(
        month,
        Rows(
            route_run_id=runs["run_id"][of_run],
            route_id=runs["route"][of_run] + 1,
            vehicle_id=runs["vehicle"][of_run] + 1,
            disposal_site_id=runs["site"][of_run] + 1,
            service_date=runs["day"][of_run],
            tipped_at=tipped,
            load_type=np.array([0, 0, 1, 2, 3])[role],
            waste_stream=stream,
            weight_lb=weight,
            tip_fee_usd=fee,
        ),
        runs["depot"][of_run],
    )


def _bring(month: Month, loads: Rows, depot: Array) -> Rows:
    month.bring(
        Block(
            "loads",
            Rows({"load_id": month.world.ids("loads", len(loads)), **loads}),
            loads["tipped_at"] + 240 * SECOND,
        )
    )
    return Rows(
        depot=depot,
        day=loads["service_date"],
        fee=np.nan_to_num(loads["tip_fee_usd"]),
        stream=loads["waste_stream"],
        pounds=np.nan_to_num(loads["weight_lb"]),
    )


def haul_orders(month: Month, runs: Rows) -> Rows:
    """Bring the loads of roll-off orders picked up in the month; returns them as ``tip_loads`` does."""
    rng = month.rng("hauls")
    orders = month.world.memory["orders"]
    due = np.flatnonzero((orders["pickup"] >= month.days[0]) & (orders["pickup"] <= month.days[-1]))
    now = orders.take(due)
    count = len(now)
    customers, vehicles, routes = month.master("customers"), month.master("vehicles"), month.master("routes")
    depot = customers["depot_id"][now["customer"]] - 1
    run = np.full(count, -1)
    rolls = np.flatnonzero(routes["service_type"][runs["route"]] == ROLL_OFF)
    by_day = {(int(runs["depot"][r]), int(runs["day"][r].astype(np.int64))): int(r) for r in rolls}
    for number, key in enumerate(zip(depot.tolist(), now["pickup"].astype(np.int64).tolist(), strict=True)):
        run[number] = by_day.get(key, -1)
    on_run = run >= 0
    trucks = np.flatnonzero(vehicles["vehicle_type"] == 3)
    truck_of = np.array([trucks[vehicles["depot_id"][trucks] - 1 == d][0] for d in range(len(month.master("depots")))])
    yards = np.array([10, 20, 30, 40])[now["size"]]
    weight = np.clip(yards * rng.lognormal(5.9, 0.28, count), 400, 26_000)
    weight = np.round(weight / 20) * 20
    site = _site_for(month, depot)
    fee = np.round(weight / 2_000 * tip_fee(month, site, now["stream"], now["pickup"]), 2)
    return _bring(
        month,
        Rows(
            route_run_id=np.where(on_run, runs["run_id"][run], -1) if len(runs) else run,
            route_id=np.where(on_run, runs["route"][run] + 1, -1) if len(runs) else run,
            vehicle_id=truck_of[depot] + 1,
            disposal_site_id=site + 1,
            service_date=now["pickup"],
            tipped_at=now["picked_at"] + (rng.uniform(30, 75, count) * 60).astype(np.int64) * SECOND,
            load_type=np.full(count, HAULED),
            waste_stream=now["stream"],
            weight_lb=weight,
            tip_fee_usd=fee,
        ),
        depot,
    )


def _site_for(month: Month, depot: Array) -> Array:
    """The landfill (position) of each depot."""
    sites, depots = month.master("disposal_sites"), month.master("depots")
    landfills = np.flatnonzero(sites["site_type"] == 0)
    away = (depots["latitude"][:, None] - sites["latitude"][landfills]) ** 2
    away += (depots["longitude"][:, None] - sites["longitude"][landfills]) ** 2
    return np.asarray(landfills[np.argmin(away, axis=1)][depot])


def sweep_streets(month: Month) -> Rows:
    """Bring the street sweepers' loads, one a workday and depot, mostly not weighed; returns them likewise."""
    rng = month.rng("sweeping")
    workdays = month.days[weekday(month.days) <= 5]
    depots = len(month.master("depots"))
    depot, day = np.repeat(np.arange(depots), len(workdays)), np.tile(workdays, depots)
    swept = rng.random(len(day)) < 0.45
    depot, day = depot[swept], day[swept]
    count = len(day)
    site = _site_for(month, depot)
    weighed = rng.random(count) < 0.25
    weight = np.where(weighed, np.round(rng.lognormal(8.3, 0.3, count) / 20) * 20, np.nan)
    stream = np.full(count, code("waste_stream", "other"))
    return _bring(
        month,
        Rows(
            route_run_id=np.full(count, -1),
            route_id=np.full(count, -1),
            vehicle_id=np.full(count, -1),
            disposal_site_id=site + 1,
            service_date=day,
            tipped_at=month.local.utc(day, rng.uniform(400, 900, count)),
            load_type=np.full(count, SWEEPING),
            waste_stream=stream,
            weight_lb=weight,
            tip_fee_usd=np.full(count, 45.0),
        ),
        depot,
    )
