"""What becomes of customers each month: moods change, prices rise, services grow and shrink, terms end, some leave."""

import numpy as np

from warehouse_assets.source.simulator.accounts import add_months, install_containers, sign_agreements
from warehouse_assets.source.simulator.factors import churn_factors
from warehouse_assets.source.simulator.hazard import (
    FACTOR_WEIGHTS,
    REASONS,
    churn_log_odds,
    monthly_probability,
    probability_90_days,
)
from warehouse_assets.source.simulator.names import telephone_numbers
from warehouse_assets.source.simulator.randomness import chances
from warehouse_assets.source.simulator.rows import NO_DAY, Array, Rows
from warehouse_assets.source.simulator.vocabulary import code
from warehouse_assets.source.simulator.world import Month

MOVED, CLOSED = code("end_reason", "moved"), code("end_reason", "closed")
ANNUAL, NEGOTIATED, SERVICE_CHANGE = (
    code("change_reason", word) for word in ("annual_increase", "negotiated", "service_change")
)


def active_customers(month: Month) -> Array:
    """Positions of the customers who have an agreement that began before the month and has not ended."""
    customers, agreements = month.master("customers"), month.master("service_agreements")
    running = np.isnat(agreements["end_date"]) & (agreements["start_date"] < month.days[0])
    served = np.zeros(len(customers), dtype=bool)
    served[agreements["customer_id"][running] - 1] = True
    return np.flatnonzero(served & np.isnat(customers["_left"]))


def change_accounts(month: Month) -> None:
    """Let some customers change their telephone number, or begin or end paying automatically."""
    rng = month.rng("accounts")
    active = active_customers(month)
    customers = month.master("customers")
    for column, share in (("is_autopay", 0.006), ("phone", 0.003)):
        who = active[chances(rng, share * month.share_of_month, len(active))]
        at = month.local.utc(month.days[rng.integers(0, len(month.days), len(who))], rng.uniform(480, 1_080, len(who)))
        values = ~customers[column][who] if column == "is_autopay" else telephone_numbers(rng, len(who))
        month.change("customers", who, at, {column: values})


def change_moods(month: Month) -> None:
    """Move the unrecorded states of all customers on by a month: volume, engagement, declines and troubles."""
    rng = month.rng("moods")
    customers = month.master("customers")
    count = len(customers)
    for name, chance, low, high in (("_decline", 0.032, 3, 8), ("_trouble", 0.022, 2, 6), ("_stress", 0.022, 3, 8)):
        begins = chances(rng, chance, count) & (customers[name] == 0)
        length = rng.integers(low, high, count)
        customers[name] = np.where(begins, length, np.maximum(customers[name] - 1, 0))
    declining = customers["_decline"] > 0
    volume, engagement = customers["_volume"], customers["_engagement"]
    customers["_volume"] = np.where(
        declining, volume * rng.uniform(0.82, 0.94, count), volume + 0.3 * (1 - volume) + rng.normal(0, 0.035, count)
    ).clip(0.15, 1.6)
    customers["_engagement"] = np.where(
        declining,
        engagement * rng.uniform(0.5, 0.85, count),
        engagement + 0.4 * (1 - engagement) + rng.normal(0, 0.08, count),
    ).clip(0.02, 2.0)


def decide_leaving(month: Month) -> Rows:
    """Let customers leave by the stated hazard; returns the planted truth: customer, probability within 90 days."""
    rng = month.rng("leaving")
    active = active_customers(month)
    now, soon, later = (churn_factors(month, active, months_ahead) for months_ahead in range(3))
    scale = month.plan.churn_scale
    truth = Rows(
        customer=active,
        as_of=np.full(len(active), month.days[0]),
        probability=probability_90_days(now, soon, later, scale),
    )
    leaves = chances(rng, monthly_probability(churn_log_odds(now), scale, month.share_of_month), len(active))
    leaving = active[leaves]
    day = month.days[rng.integers(0, len(month.days), len(leaving))]
    push = np.column_stack(
        [FACTOR_WEIGHTS[reason.factor] * now[reason.factor][leaves] for reason in REASONS]
        + [np.full(len(leaving), 0.6), np.full(len(leaving), 0.4)]
    )
    said = np.argmax(np.log(push + 1e-9) + rng.gumbel(0, 1, push.shape), axis=1)
    reasons = np.array([code("end_reason", reason.end_reason) for reason in REASONS] + [MOVED, CLOSED])
    end_service(month, rng, leaving, day, reasons[said])
    return truth


