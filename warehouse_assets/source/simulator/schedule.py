"""The month's plan: which containers are visited on which run, in which order, when, and over what distance."""

from dataclasses import dataclass

import numpy as np

from warehouse_assets.source.simulator.business_calendar import shifted_days, weekday
from warehouse_assets.source.simulator.geography import road_miles
from warehouse_assets.source.simulator.rows import NEVER, Array, Rows
from warehouse_assets.source.simulator.vocabulary import code
from warehouse_assets.source.simulator.world import Month

SECOND = np.timedelta64(1_000_000, "us")
ROLL_OFF = code("service_type", "roll_off")
#: pounds a cubic yard as it lies in a container, by waste stream (US EPA volume-to-weight factors, 2016, rounded)
DENSITY_LB = np.array([92.0, 48.0, 240.0])
ROLL_OFF_DENSITY_LB = 330.0
#: share of a month's mean volume by waste stream: size and day of the yearly wave's top
_SEASON_SIZE = np.array([0.07, 0.06, 0.45])
_SEASON_TOP = np.array([190, 355, 170])


@dataclass
class Schedule:
    """The month's runs and stops as planned.

    ``runs``: route, depot, site (positions), day (on which it is driven), day_place (the same, counted from the month's
    first; a day that a holiday moved into the next month counts as the last), shifted (by a holiday), first (position
    of its first stop), stops, start and end (minutes after local midnight), miles, pounds, site_miles and home (miles
    to the site, and from the last stop to the depot).
    ``stops`` in order of run and plan: container, agreement, customer, place (positions), run, sequence, minute,
    service minutes, whether the place is new, latitude, longitude, planned pounds, gap (days since the visit
    before), previous (position of the stop before at the same container, -1 none).
    """

    runs: Rows
    stops: Rows


def season(stream: Array, days_of_year: Array) -> Array:
    """Factor by which the volume of a waste stream differs from its yearly mean."""
    return np.asarray(1 + _SEASON_SIZE[stream] * np.cos(2 * np.pi * (days_of_year - _SEASON_TOP[stream]) / 365.25))


def within_runs(values: Array, first: Array, run: Array) -> Array:
    """Cumulative sums of ``values`` that begin anew at each run; ``first`` holds each run's first position."""
    total = np.cumsum(values)
    before = total[first] - values[first]
    return np.asarray(total - before[run])


def travel_minutes(miles: Array) -> Array:
    """Driving time of a leg: from 14 miles an hour between neighbours to 34 on the open road."""
    return miles * 60.0 / (14.0 + 20.0 * np.minimum(miles / 5.0, 1.0))


def plan_month(month: Month) -> Schedule:
    """Plan the runs of all days of the month, each along its route's tour."""
    nominal = month.days[weekday(month.days) <= 6]
    actual, moved = shifted_days(nominal)
    visits = _visits(month, _tours(month), nominal, actual)
    runs = _runs(month, visits, actual, moved)
    stops = _stops(month, visits, runs)
    way = _way(month, runs, stops)
    stops["minute"] = way["minute"]
    return Schedule(Rows(runs | _way_home(month, runs, stops, way)), stops)


def _tours(month: Month) -> Rows:
    """The containers in use along the tours of all routes: container, agreement, place, route (positions)."""
    containers, agreements = month.master("containers"), month.master("service_agreements")
    agreement_of = containers["service_agreement_id"] - 1
    in_use = np.isnat(containers["removed_date"]) | (containers["removed_date"] > month.days[0])
    in_use &= agreements["_route"][agreement_of] >= 0
    used = np.flatnonzero(in_use)
    agreement = agreement_of[used]
    place = containers["service_location_id"][used] - 1
    route = agreements["_route"][agreement]
    order = np.lexsort((used, place, agreements["_tour"][agreement], route))
    return Rows(container=used, agreement=agreement, place=place, route=route).take(order)


