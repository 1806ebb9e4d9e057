"""The eight factors of leaving, measured on what happened to each customer lately. Their weights: ``hazard.py``."""

import numpy as np

from warehouse_assets.source.simulator.rows import Array, Rows
from warehouse_assets.source.simulator.world import Month

#: months of history kept, newest last
MONTHS_KEPT = 6
COUNTS = ("stops", "missed", "pounds", "complaints", "sessions")
LATE_AFTER_DAYS = 12
#: factors that nobody can know ahead, and how much of their distance from the mean they keep in a month
UNKNOWN_AHEAD = (
    "payment_delinquency",
    "missed_pickups",
    "complaints",
    "satisfaction",
    "volume_decline",
    "engagement_decline",
)
PERSISTENCE = 0.84


def remember(month: Month, counts: dict[str, Array]) -> None:
    """Roll the month's counts per customer (arrays over all customers) into the history."""
    history = month.world.memory.setdefault("history", Rows())
    size = len(month.master("customers"))
    for name in COUNTS:
        old = history.get(name, np.zeros((0, MONTHS_KEPT)))
        grown = np.vstack([old, np.zeros((size - len(old), MONTHS_KEPT))])
        history[name] = np.column_stack([grown[:, 1:], counts[name]])
    lengths = month.world.memory.setdefault("months", Rows(days=np.zeros(MONTHS_KEPT)))
    lengths["days"] = np.r_[lengths["days"][1:], float(len(month.days))]


def _recent(month: Month, name: str, customers: Array) -> tuple[Array, Array]:
    """Counts per 30 days in the last three months and in the three before (NaN where there are none)."""
    history = month.world.memory.get("history")
    if history is None:
        return np.zeros(len(customers)), np.full(len(customers), np.nan)
    values = history[name]
    padded = np.zeros((len(customers), MONTHS_KEPT))
    known = customers < len(values)
    padded[known] = values[customers[known]]
    days = month.world.memory["months"]["days"]
    late, early = max(days[3:].sum(), 1.0), days[:3].sum()
    before = padded[:, :3].sum(axis=1) * 30 / early if early >= 28 else np.full(len(customers), np.nan)
    return padded[:, 3:].sum(axis=1) * 30 / late, before


def churn_factors(month: Month, customers: Array, months_ahead: int = 0) -> Rows:
    """The factors (0-1) of ``customers`` (positions) on the month's first day, or as expected ``months_ahead``.

    What is known ahead (terms that end, rises that grow old) is moved on; the rest draws nearer to its mean.
    """
    today = month.days[0] + np.timedelta64(30 * months_ahead, "D")
    accounts = month.master("customers")
    stops, _ = _recent(month, "stops", customers)
    missed, _ = _recent(month, "missed", customers)
    complaints, _ = _recent(month, "complaints", customers)
    pounds, pounds_before = _recent(month, "pounds", customers)
    sessions, sessions_before = _recent(month, "sessions", customers)
    ratio = np.divide(pounds, pounds_before, out=np.full(len(customers), np.nan), where=pounds_before > 0)
    usual = np.nanmedian(ratio) if np.isfinite(ratio).any() else 1.0
    decline = np.nan_to_num((1 - ratio / usual - 0.06) / 0.42)
    quiet = np.nan_to_num(np.where(sessions_before * 3 >= 2, 1 - (sessions * 3 + 1) / (sessions_before * 3 + 1), 0.0))
    asked = accounts["_surveyed_month"][customers] >= month.number - MONTHS_KEPT
    satisfied = np.where(asked, np.nan_to_num(accounts["_last_survey"][customers], nan=0.7), 0.7)
    rise, days_left = _agreements(month, customers, today)
    factors = Rows(
        payment_delinquency=_delinquency(month, customers),
        missed_pickups=np.clip(missed * 3 / (stops * 3 + 20) / 0.06, 0, 1),
        complaints=1 - np.exp(-complaints * 3 / 2.0),
        satisfaction=np.clip((1 - satisfied) * 1.25 - 0.1, 0, 1),
        volume_decline=np.clip(decline, 0, 1),
        engagement_decline=np.clip(quiet, 0, 1),
        price_increase=np.clip(rise / 0.15, 0, 1),
        agreement_expiry=np.clip(1 - (days_left - 30) / 60, 0, 1),
    )
    kept = PERSISTENCE**months_ahead
    for name in UNKNOWN_AHEAD:
        factors[name] = kept * factors[name] + (1 - kept) * (factors[name].mean() if len(customers) else 0.0)
    return factors


def _agreements(month: Month, customers: Array, today: np.datetime64) -> tuple[Array, Array]:
    """Largest price rise within 180 days before ``today``, and days until the nearest end of a term."""
    agreements = month.master("service_agreements")
    count = len(month.master("customers"))
    running = np.isnat(agreements["end_date"]) & (agreements["start_date"] < month.days[0])
    owner = agreements["customer_id"] - 1
    since = (today - agreements["_rise_day"]).astype(np.float64)
    fresh = running & (since >= 0) & (since < 180)
    rise = np.zeros(count)
    np.maximum.at(rise, owner[fresh], agreements["_rise_ratio"][fresh])
    left = (agreements["term_end_date"] - today).astype(np.float64)
    left = np.where(left < 0, left + agreements["term_months"] * 30.4, left)
    nearest = np.full(count, 999.0)
    np.minimum.at(nearest, owner[running], left[running])
    return rise[customers], nearest[customers]


def _delinquency(month: Month, customers: Array) -> Array:
    """Share of the invoices due in the last 180 days that were or are more than twelve days late."""
    receivables = month.world.memory.get("receivables")
    count = len(month.master("customers"))
    if not receivables:
        return np.zeros(len(customers))
    today = month.days[0]
    limit = receivables["due"] + np.timedelta64(LATE_AFTER_DAYS, "D")
    counted = (receivables["due"] >= today - np.timedelta64(180, "D")) & (limit < today)
    late = counted & ~(receivables["paid"] <= limit)
    owner = receivables["customer"]
    total = np.bincount(owner[counted], minlength=count)
    share = np.bincount(owner[late], minlength=count) / np.maximum(total, 1)
    return np.asarray(share[customers])
