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

    ``stops``: customer, place, agreement (positions), stream, day, status, reason, at (UTC time it was driven or given
    up), fill, pounds (0 unless lifted), contaminated, overage. ``runs``: the schedule's columns and, among those of the
    steps below, vehicle, driver, cancelled, started, ended (minutes), gallons, miles_driven, run_id, lifts. ``loads``:
    depot, day, fee, stream, pounds.
    """

    stops: Rows
    runs: Rows
    loads: Rows


def collect(month: Month, schedule: Schedule, fleet: FleetMonth, weather: Rows) -> Collected:
    """Drive the month's runs; brings ``route_runs``, ``route_stops`` and ``loads``."""
    rng = month.rng("collection")
    stops, runs = schedule.stops, _setting_out(month, schedule.runs, fleet, weather)
    status, reason = _customer_side(month, rng, stops, runs)
    fill, pounds = _weigh(month, rng, runs, stops, status)
    lost = _lost_to_failure(rng, runs, stops) & (status != SKIPPED) & (reason != WEATHER)
    status[lost], reason[lost] = MISSED, VEHICLE

    reached = np.flatnonzero((status != SKIPPED) & (reason != WEATHER) & (reason != VEHICLE))
    order = reached[_driven_order(rng, stops.take(reached))]
    driven, runs = _drive(month, rng, runs, stops, order, pounds)
    too_late = driven["arrival"] - runs["start"][driven["run"]] > LONGEST_RUN_MINUTES
    status[order[too_late]], reason[order[too_late]] = MISSED, TIME
    driven = driven.take(~too_late)

    lifted = status == COMPLETED
    contaminates = month.master("customers")["_contaminates"][stops["customer"]]
    risk = contaminates * np.array([0.0, 1.0, 0.6])[stops["stream"]]
    outcome = Rows(
        status=status,
        reason=reason,
        contaminated=lifted & chances(rng, risk, len(stops)),
        overage=lifted & (fill > 1.05),
        fill=fill,
        pounds=np.where(lifted, pounds, 0.0),
    )
    runs = _finish_runs(month, rng, runs, driven)
    at = _report_stops(month, runs, stops, driven, outcome)
    loads = tip_loads(month, rng, runs, driven.take(lifted[driven["stop"]]))
    _report_runs(month, runs)
    lifts = np.bincount(stops["run"][lifted], minlength=len(runs))
    known = Rows({name: stops[name] for name in ("customer", "place", "agreement", "stream")})
    went = Rows(known | outcome | Rows(day=runs["day"][stops["run"]], at=at))
    return Collected(went, Rows(runs | Rows(lifts=lifts)), loads)


def _setting_out(month: Month, runs: Rows, fleet: FleetMonth, weather: Rows) -> Rows:
    """The planned runs with their vehicles, drivers and failures, the depot's snow and rain, and ``base``.

    ``base`` is the UTC time from which a run's minutes count.
    """
    snow = weather["snow"][runs["depot"], runs["day_place"]]
    more = Rows(
        vehicle=fleet.run_vehicle,
        driver=fleet.run_driver,
        failure=fleet.run_failure,
        severity=fleet.run_severity,
        snow=snow,
        rain=weather["rain"][runs["depot"], runs["day_place"]],
        cancelled=snow > BLIZZARD_INCHES,
        base=month.local.clock_start(runs["day"]),
    )
    return Rows(runs | more)


def _customer_side(month: Month, rng: np.random.Generator, stops: Rows, runs: Rows) -> tuple[Array, Array]:
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
    snow, cancelled = runs["snow"][stops["run"]], runs["cancelled"][stops["run"]]
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