def _visits(month: Month, tours: Rows, nominal: Array, actual: Array) -> Rows:
    """The visits to the containers of ``tours``, day after day, each day in the order of the tours.

    Returns the columns of ``tours``, day (position among ``nominal``), previous (position of the visit before to the
    same container, -1 none), gap (days since then, as a share of the usual ones).
    """
    visited = _is_visited(month, tours, nominal, actual)
    number = np.where(visited, np.arange(visited.size, dtype=np.int64).reshape(visited.shape), -1)
    latest = np.maximum.accumulate(number, axis=0)
    before = np.vstack([np.full((1, len(tours)), -1), latest[:-1]])
    day, slot = np.nonzero(visited)
    position = np.full(visited.size, -1, dtype=np.int64)
    position[number[day, slot]] = np.arange(len(day))
    cell_before = before[day, slot]
    previous = np.where(cell_before >= 0, position[cell_before], -1)
    visits = tours.take(slot)
    usual_gap = 7.0 / month.master("service_agreements")["lifts_per_week"][visits["agreement"]]
    gap = np.where(previous >= 0, (actual[day] - actual[day[previous]]).astype(np.int64), usual_gap)
    return Rows(visits | Rows(day=day, previous=previous, gap=gap / usual_gap))


def _is_visited(month: Month, tours: Rows, nominal: Array, actual: Array) -> Array:
    """Whether each container of ``tours`` is visited: (days, containers). It must stand there on the actual day."""
    containers, agreements = month.master("containers"), month.master("service_agreements")
    container, agreement = tours["container"], tours["agreement"]
    bit = 1 << (weekday(nominal) - 1)
    week = ((nominal.astype(np.int64) + 3) // 7) % 2
    parity = agreements["_parity"][agreement]
    visited = (agreements["_pattern"][agreement][None, :] & bit[:, None]) > 0
    visited &= (parity[None, :] < 0) | (parity[None, :] == week[:, None])
    removed = containers["removed_date"][container]
    removed = np.where(np.isnat(removed), np.datetime64("2200-01-01"), removed)
    installed = containers["installed_date"][container]
    visited &= (installed[None, :] < actual[:, None]) & (removed[None, :] > actual[:, None])
    return np.asarray(visited)


def _runs(month: Month, visits: Rows, actual: Array, moved: Array) -> Rows:
    """The runs that make the visits, one for each day and route, without what their way decides."""
    routes = month.master("routes")
    cell = visits["day"] * len(routes) + visits["route"]
    first = np.flatnonzero(np.r_[True, cell[1:] != cell[:-1]]) if len(cell) else np.zeros(0, dtype=np.int64)
    route, number = visits["route"][first], visits["day"][first]
    depot, day = routes["depot_id"][route] - 1, actual[number]
    site, site_miles = _sites(month, depot, routes["waste_stream"][route])
    return Rows(
        route=route,
        depot=depot,
        day=day,
        day_place=np.minimum((day - month.days[0]).astype(np.int64), len(month.days) - 1),
        shifted=moved[number],
        first=first,
        stops=np.diff(np.r_[first, len(cell)]),
        start=routes["_start"][route],
        site=site,
        site_miles=site_miles,
    )


def _stops(month: Month, visits: Rows, runs: Rows) -> Rows:
    """The stops of the runs, without the minute."""
    containers, agreements = month.master("containers"), month.master("service_agreements")
    locations = month.master("service_locations")
    container, agreement, place = visits["container"], visits["agreement"], visits["place"]
    run = np.repeat(np.arange(len(runs)), runs["stops"])
    sequence = np.arange(len(run)) - runs["first"][run] + 1
    is_new_place = sequence == 1
    is_new_place[1:] |= place[1:] != place[:-1]
    service_type, stream = agreements["service_type"][agreement], agreements["waste_stream"][agreement]
    capacity = containers["capacity_yd3"][container]
    service = service_minutes(service_type, capacity)
    density = np.where(service_type == ROLL_OFF, ROLL_OFF_DENSITY_LB, DENSITY_LB[stream])
    return Rows(
        container=container,
        agreement=agreement,
        customer=agreements["customer_id"][agreement] - 1,
        place=place,
        run=run,
        sequence=sequence,
        service=np.where(is_new_place, service + 0.6, service),
        new_place=is_new_place,
        latitude=locations["latitude"][place],
        longitude=locations["longitude"][place],
        pounds=containers["_usual_fill"][container] * capacity * density,
        gap=visits["gap"],
        previous=visits["previous"],
        stream=stream,
    )


def _way(month: Month, runs: Rows, stops: Rows) -> Rows:
    """The way to each stop: miles from the stop before or the depot, pounds filled and trips to the site, the minute.

    ``filled`` counts from the start of the run, with the stop's own pounds; ``trips`` those made before the stop.
    """
    depots = month.master("depots")
    first, run, service = runs["first"], stops["run"], stops["service"]
    is_first = stops["sequence"] == 1
    latitude, longitude, depot = stops["latitude"], stops["longitude"], runs["depot"][run]
    from_latitude = np.where(is_first, depots["latitude"][depot], np.r_[0.0, latitude[:-1]])
    from_longitude = np.where(is_first, depots["longitude"][depot], np.r_[0.0, longitude[:-1]])
    miles = road_miles(from_latitude, from_longitude, latitude, longitude)
    filled = within_runs(stops["pounds"], first, run)
    rolls = month.master("routes")["service_type"][runs["route"]] == ROLL_OFF
    trips = np.where(rolls[run], stops["sequence"] - 1, np.floor(filled / 19_000.0).astype(np.int64))
    minute = within_runs(travel_minutes(miles) + np.r_[0.0, service[:-1]] * ~is_first, first, run)
    minute = minute + runs["start"][run] + trips * trip_minutes(runs["site_miles"])[run]
    return Rows(miles=miles, filled=filled, trips=trips, minute=minute)


def _way_home(month: Month, runs: Rows, stops: Rows, way: Rows) -> Rows:
    """What the runs come to by the way back from their last stops: end, miles, pounds, home."""
    depots = month.master("depots")
    depot, first, site_miles = runs["depot"], runs["first"], runs["site_miles"]
    last = first + runs["stops"] - 1
    home = road_miles(
        stops["latitude"][last], stops["longitude"][last], depots["latitude"][depot], depots["longitude"][depot]
    )
    loads = way["trips"][last] + 1
    between = np.add.reduceat(way["miles"], first) if len(first) else np.zeros(0)
    return Rows(
        end=way["minute"][last] + stops["service"][last] + trip_minutes(site_miles) + travel_minutes(home),
        miles=between + home + loads * 2 * site_miles * 0.6,
        pounds=way["filled"][last],
        home=home,
    )


def service_minutes(service_type: Array, capacity: Array) -> Array:
    """Minutes to empty one container, once the truck stands there."""
    base = np.array([0.45, 0.62, 0.55, 0.70, 16.0])[service_type]
    return np.where(capacity < 1, 0.45, base + np.where(capacity < 15, 0.02 * capacity, 0.0))


def trip_minutes(site_miles: Array) -> Array:
    """Minutes a trip to the disposal site adds to a run: on average 60% of the way from the depot, and the scale."""
    return 2 * 0.6 * site_miles * 60.0 / 36.0 + 16.0


def _sites(month: Month, depot: Array, stream: Array) -> tuple[Array, Array]:
    """The nearest disposal site (position) that takes the stream, for each run, and road miles from the depot."""
    depots, sites = month.master("depots"), month.master("disposal_sites")
    kind = sites["site_type"]
    table = np.zeros((len(depots), 3), dtype=np.int64)
    miles = np.zeros((len(depots), 3))
    for number in range(len(depots)):
        away = road_miles(
            depots["latitude"][number], depots["longitude"][number], sites["latitude"], sites["longitude"]
        )
        for waste_stream, takes in enumerate((kind <= 1, kind == 2, kind == 3)):
            nearest = int(np.argmin(np.where(takes, away, np.inf)))
            table[number, waste_stream], miles[number, waste_stream] = nearest, away[nearest]
    return table[depot, stream], miles[depot, stream]


def clock(base: Array, minutes: Array) -> Array:
    """UTC times ``minutes`` after ``base``, to the second; NaN gives NaT."""
    known = ~np.isnan(minutes)
    seconds = (np.where(known, minutes, 0.0) * 60).astype(np.int64)
    return np.where(known, base + seconds * SECOND, NEVER)
