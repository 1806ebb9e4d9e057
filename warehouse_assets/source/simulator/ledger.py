"""Expenses and budgets: what the month's work costs, and what was planned. Revenue belongs in ``billing.py``."""

import numpy as np

from warehouse_assets.source.simulator.business_calendar import weekday
from warehouse_assets.source.simulator.rows import Array, Block, Rows, Stage
from warehouse_assets.source.simulator.vocabulary import WORDS
from warehouse_assets.source.simulator.world import Month

LABOR, FUEL, DISPOSAL, MAINTENANCE, CONTAINER, INSURANCE, LEASE, OVERHEAD, MARKETING = range(9)
_VENDORS = (
    b"Payroll",
    b"Heartland Fuel Supply",
    b"Disposal sites",
    b"Truck & Hydraulics Service",
    b"Midwest Container Works",
    b"Prairie Mutual",
    b"Yard Properties LLC",
    b"Various",
    b"Plains Media",
)
_DAY = np.timedelta64(1, "D")
#: expected costs by kind as a share of revenue, for budgets
_BUDGET_SHARES = np.array([0.25, 0.07, 0.24, 0.04, 0.03, 0.03, 0.03, 0.10, 0.02])


def book_expenses(month: Month, wages: Rows, runs: Rows, diesel: Array, loads: Rows, repairs: Rows) -> None:
    """Bring the month's expenses: each day's labor, fuel and disposal by depot, repairs, and monthly dues."""
    rng = month.rng("expenses")
    depots = len(month.master("depots"))
    parts: list[tuple[Array, Array, int, Array, Array]] = []

    def by_depot_and_day(depot: Array, day: Array, usd: Array) -> tuple[Array, Array, Array]:
        key = depot * 100_000 + day.astype(np.int64)
        unique, place = np.unique(key, return_inverse=True)
        total = np.round(np.bincount(place, usd, minlength=len(unique)), 2)
        return unique // 100_000 + 1, (unique % 100_000).astype("datetime64[D]"), total

    depot, day, usd = by_depot_and_day(wages["depot"], wages["day"], wages["usd"])
    friday = day + ((4 - (weekday(day) - 1)) % 7 + 7).astype("timedelta64[D]")
    parts.append((depot, day, LABOR, usd, friday))
    went = ~runs["cancelled"]
    price = diesel[runs["day_place"]]
    depot, day, usd = by_depot_and_day(
        runs["depot"][went], runs["day"][went], (np.nan_to_num(runs["gallons"]) * price)[went]
    )
    parts.append((depot, day, FUEL, usd, day + 10 * _DAY))
    depot, day, usd = by_depot_and_day(loads["depot"], loads["day"], loads["fee"])
    parts.append((depot, day, DISPOSAL, usd, day + 30 * _DAY))
    closed_day = month.local.day(repairs["closed"])
    parts.append((repairs["depot"] + 1, closed_day, MAINTENANCE, np.round(repairs["usd"], 2), closed_day + 21 * _DAY))
    parts += _monthly_dues(month, rng, depots)
    kinds = np.concatenate([np.full(len(part[0]), part[2]) for part in parts])
    depot, day, usd, paid = (np.concatenate([part[place] for part in parts]) for place in (0, 1, 3, 4))
    order = np.argsort(day, kind="stable")
    depot, day, usd, paid, kinds = depot[order], day[order], usd[order], paid[order], kinds[order]
    kept = np.flatnonzero(usd != 0)
    depot, day, usd, paid, kinds = depot[kept], day[kept], usd[kept], paid[kept], kinds[kept]
    count = len(day)
    month.bring(
        Block(
            "expenses",
            Rows(
                expense_id=month.world.ids("expenses", count),
                depot_id=depot,
                expense_date=day,
                paid_date=paid,
                expense_kind=kinds,
                vendor=np.array(_VENDORS)[kinds],
                amount_usd=usd,
            ),
            month.local.utc(day + _DAY, 330.0),
            [Stage(month.local.utc(paid, 720.0), {"paid_date": np.datetime64("NaT", "D")})],
        )
    )


