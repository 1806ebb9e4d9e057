"""The company on its first simulated day: depots, sites, fees, routes, fleet, and the customers it already has."""

import numpy as np

from warehouse_assets.source.simulator.accounts import TYPE_SHARES, open_accounts
from warehouse_assets.source.simulator.billing import base_charges
from warehouse_assets.source.simulator.fleet import open_fleet
from warehouse_assets.source.simulator.geography import CENTER, offset_degrees, place_clusters, place_depots
from warehouse_assets.source.simulator.market import open_market
from warehouse_assets.source.simulator.randomness import chances
from warehouse_assets.source.simulator.routes import balance_routes, open_routes
from warehouse_assets.source.simulator.rows import NO_DAY, Rows
from warehouse_assets.source.simulator.vocabulary import code
from warehouse_assets.source.simulator.world import Month

#: name, kind, miles north and east of the centre
_SITES = (
    ("Courtney Ridge Landfill", "landfill", 11.0, 14.0),
    ("Johnson County Landfill", "landfill", -12.0, -15.0),
    ("North River Transfer Station", "transfer_station", 6.5, -3.0),
    ("Raytown Transfer Station", "transfer_station", -4.0, 9.0),
    ("Riverfront Materials Recovery", "recycling_facility", 3.0, 2.0),
    ("Missouri Organics", "composting_facility", -6.0, 4.0),
)
#: site kind → streams it takes and US dollars a ton in 2020
_FEES: dict[str, tuple[tuple[str, float], ...]] = {
    "landfill": (("waste", 38.0), ("construction", 33.0), ("other", 31.0)),
    "transfer_station": (("waste", 45.5), ("construction", 42.0)),
    "recycling_facility": (("recycling", 12.0),),
    "composting_facility": (("organics", 26.0),),
}


def found_company(month: Month) -> None:
    """Fill the masters and memories of a world that has none, as the first day of its first month finds them."""
    rng = month.rng("founding")
    plan = month.plan
    old = month.opening - np.timedelta64(3_000, "D")
    depots = place_depots(plan.depots)
    month.add(
        "depots",
        Rows(
            depot_id=month.world.ids("depots", plan.depots),
            opened_date=month.days[0] - rng.integers(3_000, 6_000, plan.depots).astype("timedelta64[D]"),
            **depots,
        ),
        np.full(plan.depots, old),
    )
    north, east = offset_degrees(np.array([site[2] for site in _SITES]), np.array([site[3] for site in _SITES]))
    month.add(
        "disposal_sites",
        Rows(
            disposal_site_id=month.world.ids("disposal_sites", len(_SITES)),
            name=np.array([site[0] for site in _SITES], dtype="S40"),
            site_type=np.array([code("site_type", site[1]) for site in _SITES]),
            region=np.array(["East", "West", "North", "East", "North", "South"], dtype="S8"),
            latitude=np.round(CENTER[0] + north, 6),
            longitude=np.round(CENTER[1] + east, 6),
        ),
        np.full(len(_SITES), old),
    )
    _ask_fees(month, rng)
    month.world.memory["clusters"] = place_clusters(rng, month.master("depots"))
    open_market(month.world)
    month.world.memory["orders"] = Rows(
        customer=np.zeros(0, np.int64),
        place=np.zeros(0, np.int64),
        delivery=np.zeros(0, "datetime64[D]"),
        pickup=np.zeros(0, "datetime64[D]"),
        picked_at=np.zeros(0, "datetime64[us]"),
        price=np.zeros(0),
        order=np.zeros(0, np.int64),
        cancelled=np.zeros(0, bool),
        size=np.zeros(0, np.int64),
        stream=np.zeros(0, np.int64),
    )
    open_routes(month, plan.customers / plan.depots)
    count = plan.accounts_at_start
    age = np.minimum(rng.exponential(1_100, count) + 40, 3_600).astype(np.int64)
    created_day = month.days[0] - np.sort(age)[::-1].astype("timedelta64[D]")
    open_accounts(
        month,
        "founding accounts",
        month.local.utc(created_day, rng.uniform(500, 1_000, count)),
        created_day + rng.integers(1, 15, count).astype("timedelta64[D]"),
        rng.choice(5, count, p=(0.22, 0.28, 0.3, 0.12, 0.08)),
        rng.choice(4, count, p=TYPE_SHARES),
    )
    balance_routes(month)
    customers = month.master("customers")
    for name, share in (("_decline", 0.12), ("_trouble", 0.07), ("_stress", 0.09)):
        customers[name] = np.where(chances(rng, share, count), rng.integers(1, 6, count), 0)
    customers["_volume"] = np.where(customers["_decline"] > 0, rng.uniform(0.6, 1.0, count), 1.0)
    open_fleet(month)
    before = month.days[0].astype("datetime64[M]") - 1
    month.world.memory["unbilled"] = base_charges(
        month, before.astype("datetime64[D]"), (before + 1).astype("datetime64[D]")
    )


def _ask_fees(month: Month, rng: np.random.Generator) -> None:
    """Write the tip fees from two years before the first month on; each January brings the next."""
    for year in range(month.start.year - 2, month.start.year + 1):
        raise_fees(month, rng, np.datetime64(f"{year}-01-01"))


def raise_fees(month: Month, rng: np.random.Generator, day: np.datetime64) -> None:
    """Let every site ask a new fee from ``day`` on."""
    sites = month.master("disposal_sites")
    fees = month.world.masters.get("tip_fees", Rows())
    if fees:
        open_ones = np.flatnonzero(np.isnat(fees["effective_to"]))
        if month.is_first:
            fees["effective_to"][open_ones] = day
        else:
            at = month.local.utc(np.full(len(open_ones), day), 60.0)
            month.change("tip_fees", open_ones, at, {"effective_to": np.full(len(open_ones), day)})
    years = int(day.astype("datetime64[Y]").astype(np.int64)) + 1970 - 2020
    site, stream, fee = [], [], []
    for number in range(len(sites)):
        kind = _SITES[number][1]
        for name, usd in _FEES[kind]:
            site.append(number + 1)
            stream.append(code("waste_stream", name))
            fee.append(usd * 1.035**years)
    count = len(site)
    month.add(
        "tip_fees",
        Rows(
            tip_fee_id=month.world.ids("tip_fees", count),
            disposal_site_id=np.array(site),
            waste_stream=np.array(stream),
            effective_from=np.full(count, day),
            effective_to=np.full(count, NO_DAY),
            fee_usd_per_ton=np.round(np.array(fee) * rng.lognormal(0, 0.01, count), 2),
        ),
        month.local.utc(np.full(count, day), 60.0),
    )
