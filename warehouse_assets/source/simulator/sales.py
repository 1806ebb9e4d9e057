"""Sales: leads, opportunities, the customers they become, one-off roll-off orders, and consents withdrawn or given."""

import numpy as np

from warehouse_assets.source.simulator.accounts import TYPE_SHARES, open_accounts
from warehouse_assets.source.simulator.business_calendar import day_of_year
from warehouse_assets.source.simulator.randomness import chances
from warehouse_assets.source.simulator.rows import NEVER, NO_DAY, Array, Block, Rows, Stage
from warehouse_assets.source.simulator.service import hours
from warehouse_assets.source.simulator.vocabulary import code
from warehouse_assets.source.simulator.world import Month

_CHANNEL_SHARES = (0.24, 0.31, 0.29, 0.12, 0.04)
_DAY = np.timedelta64(1, "D")


def arrivals_between(month: Month, first: np.datetime64, last: np.datetime64) -> tuple[Array, Array]:
    """Numbers and days of the accounts opened from ``first`` up to, without, ``last``: an even flow from the start."""
    rate = month.plan.arrivals_per_day
    origin = np.datetime64(month.plan.start)
    low, high = (int(np.ceil((day - origin).astype(np.int64) * rate - 1e-9)) for day in (first, last))
    numbers = np.arange(low, high)
    days = origin + np.floor(numbers / max(rate, 1e-12)).astype("timedelta64[D]")
    return numbers, np.clip(days, first, last - _DAY)


def find_leads(month: Month) -> None:
    """Bring leads and opportunities: those that become next month's customers, and those that are lost."""
    rng = month.rng("leads")
    following = month.days[-1] + _DAY
    after = (following.astype("datetime64[M]") + 1).astype("datetime64[D]")
    if month.is_first:  # this month's customers were leads before it began
        numbers, days = arrivals_between(month, month.days[0], following)
        created = days - rng.integers(5, 40, len(days)).astype("timedelta64[D]")
        _bring_won(month, rng, numbers, days, created)
    numbers, days = arrivals_between(month, following, after)
    _bring_won(month, rng, numbers, days, month.days[rng.integers(0, len(month.days), len(days))])
    lost = rng.poisson(2.6 * month.plan.arrivals_per_day * len(month.days))
    _bring_lost(month, rng, month.days[rng.integers(0, len(month.days), lost)])


