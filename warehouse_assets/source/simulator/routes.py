"""The route network: which routes a depot drives, and which agreement is served on which route and weekdays."""

import numpy as np

from warehouse_assets.source.simulator.geography import angle_from, dispatcher_tour
from warehouse_assets.source.simulator.rows import Array, Rows
from warehouse_assets.source.simulator.vocabulary import code
from warehouse_assets.source.simulator.world import Month

RESIDENTIAL_WEEKDAYS = (1, 2, 4)

#: lifts a week → the choices of weekdays, as bits (1 Monday, 2 Tuesday, 4 Wednesday …)
_PATTERNS: dict[float, tuple[int, ...]] = {
    0.5: (1, 2, 4, 8, 16),
    1.0: (1, 2, 4, 8, 16),
    2.0: (0b001001, 0b010010, 0b100100),
    3.0: (0b010101, 0b101010, 0b011010),
    4.0: (0b011011, 0b011110, 0b001111, 0b110110),
    5.0: (0b011111,),
    6.0: (0b111111,),
}


def open_routes(month: Month, customers_per_depot: float) -> None:
    """Make each depot's routes for its number of customers: ten for some 375 customers."""
    depots = month.master("depots")
    sizes = (
        max(1, round(customers_per_depot / 1_500)),
        max(1, round(customers_per_depot / 125)),
        max(1, round(customers_per_depot / 190)),
        max(1, round(customers_per_depot / 900)),
        max(1, round(customers_per_depot / 1_500)),
    )
    rows: list[tuple[int, int, int, float, float]] = []
    for depot in range(len(depots)):
        for role, zones in enumerate(sizes):
            for zone in range(zones):
                if role == 0:
                    sectors = zones * len(RESIDENTIAL_WEEKDAYS)
                    for place, weekday in enumerate(RESIDENTIAL_WEEKDAYS):
                        sector = zone * len(RESIDENTIAL_WEEKDAYS) + place
                        rows.append((depot, role, weekday, sector / sectors, (sector + 1) / sectors))
                else:
                    rows.append((depot, role, 0, zone / zones, (zone + 1) / zones))
    depot_of, role_of, weekday_of = (np.array([row[place] for row in rows]) for place in range(3))
    count = len(rows)
    names = [
        f"{depots['region'][depot].decode()[0]}{depot + 1}-{'RCYOX'[role]}{number + 1:02d}"
        for number, (depot, role, *_) in enumerate(rows)
    ]
    month.add(
        "routes",
        Rows(
            route_id=month.world.ids("routes", count),
            depot_id=depot_of + 1,
            route_name=np.array(names, dtype="S16"),
            service_type=role_of,
            waste_stream=np.array([0, 0, 1, 2, 0])[role_of],
            service_weekday=np.where(weekday_of > 0, weekday_of, np.nan),
            _from=np.array([row[3] for row in rows]),
            _to=np.array([row[4] for row in rows]),
            _vehicle=np.full(count, -1),
            _driver=np.full(count, -1),
            _start=np.where(role_of == 0, 390.0, 300.0 + 15 * (np.arange(count) % 5)),
        ),
        np.full(count, month.opening - np.timedelta64(400, "D")),
    )


def choose_patterns(month: Month, rng: np.random.Generator, which: Array) -> None:
    """Give the agreements ``which`` (positions) a route and weekdays."""
    agreements = month.master("service_agreements")
    service = agreements["service_type"][which]
    lifts = agreements["lifts_per_week"][which]
    pattern = np.zeros(len(which), dtype=np.int64)
    for number, choices in _PATTERNS.items():
        chosen = lifts == number
        pattern[chosen] = rng.choice(choices, int(chosen.sum()))
    # Only commercial routes run on Saturdays; Wednesday, the lightest day, takes what falls there.
    on_saturday = (pattern >= 0b100000) & (service != code("service_type", "commercial_collection"))
    pattern[on_saturday] = np.where(
        pattern[on_saturday] == 0b101010, 0b001110, pattern[on_saturday] & 0b011111 | 0b010000
    )
    agreements["_pattern"][which] = pattern
    agreements["_parity"][which] = np.where(lifts == 0.5, rng.integers(0, 2, len(which)), -1)
    assign_routes(month, which)


