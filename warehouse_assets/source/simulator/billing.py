"""Invoices and payments: what a month earned is billed in the next, and paid when the customer gets round to it."""

import numpy as np

from warehouse_assets.source.simulator.accounts import MUNICIPAL, RESIDENTIAL
from warehouse_assets.source.simulator.collection import Collected
from warehouse_assets.source.simulator.randomness import chances
from warehouse_assets.source.simulator.rows import NO_DAY, Array, Block, Rows
from warehouse_assets.source.simulator.service import MISSED_PICKUP
from warehouse_assets.source.simulator.world import Month

BASE, RENTAL, OVERAGE, CONTAMINATION, FUEL, COMMODITY, CREDIT = range(7)
RESIDENTIAL_LINE, COMMERCIAL_LINE, ROLL_OFF_LINE, RECYCLING_SALES, ORGANICS_LINE = range(5)
_TAX_RATE = np.array([0.0, 0.0735, 0.0735, 0.0])
_DAY = np.timedelta64(1, "D")
#: share of a ton of recycling that becomes each commodity (cardboard … glass); the rest is residue
_YIELD = np.array([0.31, 0.24, 0.06, 0.04, 0.012, 0.05, 0.14])


def _lines(
    customer: Array,
    agreement: Array,
    order: Array,
    depot: Array,
    business: Array,
    kind: int,
    quantity: Array,
    cents: Array,
) -> Rows:
    return Rows(
        customer=customer,
        agreement=agreement,
        order=order,
        depot=depot,
        business=business,
        kind=np.full(len(customer), kind),
        quantity=quantity,
        cents=cents.astype(np.int64),
    )


def base_charges(month: Month, first: np.datetime64, until: np.datetime64) -> Rows:
    """The recurring charges of all agreements for the days from ``first`` up to, without, ``until``."""
    agreements, customers = month.master("service_agreements"), month.master("customers")
    ends = np.where(np.isnat(agreements["end_date"]), until, np.minimum(agreements["end_date"], until))
    days = (ends - np.maximum(agreements["start_date"], first)).astype(np.int64)
    billed = np.flatnonzero(days > 0)
    month_first = first.astype("datetime64[M]")
    length = ((month_first + 1).astype("datetime64[D]") - month_first.astype("datetime64[D]")).astype(np.int64)
    part = days[billed] / length
    customer = agreements["customer_id"][billed] - 1
    service = agreements["service_type"][billed]
    at_home = customers["customer_type"][customer] == RESIDENTIAL
    business = np.array([RESIDENTIAL_LINE, COMMERCIAL_LINE, COMMERCIAL_LINE, ORGANICS_LINE, ROLL_OFF_LINE])[service]
    business = np.where(at_home & (business == COMMERCIAL_LINE), RESIDENTIAL_LINE, business)
    cents = np.rint(agreements["_rate"][billed] * part * 100)
    none = np.full(len(billed), -1)
    depot = customers["depot_id"][customer]
    return _lines(customer, billed + 1, none, depot, business, BASE, np.round(part, 3), cents)


def accrue(month: Month, collected: Collected, tickets: Rows) -> None:
    """Work out what the month's service will be billed at, and keep it for the next month's invoices."""
    rng = month.rng("charges")
    customers, agreements = month.master("customers"), month.master("service_agreements")
    base = base_charges(month, month.days[0], month.days[-1] + _DAY)
    stops = collected.stops
    parts = [base]
    business_of = np.full(len(agreements), COMMERCIAL_LINE)
    business_of[base["agreement"] - 1] = base["business"]
    for flag, kind, prices in (("overage", OVERAGE, (600, 2_800)), ("contaminated", CONTAMINATION, (1_500, 4_500))):
        number = np.bincount(stops["agreement"][stops[flag]], minlength=len(agreements))
        # Half of what drivers report is waived.
        number = rng.binomial(number, 0.5)
        charged = np.flatnonzero(number)
        customer = agreements["customer_id"][charged] - 1
        price = np.where(customers["customer_type"][customer] == RESIDENTIAL, *prices)
        depot, none = customers["depot_id"][customer], np.full(len(charged), -1)
        quantity = number[charged].astype(np.float64)
        parts.append(
            _lines(customer, charged + 1, none, depot, business_of[charged], kind, quantity, number[charged] * price)
        )
    total = np.bincount(base["customer"], base["cents"], minlength=len(customers))
    pays = np.flatnonzero((total > 0) & (customers["customer_type"] != RESIDENTIAL))
    ratio = np.clip((month.memory("market")["diesel"][0] - 3.2) * 0.045, 0, 0.12)
    parts.append(_of_account(customers, pays, FUEL, np.round(total[pays] * ratio)))
    claims = tickets["customer"][(tickets["kind"] == MISSED_PICKUP)]
    granted = claims[chances(rng, 0.4, len(claims))]
    number = np.bincount(granted, minlength=len(customers))
    credited = np.flatnonzero((number > 0) & (total > 0))
    credit = np.minimum(number[credited] * np.minimum(total[credited] * 0.05, 4_000), total[credited] * 0.4)
    parts.append(_of_account(customers, credited, CREDIT, -np.round(credit)))
    parts.append(_commodity_sales(month, collected))
    parts.append(_orders_done(month))
    unbilled = Rows()
    for part in parts:
        unbilled.append(part)
    unbilled = unbilled.take(np.flatnonzero(unbilled["cents"] != 0))
    month.world.memory["unbilled"] = unbilled