def end_service(month: Month, rng: np.random.Generator, leaving: Array, day: Array, reason: Array) -> None:
    """End all running agreements of the customers ``leaving`` on their ``day``, and take the containers away."""
    customers, agreements, containers = (
        month.master(table) for table in ("customers", "service_agreements", "containers")
    )
    customers["_left"][leaving] = day
    day_of = np.full(len(customers), NO_DAY)
    day_of[leaving] = day
    reason_of = np.full(len(customers), -1)
    reason_of[leaving] = reason
    owner = agreements["customer_id"] - 1
    ended = np.flatnonzero(np.isnat(agreements["end_date"]) & ~np.isnat(day_of[owner]))
    # An agreement that has not begun yet ends on the day it begins.
    end = np.maximum(day_of[owner[ended]], np.minimum(agreements["start_date"][ended], month.days[-1]))
    ended_at = month.local.utc(end, 600.0)
    month.change("service_agreements", ended, ended_at, {"end_date": end, "end_reason": reason_of[owner[ended]]})
    month.change("service_agreement_prices", agreements["_price_row"][ended], ended_at, {"effective_to": end})
    end_of = np.full(len(agreements), NO_DAY)
    end_of[ended] = end
    holder = containers["service_agreement_id"] - 1
    taken = np.flatnonzero(np.isnat(containers["removed_date"]) & ~np.isnat(end_of[holder]))
    wait = rng.integers(0, 4, len(taken)).astype("timedelta64[D]")
    removed = np.minimum(end_of[holder[taken]] + wait, month.days[-1])
    month.change("containers", taken, month.local.utc(removed, 900.0), {"removed_date": removed})


def win_back(month: Month) -> None:
    """Let some who left come back, with the services they had."""
    rng = month.rng("returns")
    customers, agreements = month.master("customers"), month.master("service_agreements")
    away = np.flatnonzero(customers["_left"] < month.days[0] - np.timedelta64(45, "D"))
    back = away[chances(rng, 0.016 * month.share_of_month, len(away))]
    day = month.days[rng.integers(0, len(month.days), len(back))]
    start = np.full(len(customers), NO_DAY)
    start[back] = day
    owner = agreements["customer_id"] - 1
    last_end = np.full(len(customers), np.datetime64("1900-01-01"))
    known = np.where(np.isnat(agreements["end_date"]), np.datetime64("1900-01-01"), agreements["end_date"])
    np.maximum.at(last_end, owner, known)
    again = np.flatnonzero(~np.isnat(start[owner]) & (known == last_end[owner]))
    customers["_left"][back] = NO_DAY
    for name in ("_decline", "_trouble", "_stress"):
        customers[name][back] = 0
    customers["_volume"][back] = customers["_engagement"][back] = 1.0
    sign_agreements(
        month,
        rng,
        Rows(
            customer_id=agreements["customer_id"][again],
            service_location_id=agreements["service_location_id"][again],
            service_type=agreements["service_type"][again],
            container_count=agreements["container_count"][again],
            lifts_per_week=agreements["lifts_per_week"][again],
            start_date=start[owner[again]],
            _capacity=agreements["_capacity"][again],
            _kind=agreements["_kind"][again],
        ),
    )


def reprice(month: Month, which: Array, rate: Array, reason: int) -> None:
    """Give agreements ``which`` (positions) a new monthly rate from the first day of the month."""
    if not len(which):
        return
    agreements = month.master("service_agreements")
    day = np.full(len(which), month.days[0])
    at = month.local.utc(day, 360.0)
    month.change("service_agreement_prices", agreements["_price_row"][which], at, {"effective_to": day})
    ids = month.world.ids("service_agreement_prices", len(which))
    month.add(
        "service_agreement_prices",
        Rows(
            service_agreement_price_id=ids,
            service_agreement_id=which + 1,
            effective_from=day,
            effective_to=np.full(len(which), NO_DAY),
            monthly_rate_usd=rate,
            change_reason=np.full(len(which), reason),
        ),
        at,
    )
    agreements["_price_row"][which] = ids - 1
    agreements["_rise_ratio"][which] = rate / agreements["_rate"][which] - 1
    agreements["_rise_day"][which] = day
    agreements["_rate"][which] = rate