def assign_routes(month: Month, which: Array) -> None:
    """Put the agreements ``which`` on the route of their depot, service and sector."""
    agreements, routes = month.master("service_agreements"), month.master("routes")
    locations, depots = month.master("service_locations"), month.master("depots")
    place = agreements["service_location_id"][which] - 1
    depot = locations["depot_id"][place] - 1
    angle = angle_from(
        depots["latitude"][depot],
        depots["longitude"][depot],
        locations["latitude"][place],
        locations["longitude"][place],
    )
    service = agreements["service_type"][which]
    chosen = np.full(len(which), -1)
    for route in range(len(routes)):
        on_route = (
            (routes["depot_id"][route] - 1 == depot)
            & (routes["service_type"][route] == service)
            & (angle >= routes["_from"][route])
            & (angle < routes["_to"][route])
        )
        chosen[on_route] = route
    agreements["_route"][which] = chosen
    _append_to_tours(month, which)
    weekday = routes["service_weekday"][chosen]
    fixed = ~np.isnan(weekday)
    agreements["_pattern"][which[fixed]] = 1 << (weekday[fixed].astype(np.int64) - 1)


def balance_routes(month: Month) -> None:
    """Cut the sectors so that the routes of a depot and service have about as many lifts a week."""
    agreements, routes = month.master("service_agreements"), month.master("routes")
    locations, depots = month.master("service_locations"), month.master("depots")
    place = agreements["service_location_id"] - 1
    depot = locations["depot_id"][place] - 1
    angle = angle_from(
        depots["latitude"][depot],
        depots["longitude"][depot],
        locations["latitude"][place],
        locations["longitude"][place],
    )
    weight = agreements["container_count"] * agreements["lifts_per_week"]
    for depot_id in np.unique(routes["depot_id"]):
        for role in range(5):
            group = np.flatnonzero((routes["depot_id"] == depot_id) & (routes["service_type"] == role))
            mine = np.flatnonzero((depot == depot_id - 1) & (agreements["service_type"] == role))
            if len(group) < 2 or len(mine) < len(group):
                continue
            order = mine[np.argsort(angle[mine], kind="stable")]
            done = np.cumsum(weight[order])
            cuts = np.searchsorted(done, done[-1] * np.arange(1, len(group)) / len(group))
            edges = np.r_[0.0, angle[order][cuts], 1.0]
            routes["_from"][group], routes["_to"][group] = edges[:-1], edges[1:]
    assign_routes(month, np.arange(len(agreements)))
    _plan_tours(month)


def _plan_tours(month: Month) -> None:
    """Let the dispatcher set each route's tour through all its places; a day's run follows it through those due."""
    agreements, routes = month.master("service_agreements"), month.master("routes")
    locations, depots = month.master("service_locations"), month.master("depots")
    for route in range(len(routes)):
        mine = np.flatnonzero(agreements["_route"] == route)
        places, of_place = np.unique(agreements["service_location_id"][mine] - 1, return_inverse=True)
        if not len(places):
            continue
        depot = int(routes["depot_id"][route]) - 1
        start = float(depots["latitude"][depot]), float(depots["longitude"][depot])
        tour = dispatcher_tour(start, locations["latitude"][places], locations["longitude"][places])
        rank = np.empty(len(tour))
        rank[tour] = np.arange(len(tour))
        agreements["_tour"][mine] = rank[of_place]


def _append_to_tours(month: Month, which: Array) -> None:
    """Put new agreements ``which`` right after the nearest place already on their route's tour."""
    agreements, locations = month.master("service_agreements"), month.master("service_locations")
    planned = ~np.isnan(agreements["_tour"])
    if not planned.any():  # before the first plan
        return
    place = agreements["service_location_id"] - 1
    for agreement in which.tolist():
        others = np.flatnonzero(planned & (agreements["_route"] == agreements["_route"][agreement]))
        if not len(others):
            agreements["_tour"][agreement] = 0.0
            continue
        here = place[agreement]
        away = (locations["latitude"][place[others]] - locations["latitude"][here]) ** 2
        away += (0.77 * (locations["longitude"][place[others]] - locations["longitude"][here])) ** 2
        agreements["_tour"][agreement] = agreements["_tour"][others[np.argmin(away)]] + 0.25