def _of_account(customers: Rows, who: Array, kind: int, cents: Array) -> Rows:
    none = np.full(len(who), -1)
    business = np.where(customers["customer_type"][who] == RESIDENTIAL, RESIDENTIAL_LINE, COMMERCIAL_LINE)
    return _lines(who, none, none, customers["depot_id"][who], business, kind, np.ones(len(who)), cents)


def _orders_done(month: Month) -> Rows:
    """Lines for the roll-off orders picked up in the month; they leave the memory."""
    orders = month.world.memory["orders"]
    done = orders["pickup"] <= month.days[-1]
    now = orders.take(np.flatnonzero(done))
    month.world.memory["orders"] = orders.take(np.flatnonzero(~done))
    none = np.full(len(now), -1)
    depot = month.master("customers")["depot_id"][now["customer"]]
    business = np.full(len(now), ROLL_OFF_LINE)
    return _lines(
        now["customer"], none, now["order"], depot, business, RENTAL, np.ones(len(now)), np.rint(now["price"] * 100)
    )


def _commodity_sales(month: Month, collected: Collected) -> Rows:
    """Sell the month's recyclables to industrial customers of the company, by the day's commodity prices."""
    customers, depots = month.master("customers"), month.master("depots")
    buyers = np.flatnonzero((customers["customer_type"] == 2) & np.isnat(customers["_left"]))[:3]
    if not len(buyers):
        buyers = np.flatnonzero(np.isnat(customers["_left"]))[:1]
    recycling = collected.loads["stream"] == 1
    loads = collected.loads
    tons = np.bincount(loads["depot"][recycling], loads["pounds"][recycling] / 2_000, minlength=len(depots))
    sold = np.round(tons[:, None] * _YIELD[None, :], 3)
    depot, commodity = np.nonzero(sold > 0)
    price = np.round(month.memory("market")["commodity_price"][commodity] * 0.92, 4)
    quantity = sold[depot, commodity]
    customer = buyers[commodity % len(buyers)]
    none = np.full(len(depot), -1)
    business = np.full(len(depot), RECYCLING_SALES)
    cents = np.rint(quantity * price * 100)
    return _lines(customer, none, none, depot + 1, business, COMMODITY, quantity, cents)


def send_invoices(month: Month) -> None:
    """Bring invoices, lines and payments for what the month before left unbilled, each customer on a fixed day."""
    lines = month.world.memory["unbilled"]
    customers = month.master("customers")
    lines = lines.take(np.flatnonzero(_billing_day(month, lines["customer"]) >= month.days[0]))
    lines = lines.take(np.argsort(lines["customer"], kind="stable"))
    who, first, counts = np.unique(lines["customer"], return_index=True, return_counts=True)
    if not len(who):
        return
    day = _billing_day(month, who)
    subtotal = np.add.reduceat(lines["cents"], first)
    taxed = np.add.reduceat(np.where(lines["kind"] == COMMODITY, 0, lines["cents"]), first)
    tax = np.rint(np.maximum(taxed, 0) * _TAX_RATE[customers["customer_type"][who]]).astype(np.int64)
    total = subtotal + tax
    by_day = np.argsort(day, kind="stable")
    ids = np.empty(len(who), dtype=np.int64)
    ids[by_day] = month.world.ids("invoices", len(who))
    due = day + customers["payment_terms_days"][who].astype("timedelta64[D]")
    sent = month.local.utc(day, 540.0)
    numbers = np.char.add(
        (day.astype("datetime64[Y]").astype(np.int64) + 1970).astype("S4"),
        np.char.add(b"-", (ids + 1_000_000).astype("S8")),
    )
    month.bring(
        Block(
            "invoices",
            Rows(
                invoice_id=ids,
                customer_id=who + 1,
                invoice_number=numbers,
                invoice_date=day,
                due_date=due,
                subtotal_usd=subtotal / 100,
                tax_usd=tax / 100,
                total_usd=total / 100,
            ),
            sent,
        )
    )
    of_line = np.repeat(np.arange(len(who)), counts)
    month.bring(
        Block(
            "invoice_lines",
            Rows(
                invoice_line_id=month.world.ids("invoice_lines", len(lines)),
                invoice_id=ids[of_line],
                customer_id=lines["customer"] + 1,
                service_agreement_id=lines["agreement"],
                service_order_id=lines["order"],
                depot_id=lines["depot"],
                invoice_date=day[of_line],
                line_of_business=lines["business"],
                line_type=lines["kind"],
                quantity=lines["quantity"],
                unit_price_usd=np.round(lines["cents"] / 100 / np.maximum(np.abs(lines["quantity"]), 0.001), 4),
                amount_usd=lines["cents"] / 100,
            ),
            sent[of_line],
        )
    )
    pay_invoices(month, who, ids, day, due, total)


