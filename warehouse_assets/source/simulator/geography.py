"""The map: depots, disposal sites, neighbourhoods with streets, distances and the order of stops. No time belongs here.

The metropolitan area lies around Kansas City; towns and streets are invented.
"""

import numpy as np

from warehouse_assets.source.simulator.rows import Array, Rows

CENTER = (39.10, -94.58)
EARTH_MILES = 3958.8
#: road miles for each mile as the crow flies (typical of US street grids, Boscoe et al. 2012: 1.2 to 1.4)
DETOUR = 1.30
MILES_PER_DEGREE = 69.0

REGIONS = ("North", "East", "South", "West")
TOWNS = (
    "Liberty Falls",
    "Gladwater",
    "Parkville Heights",
    "Blue Springs",
    "Stone Ridge",
    "Sugar Hill",
    "Belton Grove",
    "Grandview Park",
    "Martin Mills",
    "Shawnee Bend",
    "Lenexa Creek",
    "Bonner Crossing",
    "Prairie View",
    "Oak Hollow",
    "Cedar Bluff",
    "Maple Fork",
)
STREETS = (
    "Oak St",
    "Maple Ave",
    "Main St",
    "Walnut St",
    "Cedar Ln",
    "Prospect Ave",
    "Troost Ave",
    "Broadway",
    "Summit St",
    "Holmes Rd",
    "Grand Blvd",
    "Mill Rd",
    "Elm St",
    "State Line Rd",
    "Church St",
    "Industrial Dr",
)
CLUSTERS_PER_DEPOT = 9


def haversine_miles(latitude: Array, longitude: Array, latitude_2: Array, longitude_2: Array) -> Array:
    """Return great-circle distances in miles between points in degrees (arrays of one shape, or scalars)."""
    phi, phi_2 = np.radians(latitude), np.radians(latitude_2)
    half = np.sin((phi_2 - phi) / 2) ** 2
    half = half + np.cos(phi) * np.cos(phi_2) * np.sin(np.radians(longitude_2 - longitude) / 2) ** 2
    return np.asarray(2 * EARTH_MILES * np.arcsin(np.sqrt(half)))


def road_miles(latitude: Array, longitude: Array, latitude_2: Array, longitude_2: Array) -> Array:
    """Return distances by road in miles: the great circle times the detour factor."""
    return haversine_miles(latitude, longitude, latitude_2, longitude_2) * DETOUR


def offset_degrees(miles_north: Array, miles_east: Array) -> tuple[Array, Array]:
    """Return the degrees of latitude and longitude that an offset in miles makes near the centre."""
    return miles_north / MILES_PER_DEGREE, miles_east / (MILES_PER_DEGREE * np.cos(np.radians(CENTER[0])))


def place_depots(count: int) -> Rows:
    """Return ``count`` depots around the centre: latitude, longitude, region (bytes) and name (bytes)."""
    turn = np.arange(count) * 2 * np.pi / max(count, 1)
    ring = np.where(np.arange(count) < 4, 9.0, 17.0) * (1 if count > 1 else 0.2)
    north, east = offset_degrees(ring * np.cos(turn), ring * np.sin(turn))
    quarter = np.floor(((turn + np.pi / 4) % (2 * np.pi)) / (np.pi / 2)).astype(int)
    regions = [REGIONS[place] for place in quarter]
    names = [f"{region} {'Depot' if number < 4 else f'Depot {number + 1}'}" for number, region in enumerate(regions)]
    return Rows(
        latitude=np.round(CENTER[0] + north, 6),
        longitude=np.round(CENTER[1] + east, 6),
        region=np.array(regions, dtype="S12"),
        name=np.array(names, dtype="S24"),
    )


def place_clusters(rng: np.random.Generator, depots: Rows) -> Rows:
    """Return neighbourhoods: depot (position), latitude, longitude, spread in miles, town, first postal code."""
    count = len(depots) * CLUSTERS_PER_DEPOT
    depot = np.repeat(np.arange(len(depots)), CLUSTERS_PER_DEPOT)
    turn = rng.uniform(0, 2 * np.pi, count)
    away = rng.uniform(0.5, 7.5, count)
    north, east = offset_degrees(away * np.cos(turn), away * np.sin(turn))
    town = depot * 3 % len(TOWNS) + np.tile(np.arange(CLUSTERS_PER_DEPOT) % 3, len(depots))
    return Rows(
        depot=depot,
        latitude=depots["latitude"][depot] + north,
        longitude=depots["longitude"][depot] + east,
        spread=rng.uniform(0.4, 1.3, count),
        heading=rng.uniform(0, np.pi / 2, count),
        town=np.array(TOWNS, dtype="S20")[town % len(TOWNS)],
        postal_code=64_001 + np.arange(count) * 3,
    )