def _lost_to_failure(rng: np.random.Generator, runs: Rows, stops: Rows) -> Array:
    """Whether a stop is given up because the vehicle failed before it; a worse failure loses more stops."""
    run = stops["run"]
    after = stops["sequence"] / runs["stops"][run] > runs["failure"][run]
    return np.asarray(after & chances(rng, np.array([0.0, 0.22, 0.65, 0.0])[runs["severity"][run]], len(run)))


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
    month: Month, rng: np.random.Generator, runs: Rows, stops: Rows, order: Array, pounds: Array
) -> tuple[Rows, Rows]:
    """Drive the stops in ``order``, tipping on the way when the truck is full.

    Returns the driven stops - stop (position), run, load (number within the run), pounds, arrival and departure
    (minutes) - and the runs with late_start, trip and delay (minutes) and travelled (miles between stops).
    """
    run = stops["run"][order]
    is_first = np.r_[True, run[1:] != run[:-1]] if len(run) else np.zeros(0, dtype=bool)
    first, dense = np.flatnonzero(is_first), np.cumsum(is_first) - 1
    place_in_run = np.arange(len(run)) - first[dense]
    miles, free, slowed = _travel(month, rng, runs, stops, order, is_first)
    pace = month.master("drivers")["_pace"][runs["driver"]][run]
    service = stops["service"][order] * pace * np.exp(rng.standard_normal(len(run), dtype=np.float32) * 0.2)
    load = _load_numbers(month, runs, run, within_runs(pounds[order], first, dense), place_in_run)
    trip = trip_minutes(runs["site_miles"]) * rng.lognormal(0, 0.08, len(runs))
    late_start = np.clip(rng.normal(4, 7, len(runs)), -8, 60)
    stopped = np.array([35.0, 75.0, 120.0, 0.0])[runs["severity"][run]]
    broken = ((place_in_run + 1) / runs["stops"][run] > runs["failure"][run]) * stopped
    moving = slowed + np.r_[0.0, service[:-1]] * ~is_first
    arrival = (runs["start"] + late_start)[run] + within_runs(moving, first, dense) + load * trip[run] + broken
    driven = Rows(stop=order, run=run, load=load, pounds=pounds[order], arrival=arrival, departure=arrival + service)
    more = Rows(
        late_start=late_start,
        trip=trip,
        delay=np.bincount(run, np.maximum(slowed - free, 0), minlength=len(runs)),
        travelled=np.bincount(run, miles, minlength=len(runs)),
    )
    return driven, Rows(runs | more)


def _travel(
    month: Month, rng: np.random.Generator, runs: Rows, stops: Rows, order: Array, is_first: Array
) -> tuple[Array, Array, Array]:
    """The legs to the stops in ``order``: miles, and minutes on free roads and in that hour's traffic and weather."""
    depots, run = month.master("depots"), stops["run"][order]
    latitude, longitude, depot = stops["latitude"][order], stops["longitude"][order], runs["depot"][run]
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
    of_run = rng.lognormal(-0.02, 0.10, len(runs)) + 0.035 * np.minimum(runs["snow"], 8)
    of_run += 0.06 * np.minimum(runs["rain"], 2)
    slowed = free * (1 + 0.32 * rush * workday) * of_run[run] * np.exp(rng.standard_normal(len(run)) * 0.12)
    return miles, free, slowed


def _load_numbers(month: Month, runs: Rows, run: Array, carried: Array, place_in_run: Array) -> Array:
    """Which of its run's loads each stop fills, from the pounds ``carried`` so far; a roll-off is a load by itself."""
    rolls = month.master("routes")["service_type"][runs["route"]] == ROLL_OFF
    limit = month.master("vehicles")["capacity_tons"][runs["vehicle"]] * 2_000 * 0.94
    return np.asarray(np.where(rolls[run], place_in_run, np.floor(carried / limit[run]).astype(np.int64)))


