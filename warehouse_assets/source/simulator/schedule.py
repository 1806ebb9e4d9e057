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
    containers, agreements = month.master("containers"), month.master("service_agreements")
    locations, routes, depots = month.master("service_locations"), month.master("routes"), month.master("depots")
    agreement_of = containers["service_agreement_id"] - 1
    in_use = np.isnat(containers["removed_date"]) | (containers["removed_date"] > month.days[0])
    in_use &= agreements["_route"][agreement_of] >= 0
    used = np.flatnonzero(in_use)
    agreement = agreement_of[used]
    place = containers["service_location_id"][used] - 1
    route = agreements["_route"][agreement]
    order = np.lexsort((used, place, agreements["_tour"][agreement], route))
    used, agreement, place, route = used[order], agreement[order], place[order], route[order]

    nominal = month.days[weekday(month.days) <= 6]
    actual, moved = shifted_days(nominal)
    bit = 1 << (weekday(nominal) - 1)
    week = ((nominal.astype(np.int64) + 3) // 7) % 2
    parity = agreements["_parity"][agreement]
    visited = (agreements["_pattern"][agreement][None, :] & bit[:, None]) > 0
    visited &= (parity[None, :] < 0) | (parity[None, :] == week[:, None])
    removed = containers["removed_date"][used]
    removed = np.where(np.isnat(removed), np.datetime64("2200-01-01"), removed)
    visited &= (containers["installed_date"][used][None, :] < actual[:, None]) & (removed[None, :] > actual[:, None])
    number = np.where(visited, np.arange(visited.size, dtype=np.int64).reshape(visited.shape), -1)
    latest = np.maximum.accumulate(number, axis=0)
    before = np.vstack([np.full((1, len(used)), -1), latest[:-1]])
    day, slot = np.nonzero(visited)
    position = np.full(visited.size, -1, dtype=np.int64)
    position[number[day, slot]] = np.arange(len(day))
    cell_before = before[day, slot]
    previous = np.where(cell_before >= 0, position[cell_before], -1)
    usual_gap = 7.0 / agreements["lifts_per_week"][agreement[slot]]
    gap = np.where(previous >= 0, (actual[day] - actual[day[previous]]).astype(np.int64), usual_gap)

    cell = day * len(routes) + route[slot]
    is_first = np.r_[True, cell[1:] != cell[:-1]] if len(cell) else np.zeros(0, dtype=bool)
    first = np.flatnonzero(is_first)
    run = np.cumsum(is_first) - 1
    run_route, run_day = route[slot[first]], day[first]
    run_depot = routes["depot_id"][run_route] - 1

    latitude, longitude = locations["latitude"][place[slot]], locations["longitude"][place[slot]]
    from_latitude = np.where(is_first, depots["latitude"][run_depot][run], np.r_[0.0, latitude[:-1]])
    from_longitude = np.where(is_first, depots["longitude"][run_depot][run], np.r_[0.0, longitude[:-1]])
    miles = road_miles(from_latitude, from_longitude, latitude, longitude)
    is_new_place = np.r_[True, place[slot][1:] != place[slot][:-1]] | is_first if len(slot) else is_first
    service = service_minutes(agreements["service_type"][agreement[slot]], containers["capacity_yd3"][used[slot]])
    service = np.where(is_new_place, service + 0.6, service)

    stream = agreements["waste_stream"][agreement]
    rolls = agreements["service_type"][agreement] == ROLL_OFF
    density = np.where(rolls, ROLL_OFF_DENSITY_LB, DENSITY_LB[stream])
    usual_lb = containers["_usual_fill"][used] * containers["capacity_yd3"][used] * density
    pounds = usual_lb[slot]
    site, site_miles = _sites(month, run_depot, routes["waste_stream"][run_route])
    capacity_lb = np.where(routes["service_type"][run_route] == ROLL_OFF, 1.0, 19_000.0)
    trip = trip_minutes(site_miles)
    filled = within_runs(pounds, first, run)
    trips = np.floor(filled / capacity_lb[run]).astype(np.int64)
    trips = np.where(capacity_lb[run] == 1.0, np.arange(len(run)) - first[run], trips)
    minute = within_runs(travel_minutes(miles) + np.r_[0.0, service[:-1]] * ~is_first, first, run)
    start = routes["_start"][run_route]
    minute = minute + start[run] + trips * trip[run]
    last = np.r_[first[1:], len(run)] - 1
    home = road_miles(latitude[last], longitude[last], depots["latitude"][run_depot], depots["longitude"][run_depot])
    loads = trips[last] + 1
    end = minute[last] + service[last] + trip + travel_minutes(home)
    runs = Rows(
        route=run_route,
        depot=run_depot,
        day=actual[run_day],
        day_place=np.minimum((actual[run_day] - month.days[0]).astype(np.int64), len(month.days) - 1),
        shifted=moved[run_day],
        first=first,
        stops=last - first + 1,
        start=start,
        end=end,
        miles=np.add.reduceat(miles, first) + home + loads * 2 * site_miles * 0.6 if len(first) else np.zeros(0),
        pounds=filled[last],
        site=site,
        site_miles=site_miles,
        home=home,
    )
    stops = Rows(
        container=used[slot],
        agreement=agreement[slot],
        customer=agreements["customer_id"][agreement[slot]] - 1,
        place=place[slot],
        run=run,
        sequence=np.arange(len(run)) - first[run] + 1,
        minute=minute,
        service=service,
        new_place=is_new_place,
        latitude=latitude,
        longitude=longitude,
        pounds=pounds,
        gap=gap / usual_gap,
        previous=previous,
        stream=stream[slot],
    )
    return Schedule(runs, stops)


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