def place_locations(rng: np.random.Generator, clusters: Rows, depot: Array) -> Rows:
    """Return one place on a street for each entry of ``depot`` (positions).

    Columns: latitude, longitude, address, city, postal_code (bytes).
    """
    count = len(depot)
    cluster = depot * CLUSTERS_PER_DEPOT + rng.integers(0, CLUSTERS_PER_DEPOT, count)
    spread, heading = clusters["spread"][cluster], clusters["heading"][cluster]
    # Streets are parallel lines a sixth of the neighbourhood apart; every third runs across.
    street = rng.integers(0, len(STREETS), count)
    across = np.where(street % 3 == 0, np.pi / 2, 0.0)
    away = (street / len(STREETS) - 0.5) * 2 * spread
    along = rng.normal(0, 1, count) * spread
    north = along * np.cos(heading + across) - away * np.sin(heading + across)
    east = along * np.sin(heading + across) + away * np.cos(heading + across)
    d_north, d_east = offset_degrees(north, east)
    number = np.round(2000 + along * 800).astype(int)
    names = [f"{house} {STREETS[name]}" for house, name in zip(number.tolist(), street.tolist(), strict=True)]
    return Rows(
        latitude=np.round(clusters["latitude"][cluster] + d_north, 6),
        longitude=np.round(clusters["longitude"][cluster] + d_east, 6),
        address=np.array(names, dtype="S28"),
        city=clusters["town"][cluster],
        postal_code=(clusters["postal_code"][cluster] + street % 3).astype("S5"),
    )


def curve_key(latitude: Array, longitude: Array) -> Array:
    """Return the position of points on a Hilbert curve over the area.

    Visiting points in this order is a tour about 25% longer than the best (Platzman and Bartholdi, 1989,
    "Spacefilling curves and the planar travelling salesman problem").
    """
    bits = 10
    x, y = (longitude - CENTER[1]) * np.cos(np.radians(CENTER[0])), latitude - CENTER[0]
    scale = (1 << bits) / 1.2
    xi = np.clip((x + 0.6) * scale, 0, (1 << bits) - 1).astype(np.int64)
    yi = np.clip((y + 0.6) * scale, 0, (1 << bits) - 1).astype(np.int64)
    key = np.zeros(np.shape(xi), dtype=np.int64)
    side = 1 << (bits - 1)
    while side:
        rx, ry = (xi & side) > 0, (yi & side) > 0
        key += side * side * ((3 * rx) ^ ry)
        flip = ~ry & rx
        xi, yi = np.where(flip, (1 << bits) - 1 - xi, xi), np.where(flip, (1 << bits) - 1 - yi, yi)
        xi, yi = np.where(~ry, yi, xi), np.where(~ry, xi, yi)
        side >>= 1
    return key


def angle_from(latitude: Array, longitude: Array, latitude_2: Array, longitude_2: Array) -> Array:
    """Return the direction from the first points to the second, as a share of the full circle (0-1)."""
    east = (longitude_2 - longitude) * np.cos(np.radians(CENTER[0]))
    return np.asarray((np.arctan2(latitude_2 - latitude, east) / (2 * np.pi)) % 1.0)


def dispatcher_tour(depot: tuple[float, float], latitude: Array, longitude: Array, passes: int = 2) -> Array:
    """Return points in the order in which a dispatcher would visit them from ``depot`` (latitude, longitude).

    The space-filling curve, with ``passes`` passes of 2-opt (Croes, 1958): good, and not the best.
    """
    order = np.argsort(curve_key(latitude, longitude), kind="stable")
    count = len(order) + 1
    tour = np.r_[0, order + 1, 0]
    at_latitude, at_longitude = np.r_[depot[0], latitude], np.r_[depot[1], longitude]
    away = haversine_miles(at_latitude[:, None], at_longitude[:, None], at_latitude[None, :], at_longitude[None, :])
    for _ in range(passes):
        for first in range(1, count - 1):
            here, last = tour[first - 1 : first + 1], tour[first + 1 : count]
            after = tour[first + 2 : count + 1]
            longer = away[here[0], last] + away[here[1], after] - away[here[0], here[1]] - away[last, after]
            best = int(np.argmin(longer))
            if longer[best] < -1e-9:
                tour[first : first + best + 2] = tour[first : first + best + 2][::-1].copy()
    return np.asarray(tour[1:-1] - 1)