def _finish_runs(month: Month, rng: np.random.Generator, runs: Rows, driven: Rows) -> Rows:
    """The runs with their keys, starts and ends, miles and fuel; a run without a driven stop is cancelled."""
    count = len(runs)
    last = np.full(count, np.nan)
    np.fmax.at(last, driven["run"], driven["departure"])
    cancelled = runs["cancelled"] | np.isnan(last)
    started = runs["start"] + runs["late_start"]
    ended = np.where(cancelled, runs["start"], last + runs["trip"] * 0.7 + travel_minutes(runs["home"]))
    stops_made = np.bincount(driven["run"], minlength=count)
    trips = np.maximum(1, np.round(runs["pounds"] / 19_000))
    miles = runs["travelled"] + runs["home"] + trips * 2 * 0.6 * runs["site_miles"]
    thirst = month.master("vehicles")["_thirst"][runs["vehicle"]] * (1 + 0.012 * np.minimum(runs["snow"], 10))
    gallons = (miles / 3.9 + stops_made * 0.028 + (ended - started).clip(0) / 60 * 0.75) * thirst
    gallons *= rng.lognormal(0, 0.05, count)
    more = Rows(
        run_id=month.world.ids("route_runs", count),
        cancelled=cancelled,
        started=started,
        ended=ended,
        miles_driven=np.where(cancelled, np.nan, np.round(miles * rng.lognormal(0.01, 0.015, count), 2)),
        gallons=np.where(cancelled, np.nan, np.round(gallons, 2)),
        delay=np.where(cancelled, np.nan, np.round(runs["delay"], 2)),
    )
    return Rows(runs | more)


def _report_stops(month: Month, runs: Rows, stops: Rows, driven: Rows, outcome: Rows) -> Array:
    """Bring the stops; returns when each appears: as the truck leaves, or after its run when it was given up."""
    run, lifted = stops["run"], outcome["status"] == COMPLETED
    actual_sequence, arrived, departed = np.full((3, len(run)), np.nan)
    order, of_driven = driven["stop"], driven["run"]
    first = np.searchsorted(of_driven, of_driven)
    actual_sequence[order] = np.arange(len(order)) - first + 1
    arrived[order], departed[order] = driven["arrival"], driven["departure"]
    base = runs["base"][run]
    appears = clock(base, np.where(np.isnan(departed), (runs["ended"] + 6)[run], departed + 0.4))
    month.bring(
        Block(
            "route_stops",
            Rows(
                route_stop_id=month.world.ids("route_stops", len(run)),
                route_run_id=runs["run_id"][run],
                route_id=runs["route"][run] + 1,
                customer_id=stops["customer"] + 1,
                service_location_id=stops["place"] + 1,
                container_id=stops["container"] + 1,
                service_date=runs["day"][run],
                planned_sequence=stops["sequence"],
                actual_sequence=actual_sequence,
                planned_at=clock(base, stops["minute"]),
                arrived_at=clock(base, arrived),
                departed_at=clock(base, departed),
                status=outcome["status"],
                missed_reason=outcome["reason"],
                is_contaminated=outcome["contaminated"],
                is_overage=outcome["overage"],
                fill_ratio=np.where(lifted, np.round(outcome["fill"], 3), np.nan),
                weight_lb=np.where(lifted, outcome["pounds"], np.nan),
            ),
            appears,
        )
    )
    return appears


def _report_runs(month: Month, runs: Rows) -> None:
    """Bring the runs: planned from the early morning on, then in progress and completed, or called off."""
    cancelled, base = runs["cancelled"], runs["base"]
    planned, in_progress, completed, called_off = range(4)
    started = np.where(cancelled, NEVER, clock(base, runs["started"]))
    ended = np.where(cancelled, NEVER, clock(base, runs["ended"]))
    known = np.where(cancelled, clock(base, runs["start"] - 30), NEVER)
    month.bring(
        Block(
            "route_runs",
            Rows(
                route_run_id=runs["run_id"],
                route_id=runs["route"] + 1,
                depot_id=runs["depot"] + 1,
                vehicle_id=runs["vehicle"] + 1,
                driver_id=runs["driver"] + 1,
                service_date=runs["day"],
                status=np.where(cancelled, called_off, completed),
                planned_start_at=clock(base, runs["start"]),
                planned_end_at=clock(base, runs["end"]),
                started_at=started,
                ended_at=ended,
                planned_stops=runs["stops"],
                planned_miles=np.round(runs["miles"], 2),
                actual_miles=runs["miles_driven"],
                planned_tons=np.round(runs["pounds"] / 2_000, 3),
                fuel_gallons=runs["gallons"],
                traffic_delay_minutes=runs["delay"],
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