def change_agreements(month: Month, truth: Rows) -> None:
    """Raise prices on anniversaries, renew terms, grow and shrink services, and bargain with those about to leave."""
    renew_terms(month)
    if month.is_first:
        return
    rng = month.rng("agreements")
    agreements, customers = month.master("service_agreements"), month.master("customers")
    running = np.isnat(agreements["end_date"]) & (agreements["start_date"] < month.days[0])
    owner = agreements["customer_id"] - 1
    age = (month.days[0].astype("datetime64[M]") - agreements["start_date"].astype("datetime64[M]")).astype(np.int64)
    due = np.flatnonzero(running & (age > 0) & (age % 12 == 0))
    at_home = customers["customer_type"][owner[due]] == 0
    rise = np.where(at_home, rng.normal(0.04, 0.012, len(due)), rng.normal(0.045, 0.02, len(due)))
    rise += chances(rng, np.where(at_home, 0.10, 0.20), len(due)) * rng.uniform(0.05, 0.13, len(due))
    reprice(month, due, np.round(agreements["_rate"][due] * (1 + rise.clip(0, 0.22)), 2), ANNUAL)

    free = running & ~np.isin(np.arange(len(running)), due) & (age >= 3)
    risk = np.zeros(len(customers))
    risk[truth["customer"]] = truth["probability"]
    bargains = np.flatnonzero(free & (risk[owner] > 0.15) & chances(rng, 0.05, len(free)))
    reprice(
        month, bargains, np.round(agreements["_rate"][bargains] * rng.uniform(0.92, 0.98, len(bargains)), 2), NEGOTIATED
    )
    free[bargains] = False
    _grow_and_shrink(month, rng, free, owner)


def _grow_and_shrink(month: Month, rng: np.random.Generator, free: Array, owner: Array) -> None:
    agreements, customers = month.master("service_agreements"), month.master("customers")
    size = agreements["container_count"]
    business = customers["customer_type"][owner] > 0
    grows = free & business & (size < 12) & chances(rng, 0.0105 * customers["_volume"][owner] ** 2, len(free))
    low = np.where(customers["_volume"][owner] < 0.7, 0.03, 0.005)
    shrinks = free & ~grows & (size > 1) & chances(rng, low, len(free))
    changed = np.flatnonzero(grows | shrinks)
    step = np.where(grows[changed], 1, -1)
    old_size = size[changed].copy()
    day = np.full(len(changed), month.days[0])
    month.change("service_agreements", changed, month.local.utc(day, 420.0), {"container_count": old_size + step})
    reprice(month, changed, np.round(agreements["_rate"][changed] * (old_size + step) / old_size, 2), SERVICE_CHANGE)
    agreements["_rise_day"][changed] = NO_DAY  # more service for more money is no rise
    more = changed[step > 0]
    if len(more):
        install_containers(month, more, np.full(len(more), month.days[0]))
    containers = month.master("containers")
    holder = containers["service_agreement_id"] - 1
    fewer = np.zeros(len(agreements), dtype=bool)
    fewer[changed[step < 0]] = True
    standing = np.flatnonzero(np.isnat(containers["removed_date"]) & fewer[holder])
    _, last_first = np.unique(holder[standing][::-1], return_index=True)
    taken = standing[::-1][last_first]
    removed = np.full(len(taken), month.days[0])
    month.change("containers", taken, month.local.utc(removed, 900.0), {"removed_date": removed})


def renew_terms(month: Month) -> None:
    """Begin a new term for running agreements whose term ends in the month."""
    agreements = month.master("service_agreements")
    one = np.timedelta64(1, "D")
    next_day = agreements["term_end_date"] + one
    due = np.flatnonzero(np.isnat(agreements["end_date"]) & (next_day >= month.days[0]) & (next_day <= month.days[-1]))
    renewed = add_months(next_day[due], agreements["term_months"][due]) - one
    month.change("service_agreements", due, month.local.utc(next_day[due], 180.0), {"term_end_date": renewed})
