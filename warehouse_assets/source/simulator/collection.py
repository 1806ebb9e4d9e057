"""The month's collection as it went: route runs, route stops and loads. The plan of it stands in ``schedule.py``."""

from dataclasses import dataclass

import numpy as np

from warehouse_assets.source.simulator.business_calendar import day_of_year, weekday
from warehouse_assets.source.simulator.fleet import FleetMonth
from warehouse_assets.source.simulator.geography import road_miles
from warehouse_assets.source.simulator.loads import tip_loads
from warehouse_assets.source.simulator.randomness import chances
from warehouse_assets.source.simulator.rows import NEVER, Array, Block, Rows, Stage
from warehouse_assets.source.simulator.schedule import (
    DENSITY_LB,
    ROLL_OFF,
    ROLL_OFF_DENSITY_LB,
    SECOND,
    Schedule,
    clock,
    season,
    travel_minutes,
    trip_minutes,
    within_runs,
)
from warehouse_assets.source.simulator.world import Month

COMPLETED, MISSED, SKIPPED = range(3)
BLOCKED, NOT_OUT, VEHICLE, WEATHER, OVERLOADED, TIME = range(6)
#: snow in inches from which a depot's runs are cancelled
BLIZZARD_INCHES = 9.0
LONGEST_RUN_MINUTES = 14 * 60.0


@dataclass
class Collected:
    """What the month's collection did, for those who act on it.

    ``stops``: customer, place, agreement (positions), day, status, reason, at (UTC time it was driven or given up),
    pounds, contaminated, overage. ``runs``: the schedule's columns and vehicle, driver, cancelled, started, ended
    (minutes), gallons, miles driven, run_id, lifts. ``loads``: depot, day, fee, stream, pounds.
    """

    stops: Rows
    runs: Rows
    loads: Rows


def collect(month: Month, schedule: Schedule, fleet: FleetMonth, weather: Rows) -> Collected:
    """Drive the month's runs; brings ``route_runs``, ``route_stops`` and ``loads``."""
    rng = month.rng("collection")
    runs, stops = schedule.runs, schedule.stops
    snow = weather["snow"][runs["depot"], runs["day_place"]]
    rain = weather["rain"][runs["depot"], runs["day_place"]]
    cancelled = snow > BLIZZARD_INCHES
    status, reason = _customer_side(month, rng, stops, snow[stops["run"]], cancelled[stops["run"]])
    fill, pounds = _weigh(month, rng, runs, stops, status)
    unreached = (status == SKIPPED) | (reason == WEATHER)
    position = stops["sequence"] / runs["stops"][stops["run"]]
    failed_at, severity = fleet.run_failure[stops["run"]], fleet.run_severity[stops["run"]]
    after = position > failed_at
    lost = after & chances(rng, np.array([0.0, 0.22, 0.65, 0.0])[severity], len(after)) & ~unreached
    status[lost], reason[lost] = MISSED, VEHICLE
    unreached |= lost

    reached = np.flatnonzero(~unreached)
    order = reached[_driven_order(rng, stops.take(reached))]
    run = stops["run"][order]
    arrival, departure, delay, loads, travelled = _drive(month, rng, runs, stops, fleet, order, pounds, snow, rain)
    too_late = arrival - runs["start"][run] > LONGEST_RUN_MINUTES
    status[order[too_late]], reason[order[too_late]] = MISSED, TIME
    kept = ~too_late
    order, run, arrival, departure, loads = (x[kept] for x in (order, run, arrival, departure, loads))

    count = len(status)
    actual_sequence = np.full(count, np.nan)
    arrived, departed = np.full(count, np.nan), np.full(count, np.nan)
    first_kept = np.r_[True, run[1:] != run[:-1]] if len(run) else np.zeros(0, dtype=bool)
    start_place = np.flatnonzero(first_kept)
    actual_sequence[order] = np.arange(len(run)) - np.repeat(start_place, np.diff(np.r_[start_place, len(run)])) + 1
    arrived[order], departed[order] = arrival, departure
    lifted = status == COMPLETED
    overage = lifted & (fill > 1.05)
    streams = stops["stream"]
    contaminates = month.master("customers")["_contaminates"][stops["customer"]]
    contaminated = lifted & chances(rng, contaminates * np.array([0.0, 1.0, 0.6])[streams], count)

    finished = _finish_runs(month, rng, schedule, fleet, cancelled, run, departure, delay, travelled, snow)
    base = month.local.clock_start(runs["day"])
    at = np.where(np.isnan(departed), (finished["ended"] + 6)[stops["run"]], departed + 0.4)
    appears = clock(base[stops["run"]], at)
    month.bring(
        Block(
            "route_stops",
            Rows(
                route_stop_id=month.world.ids("route_stops", count),
                route_run_id=finished["run_id"][stops["run"]],
                route_id=runs["route"][stops["run"]] + 1,
                customer_id=stops["customer"] + 1,
                service_location_id=stops["place"] + 1,
                container_id=stops["container"] + 1,
                service_date=runs["day"][stops["run"]],
                planned_sequence=stops["sequence"],
                actual_sequence=actual_sequence,
                planned_at=clock(base[stops["run"]], stops["minute"]),
                arrived_at=clock(base[stops["run"]], arrived),
                departed_at=clock(base[stops["run"]], departed),
                status=status,
                missed_reason=reason,
                is_contaminated=contaminated,
                is_overage=overage,
                fill_ratio=np.where(lifted, np.round(fill, 3), np.nan),
                weight_lb=np.where(lifted, pounds, np.nan),
            ),
            appears,
        )
    )
    lifted_at = np.flatnonzero(status[order] == COMPLETED)
    driven = Rows(run=run, load=loads, pounds=pounds[order], departure=departure).take(lifted_at)
    carried = tip_loads(month, rng, runs, finished["run_id"], fleet.run_vehicle, driven, base)
    _report_runs(month, runs, finished, fleet, base)
    lifts = np.bincount(stops["run"][lifted], minlength=len(runs))
    return Collected(
        Rows(
            customer=stops["customer"],
            place=stops["place"],
            agreement=stops["agreement"],
            day=runs["day"][stops["run"]],
            status=status,
            reason=reason,
            at=appears,
            pounds=np.where(lifted, pounds, 0.0),
            contaminated=contaminated,
            overage=overage,
            stream=streams,
        ),
        Rows(runs | finished | Rows(vehicle=fleet.run_vehicle, driver=fleet.run_driver, lifts=lifts)),
        carried,
    )