def _monthly_dues(month: Month, rng: np.random.Generator, depots: int) -> list[tuple[Array, Array, int, Array, Array]]:
    """Containers bought for the month's new services, and each month's insurance, leases, overhead and marketing."""
    containers, locations = month.master("containers"), month.master("service_locations")
    new = (containers["installed_date"] >= month.days[0]) & (containers["installed_date"] <= month.days[-1])
    cost = np.array([62.0, 780.0, 9_500.0, 5_200.0])[containers["container_type"][new]] * 0.35
    depot = locations["depot_id"][containers["service_location_id"][new] - 1]
    bought = np.round(np.bincount(depot, cost, minlength=depots + 1)[1:], 2)
    fifth = month.days[min(4, len(month.days) - 1)]
    each = np.arange(1, depots + 1)
    day = np.full(depots, fifth)
    later = day + 20 * _DAY
    vehicles = np.bincount(month.master("vehicles")["depot_id"], minlength=depots + 1)[1:]
    size = month.plan.customers * month.share_of_month
    parts: list[tuple[Array, Array, int, Array, Array]] = [(each, day, CONTAINER, bought, later)]
    for kind, usd in (
        (INSURANCE, vehicles * 690.0 * month.share_of_month),
        (LEASE, (3_800 + 420.0 * vehicles) * month.share_of_month),
    ):
        parts.append((each, day, kind, np.round(usd * rng.uniform(0.97, 1.03, depots), 2), later))
    for kind, budget in ((OVERHEAD, 105.0 * size), (MARKETING, 11.0 * size)):
        pieces = 4
        days = month.days[np.linspace(0, len(month.days) - 1, pieces + 2).astype(int)[1:-1]]
        amounts = np.round(rng.dirichlet(np.full(pieces, 8)) * budget * rng.uniform(0.94, 1.06), 2)
        parts.append((np.full(pieces, -1), days, kind, amounts, days + 15 * _DAY))
    return parts


def set_budgets(month: Month) -> None:
    """Bring the budgets: for what is left of the year at the start, for the next year each December."""
    in_december = month.start.month == 12
    if not month.is_first and not in_december:
        return
    rng = month.rng("budgets")
    agreements, locations = month.master("service_agreements"), month.master("service_locations")
    depots = len(month.master("depots"))
    running = np.isnat(agreements["end_date"])
    depot = locations["depot_id"][agreements["service_location_id"][running] - 1]
    revenue = np.bincount(depot, agreements["_rate"][running], minlength=depots + 1)[1:] * 1.22
    first = f"{month.start:%Y-%m}" if month.is_first else f"{month.start.year + 1}-01"
    end = f"{month.start.year + (2 if in_december else 1)}-01"
    months = np.arange(first, end, dtype="datetime64[M]")
    season = 1 + 0.03 * np.cos(2 * np.pi * ((months.astype(np.int64) % 12) - 6) / 12)
    shares = np.r_[_BUDGET_SHARES, 1.0]
    own = np.array([LABOR, FUEL, DISPOSAL, MAINTENANCE, CONTAINER, INSURANCE, LEASE, len(WORDS["expense_kind"])])
    at_depot = np.repeat(np.arange(1, depots + 1), len(own) * len(months))
    category = np.tile(np.repeat(own, len(months)), depots)
    month_of = np.tile(months, depots * len(own))
    wave = np.tile(season, depots * len(own))
    usd = revenue[at_depot - 1] * shares[category] * wave * rng.normal(1.0, 0.02, len(category))
    head = np.repeat(np.array([OVERHEAD, MARKETING]), len(months))
    at_depot, category = np.r_[at_depot, np.full(len(head), -1)], np.r_[category, head]
    month_of = np.r_[month_of, np.tile(months, 2)]
    usd = np.r_[usd, revenue.sum() * shares[head]]
    count = len(category)
    appears = np.full(count, month.opening) if month.is_first else month.local.utc(np.full(count, month.days[0]), 700.0)
    month.bring(
        Block(
            "budgets",
            Rows(
                budget_id=month.world.ids("budgets", count),
                depot_id=at_depot,
                budget_month=month_of.astype("datetime64[D]"),
                category=category,
                amount_usd=np.round(usd, 2),
            ),
            appears,
        )
    )