def _billing_day(month: Month, customer: Array) -> Array:
    """The day of the month on which each customer is billed, always the same of the first 26."""
    first = month.days[0].astype("datetime64[M]").astype("datetime64[D]")
    return np.asarray(first + (customer * 7 % 26).astype("timedelta64[D]"))


def pay_invoices(month: Month, who: Array, invoice: Array, day: Array, due: Array, total: Array) -> None:
    """Bring the payments of invoices (cents), early or late by the customer's discipline and money trouble."""
    rng = month.rng("payments")
    customers = month.master("customers")
    count = len(who)
    autopay, stressed = customers["is_autopay"][who], customers["_stress"][who] > 0
    laxness = 1 - customers["_discipline"][who]
    late = chances(rng, np.clip(0.75 * laxness**1.2 + 0.5 * stressed, 0, 0.95), count)
    late &= ~autopay | (stressed & chances(rng, 0.6, count))
    days_late = np.where(late, 2 + rng.gamma(1.5, 11.0 * (1 + 0.8 * stressed), count), 0)
    terms = (due - day).astype(np.int64)
    early = np.floor(rng.beta(2, 3, count) * terms * ~autopay)
    paid = due + np.where(late, np.floor(days_late), -early).astype("timedelta64[D]")
    never = chances(rng, 0.002 + 0.06 * stressed * laxness, count)
    positive = (total > 0) & ~never
    partial = positive & chances(rng, 0.04, count)
    share = np.where(partial, rng.uniform(0.3, 0.7, count), 1.0)
    first_cents = np.rint(total * share).astype(np.int64)
    second_day = paid + rng.integers(8, 32, count).astype("timedelta64[D]")
    returned = positive & chances(rng, np.where(stressed, 0.04, 0.009), count)
    back_day = paid + rng.integers(2, 7, count).astype("timedelta64[D]")
    again = returned & chances(rng, 0.9, count)
    again_day = back_day + rng.integers(5, 21, count).astype("timedelta64[D]")
    settled = np.where(partial, second_day, paid)
    settled = np.where(returned, np.where(again, np.maximum(again_day, settled), NO_DAY), settled)
    settled = np.where(never | (total <= 0), np.where(total <= 0, due, NO_DAY), settled)
    receivables = month.world.memory.setdefault("receivables", Rows())
    receivables.append(Rows(customer=who, due=due, paid=settled, cents=total))
    keep = receivables["due"] >= month.days[0] - np.timedelta64(200, "D")
    month.world.memory["receivables"] = receivables.take(np.flatnonzero(keep))
    method = np.where(autopay, rng.choice(2, count, p=(0.55, 0.45)), rng.choice(4, count, p=(0.28, 0.24, 0.45, 0.03)))
    method = np.where(customers["customer_type"][who] == MUNICIPAL, np.where(method == 3, 0, method), method)
    parts = [
        (positive, paid, first_cents, 0),
        (partial, second_day, total - first_cents, 0),
        (returned, back_day, -first_cents, 1),
        (again, again_day, first_cents, 0),
    ]
    customer = np.concatenate([who[chosen] for chosen, *_ in parts])
    of_invoice = np.concatenate([invoice[chosen] for chosen, *_ in parts])
    booked = np.concatenate([when[chosen] for chosen, when, *_ in parts])
    cents = np.concatenate([amount[chosen] for chosen, _, amount, _ in parts])
    status = np.concatenate([np.full(int(chosen.sum()), state) for chosen, _, _, state in parts])
    how = np.concatenate([method[chosen] for chosen, *_ in parts])
    order = np.argsort(booked, kind="stable")
    month.bring(
        Block(
            "payments",
            Rows(
                payment_id=month.world.ids("payments", len(order)),
                customer_id=customer[order] + 1,
                invoice_id=of_invoice[order],
                payment_date=booked[order],
                method=how[order],
                amount_usd=cents[order] / 100,
                status=status[order],
            ),
            month.local.utc(booked[order], 1_080.0),
        )
    )