def _customer_side(
    month: Month, rng: np.random.Generator, stops: Rows, snow: Array, cancelled: Array
) -> tuple[Array, Array]:
    """Status and reason (-1 none) of each stop, as far as customers and weather decide."""
    customers, locations = month.master("customers"), month.master("service_locations")
    count = len(stops)
    hard = customers["_access"] * np.where(customers["_trouble"] > 0, 7.0, 1.0)
    probability = 0.0062 * hard[stops["customer"]] * locations["_access"][stops["place"]]
    draw = rng.random(count)
    status, reason = np.full(count, COMPLETED), np.full(count, -1)
    missed = draw < np.minimum(probability, 0.35)
    status[missed] = MISSED
    at_home = customers["customer_type"][stops["customer"]] == 0
    kind = rng.random(count)
    reason[missed] = np.where(kind < 0.72, np.where(at_home, NOT_OUT, BLOCKED), OVERLOADED)[missed]
    snowed = ~missed & (draw > 1 - np.clip((snow - 2) * 0.03, 0, 0.5))
    status[snowed | cancelled], reason[snowed | cancelled] = MISSED, WEATHER
    skipped = (status == COMPLETED) & (kind > 0.9975)
    status[skipped] = SKIPPED
    return status, reason


def _weigh(month: Month, rng: np.random.Generator, runs: Rows, stops: Rows, status: Array) -> tuple[Array, Array]:
    """How full each container is and what it weighs in pounds, whether or not it is emptied."""
    containers, customers = month.master("containers"), month.master("customers")
    agreements = month.master("service_agreements")
    container, stream = stops["container"], stops["stream"]
    previous = stops["previous"]
    uncollected = (previous >= 0) & (status[previous] != COMPLETED)
    waited = np.clip(stops["gap"], 0.35, 2.5) ** 0.8 + 0.75 * uncollected
    of_day = day_of_year(runs["day"])[stops["run"]]
    fill = containers["_usual_fill"][container] * customers["_volume"][stops["customer"]] * waited
    fill *= season(stream, of_day) * np.exp(rng.standard_normal(len(fill), dtype=np.float32) * 0.17)
    density = np.where(
        agreements["service_type"][stops["agreement"]] == ROLL_OFF, ROLL_OFF_DENSITY_LB, DENSITY_LB[stream]
    )
    noise = np.exp(rng.standard_normal(len(fill), dtype=np.float32) * 0.07)
    pounds = np.minimum(fill, 1.35) * containers["capacity_yd3"][container] * density * noise
    return fill, np.maximum(np.round(pounds / 5) * 5, 5.0)