def _bring_won(month: Month, rng: np.random.Generator, numbers: Array, won: Array, created: Array) -> None:
    count = len(won)
    customer = month.plan.accounts_at_start + numbers + 1
    customer_type = rng.choice(4, count, p=TYPE_SHARES)
    channel = rng.choice(5, count, p=_CHANNEL_SHARES)
    minute = rng.uniform(500, 1_000, count)
    created_at = month.local.utc(created, minute)
    won_at = month.local.utc(won, rng.uniform(540, 960, count))
    qualified_at = created_at + ((won_at - created_at).astype(np.int64) // 4).astype("timedelta64[us]")
    proposed_at = created_at + ((won_at - created_at).astype(np.int64) // 2).astype("timedelta64[us]")
    ids = month.world.ids("leads", count)
    new, qualified, converted, _ = range(4)
    month.bring(
        Block(
            "leads",
            Rows(
                lead_id=ids,
                depot_id=rng.integers(1, month.plan.depots + 1, count),
                customer_type=customer_type,
                lead_source=channel,
                status=np.full(count, converted),
                converted_customer_id=customer,
                created_at=created_at,
            ),
            created_at,
            [
                Stage(qualified_at, {"status": new}),
                Stage(won_at, {"status": qualified, "converted_customer_id": -1}),
            ],
        )
    )
    offered = np.round(np.array([34.0, 950.0, 1_700.0, 2_600.0])[customer_type] * rng.lognormal(0, 0.5, count), 2)
    month.bring(
        Block(
            "opportunities",
            Rows(
                opportunity_id=month.world.ids("opportunities", count),
                lead_id=ids,
                customer_id=customer,
                service_type=np.where(customer_type == 0, 0, 1),
                stage=np.full(count, code("stage", "won")),
                expected_monthly_usd=offered,
                opened_at=qualified_at,
                closed_at=won_at,
            ),
            qualified_at,
            [
                Stage(proposed_at, {"stage": code("stage", "qualified")}),
                Stage(won_at, {"stage": code("stage", "proposal"), "customer_id": -1, "closed_at": NEVER}),
            ],
        )
    )
    queue = month.world.memory.setdefault("prospects", Rows())
    queue.append(Rows(day=won, at=won_at, customer_type=customer_type, channel=channel, customer=customer))


def _bring_lost(month: Month, rng: np.random.Generator, created: Array) -> None:
    count = len(created)
    created_at = month.local.utc(created, rng.uniform(500, 1_000, count))
    qualifies = chances(rng, 0.4, count)
    qualified_at = np.where(qualifies, created_at + hours(24 * rng.uniform(1, 6, count)), NEVER)
    lost_at = created_at + hours(24 * rng.uniform(7, 60, count))
    customer_type = rng.choice(4, count, p=TYPE_SHARES)
    ids = month.world.ids("leads", count)
    new, qualified, _, lost = range(4)
    month.bring(
        Block(
            "leads",
            Rows(
                lead_id=ids,
                depot_id=rng.integers(1, month.plan.depots + 1, count),
                customer_type=customer_type,
                lead_source=rng.choice(5, count, p=_CHANNEL_SHARES),
                status=np.full(count, lost),
                converted_customer_id=np.full(count, -1),
                created_at=created_at,
            ),
            created_at,
            [Stage(qualified_at, {"status": new}), Stage(lost_at, {"status": np.where(qualifies, qualified, new)})],
        )
    )
    some = np.flatnonzero(qualifies)
    offered = np.array([34.0, 950.0, 1_700.0, 2_600.0])[customer_type[some]] * rng.lognormal(0.05, 0.5, len(some))
    month.bring(
        Block(
            "opportunities",
            Rows(
                opportunity_id=month.world.ids("opportunities", len(some)),
                lead_id=ids[some],
                customer_id=np.full(len(some), -1),
                service_type=np.where(customer_type[some] == 0, 0, 1),
                stage=np.full(len(some), code("stage", "lost")),
                expected_monthly_usd=np.round(offered, 2),
                opened_at=qualified_at[some],
                closed_at=lost_at[some],
            ),
            qualified_at[some],
            [Stage(lost_at[some], {"stage": code("stage", "proposal"), "closed_at": NEVER})],
        )
    )


def welcome_customers(month: Month) -> None:
    """Open the accounts of prospects who sign in this month; service begins within days."""
    queue = month.memory("prospects")
    due = (queue["day"] >= month.days[0]) & (queue["day"] <= month.days[-1])
    now = queue.take(np.flatnonzero(due))
    month.world.memory["prospects"] = queue.take(np.flatnonzero(~due))
    if not now:
        return
    wait = month.rng("first service").integers(1, 6, len(now)).astype("timedelta64[D]")
    positions = open_accounts(month, "arrivals", now["at"], now["day"] + wait, now["channel"], now["customer_type"])
    if not np.array_equal(positions + 1, now["customer"]):
        raise AssertionError("prospects must become customers in the order of their numbers")


def take_orders(month: Month, active: Array) -> Rows:
    """Bring the month's roll-off bookings; returns customer, place (positions), delivery, pickup, price, id."""
    rng = month.rng("orders")
    customers, locations = month.master("customers"), month.master("service_locations")
    season = (
        1 + 0.35 * np.cos(2 * np.pi * (day_of_year(month.days[15:16])[0] - 175) / 365.25)
        if len(month.days) > 15
        else 1.0
    )
    rate = np.array([0.012, 0.05, 0.16, 0.09])[customers["customer_type"][active]] * season * month.share_of_month
    who = np.repeat(active, rng.poisson(rate))
    count = len(who)
    first_place = np.full(len(customers), -1)
    owners = locations["customer_id"] - 1
    first_place[owners[::-1]] = np.arange(len(owners))[::-1]
    place = first_place[who]
    requested_day = month.days[rng.integers(0, len(month.days), count)]
    requested = month.local.utc(requested_day, rng.uniform(450, 1_050, count))
    delivery = requested_day + rng.integers(1, 6, count).astype("timedelta64[D]")
    pickup = delivery + rng.integers(3, 15, count).astype("timedelta64[D]")
    size = rng.choice(4, count, p=(0.2, 0.4, 0.3, 0.1))
    price = np.round(np.array([330.0, 410.0, 495.0, 590.0])[size] * rng.lognormal(0, 0.07, count), 2)
    cancelled = chances(rng, 0.05, count)
    cancelled_at = np.where(cancelled, requested + hours(rng.uniform(2, 20, count)), NEVER)
    delivered_at = np.where(cancelled, NEVER, month.local.utc(delivery, rng.uniform(420, 900, count)))
    picked_at = np.where(cancelled, NEVER, month.local.utc(pickup, rng.uniform(420, 900, count)))
    ids = month.world.ids("service_orders", count)
    booked, delivered, picked_up, called_off = range(4)
    stream = np.where(chances(rng, 0.62, count), code("waste_stream", "construction"), code("waste_stream", "waste"))
    month.bring(
        Block(
            "service_orders",
            Rows(
                service_order_id=ids,
                customer_id=who + 1,
                service_location_id=place + 1,
                depot_id=customers["depot_id"][who],
                container_type=size,
                waste_stream=stream,
                requested_at=requested,
                delivery_date=delivery,
                pickup_date=np.where(cancelled, NO_DAY, pickup),
                price_usd=price,
                status=np.where(cancelled, called_off, picked_up),
            ),
            requested,
            [
                Stage(cancelled_at, {"status": booked}),
                Stage(delivered_at, {"status": booked}),
                Stage(picked_at, {"status": delivered, "pickup_date": NO_DAY}),
            ],
        )
    )
    orders = Rows(
        customer=who,
        place=place,
        delivery=delivery,
        pickup=pickup,
        picked_at=picked_at,
        price=price,
        order=ids,
        cancelled=cancelled,
        size=size,
        stream=stream,
    )
    kept = np.flatnonzero(~cancelled)
    month.world.memory.setdefault("orders", Rows()).append(orders.take(kept))
    return orders


def change_consents(month: Month, active: Array) -> None:
    """Bring the consents that customers give or withdraw later on."""
    rng = month.rng("consents")
    who = active[chances(rng, 0.008 * month.share_of_month, len(active))]
    at = month.local.utc(month.days[rng.integers(0, len(month.days), len(who))], rng.uniform(480, 1_300, len(who)))
    month.bring(
        Block(
            "consents",
            Rows(
                consent_id=month.world.ids("consents", len(who)),
                customer_id=who + 1,
                purpose=rng.integers(0, 2, len(who)),
                is_granted=chances(rng, 0.35, len(who)),
                recorded_at=at,
            ),
            at,
        )
    )