def _driven_order(rng: np.random.Generator, stops: Rows) -> Array:
    """Order in which the stops are driven: the plan, with neighbouring places swapped as drivers see fit."""
    count = len(stops)
    run = stops["run"]
    place_number = np.maximum(np.cumsum(stops["new_place"]) - 1, 0)
    opens_run = np.r_[True, run[1:] != run[:-1]][:count]
    in_run = place_number - np.repeat(place_number[opens_run], np.diff(np.r_[np.flatnonzero(opens_run), count]))
    wander = rng.standard_normal(count, dtype=np.float32) * 0.4
    wander += np.where(rng.random(count, dtype=np.float32) < 0.015, rng.standard_normal(count, dtype=np.float32) * 5, 0)
    # All containers of a place are emptied together: they share the place's own draw.
    key = run * 10_000.0 + np.clip(in_run + wander[place_number], 0, 9_999)
    return np.argsort(key, kind="stable")


def _drive(
    month: Month,
    rng: np.random.Generator,
    runs: Rows,
    stops: Rows,
    fleet: FleetMonth,
    order: Array,
    pounds: Array,
    snow: Array,
    rain: Array,
) -> tuple[Array, Array, Array, Array, Array]:
    """Minutes of arrival and departure of the stops in ``order``, and for them the load they fill.

    Also returns, per run, minutes lost in traffic and miles between stops.
    """
    depots, vehicles, drivers = month.master("depots"), month.master("vehicles"), month.master("drivers")
    run = stops["run"][order]
    is_first = np.r_[True, run[1:] != run[:-1]] if len(run) else np.zeros(0, dtype=bool)
    first = np.flatnonzero(is_first)
    dense = np.cumsum(is_first) - 1
    latitude, longitude = stops["latitude"][order], stops["longitude"][order]
    depot = runs["depot"][run]
    miles = road_miles(
        np.where(is_first, depots["latitude"][depot], np.r_[0.0, latitude[:-1]]),
        np.where(is_first, depots["longitude"][depot], np.r_[0.0, longitude[:-1]]),
        latitude,
        longitude,
    )
    free = travel_minutes(miles)
    hour = stops["minute"][order] / 60.0
    workday = (weekday(runs["day"]) <= 5)[run]
    rush = np.exp(-((hour - 7.8) ** 2) / 1.6) + 0.8 * np.exp(-((hour - 16.6) ** 2) / 2.0)
    of_run = rng.lognormal(-0.02, 0.10, len(runs)) + 0.035 * np.minimum(snow, 8) + 0.06 * np.minimum(rain, 2)
    slowed = free * (1 + 0.32 * rush * workday) * of_run[run] * np.exp(rng.standard_normal(len(run)) * 0.12)
    pace = drivers["_pace"][fleet.run_driver][run]
    service = stops["service"][order] * pace * np.exp(rng.standard_normal(len(run), dtype=np.float32) * 0.2)
    carried = within_runs(pounds[order], first, dense)
    rolls = month.master("routes")["service_type"][runs["route"]] == ROLL_OFF
    limit = vehicles["capacity_tons"][fleet.run_vehicle] * 2_000 * 0.94
    loads = np.floor(carried / limit[run]).astype(np.int64)
    loads = np.where(rolls[run], np.arange(len(run)) - first[dense], loads) if len(run) else loads
    trip = trip_minutes(runs["site_miles"]) * rng.lognormal(0, 0.08, len(runs))
    late_start = np.clip(rng.normal(4, 7, len(runs)), -8, 60)
    stopped = np.array([35.0, 75.0, 120.0, 0.0])[fleet.run_severity[run]]
    driven = np.arange(len(run)) - first[dense] + 1
    broken = (driven / runs["stops"][run] > fleet.run_failure[run]) * stopped
    moving = slowed + np.r_[0.0, service[:-1]] * ~is_first
    arrival = (runs["start"] + late_start)[run] + within_runs(moving, first, dense) + loads * trip[run] + broken
    delay = np.bincount(run, np.maximum(slowed - free, 0), minlength=len(runs))
    travelled = np.bincount(run, miles, minlength=len(runs))
    runs["late_start"], runs["trip"] = late_start, trip
    return arrival, arrival + service, delay, loads, travelled


def _finish_runs(
    month: Month,
    rng: np.random.Generator,
    schedule: Schedule,
    fleet: FleetMonth,
    cancelled: Array,
    run: Array,
    departure: Array,
    delay: Array,
    travelled: Array,
    snow: Array,
) -> Rows:
    """Ends, miles and fuel of the runs."""
    runs, vehicles = schedule.runs, month.master("vehicles")
    count = len(runs)
    last = np.full(count, np.nan)
    np.fmax.at(last, run, departure)
    cancelled = cancelled | np.isnan(last)
    started = runs["start"] + runs["late_start"]
    home = travel_minutes(runs["home"])
    ended = np.where(cancelled, runs["start"], last + runs["trip"] * 0.7 + home)
    stops_made = np.bincount(run, minlength=count)
    trips = np.maximum(1, np.round(runs["pounds"] / 19_000))
    miles = travelled + runs["home"] + trips * 2 * 0.6 * runs["site_miles"]
    thirst = vehicles["_thirst"][fleet.run_vehicle] * (1 + 0.012 * np.minimum(snow, 10))
    gallons = (miles / 3.9 + stops_made * 0.028 + (ended - started).clip(0) / 60 * 0.75) * thirst
    gallons *= rng.lognormal(0, 0.05, count)
    return Rows(
        run_id=month.world.ids("route_runs", count),
        cancelled=cancelled,
        started=started,
        ended=ended,
        miles_driven=np.where(cancelled, np.nan, np.round(miles * rng.lognormal(0.01, 0.015, count), 2)),
        gallons=np.where(cancelled, np.nan, np.round(gallons, 2)),
        delay=np.where(cancelled, np.nan, np.round(delay, 2)),
    )


def _report_runs(month: Month, runs: Rows, finished: Rows, fleet: FleetMonth, base: Array) -> None:
    cancelled = finished["cancelled"]
    planned, in_progress, completed, called_off = range(4)
    started = np.where(cancelled, NEVER, clock(base, finished["started"]))
    ended = np.where(cancelled, NEVER, clock(base, finished["ended"]))
    known = np.where(cancelled, clock(base, runs["start"] - 30), NEVER)
    month.bring(
        Block(
            "route_runs",
            Rows(
                route_run_id=finished["run_id"],
                route_id=runs["route"] + 1,
                depot_id=runs["depot"] + 1,
                vehicle_id=fleet.run_vehicle + 1,
                driver_id=fleet.run_driver + 1,
                service_date=runs["day"],
                status=np.where(cancelled, called_off, completed),
                planned_start_at=clock(base, runs["start"]),
                planned_end_at=clock(base, runs["end"]),
                started_at=started,
                ended_at=ended,
                planned_stops=runs["stops"],
                planned_miles=np.round(runs["miles"], 2),
                actual_miles=finished["miles_driven"],
                planned_tons=np.round(runs["pounds"] / 2_000, 3),
                fuel_gallons=finished["gallons"],
                traffic_delay_minutes=finished["delay"],
                is_holiday_shifted=runs["shifted"],
            ),
            clock(base, np.full(len(runs), 125.0)),
            [
                Stage(known, {"status": planned}),
                Stage(started, {"status": planned, "started_at": NEVER}),
                Stage(
                    ended + 60 * SECOND,
                    {
                        "status": in_progress,
                        "ended_at": NEVER,
                        "actual_miles": np.nan,
                        "fuel_gallons": np.nan,
                        "traffic_delay_minutes": np.nan,
                    },
                ),
            ],
        )
    )
