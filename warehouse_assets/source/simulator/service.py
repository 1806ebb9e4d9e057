"""Customer service: tickets with their answers, surveys, and the field jobs crews are sent on."""

import numpy as np

from warehouse_assets.source.simulator.collection import MISSED, NOT_OUT, Collected
from warehouse_assets.source.simulator.randomness import chances
from warehouse_assets.source.simulator.rows import NEVER, Array, Block, Rows, Stage
from warehouse_assets.source.simulator.vocabulary import code
from warehouse_assets.source.simulator.world import Month

MISSED_PICKUP, BILLING, DAMAGE, DISPUTE, COMPLAINT, CONTAINER_CHANGE, REQUEST = range(7)
#: what the company counts as a complaint
COMPLAINTS = (MISSED_PICKUP, BILLING, DAMAGE, DISPUTE, COMPLAINT)
_HOUR = np.timedelta64(3_600_000_000, "us")
DELIVERY, REPAIR, SWAP, REMOVAL = range(4)


def hours(values: Array) -> Array:
    """Time spans of ``values`` hours, to the second."""
    return (np.asarray(values) * 3_600).astype(np.int64) * np.timedelta64(1_000_000, "us")


def raise_tickets(month: Month, collected: Collected, active: Array) -> Rows:
    """Bring the month's tickets; returns them: customer, type, opened (UTC), place, id."""
    rng = month.rng("tickets")
    customers = month.master("customers")
    stops = collected.stops
    readily = customers["_complains"]
    missed = np.flatnonzero((stops["status"] == MISSED) & (stops["reason"] != NOT_OUT))
    # However many containers were missed on a visit, the customer calls once.
    visit = stops["place"][missed] * 100_000 + stops["day"][missed].astype(np.int64)
    missed = missed[np.sort(np.unique(visit, return_index=True)[1])]
    says = missed[chances(rng, np.minimum(0.16 * readily[stops["customer"][missed]], 0.9), len(missed))]
    disputed = np.flatnonzero(stops["contaminated"])
    disputes = disputed[chances(rng, 0.025, len(disputed))]
    parts = [
        (
            stops["customer"][says],
            stops["place"][says],
            MISSED_PICKUP,
            stops["at"][says] + hours(rng.gamma(1.5, 5, len(says))),
        ),
        (
            stops["customer"][disputes],
            stops["place"][disputes],
            DISPUTE,
            stops["at"][disputes] + hours(rng.gamma(2, 20, len(disputes))),
        ),
    ]
    rises = _recent_rises(month)
    unhappy = readily * (1 + 2.5 * (customers["_trouble"] > 0))
    size = np.array([1.0, 1.3, 1.4, 1.6])[customers["customer_type"]]
    for reason, rate in (
        (BILLING, 0.018 * readily * size + 0.10 * readily * (rises > 0.05)),
        (DAMAGE, 0.010 * size),
        (COMPLAINT, 0.012 * unhappy * size),
        (CONTAINER_CHANGE, 0.012 * size),
        (REQUEST, 0.035 * size),
    ):
        number = rng.poisson(rate[active] * month.share_of_month)
        who = np.repeat(active, number)
        day = month.days[rng.integers(0, len(month.days), len(who))]
        minute = 420 + rng.beta(2, 2.4, len(who)) * 720
        parts.append((who, _first_place(month)[who], reason, month.local.utc(day, minute)))
    customer = np.concatenate([part[0] for part in parts])
    place = np.concatenate([part[1] for part in parts])
    kind = np.concatenate([np.full(len(part[0]), part[2]) for part in parts])
    opened = np.concatenate([part[3] for part in parts])
    order = np.argsort(opened, kind="stable")
    customer, place, kind, opened = customer[order], place[order], kind[order], opened[order]
    ids = month.world.ids("service_tickets", len(customer))
    _answer(month, rng, ids, customer, place, kind, opened)
    return Rows(customer=customer, place=place, kind=kind, opened=opened, ticket=ids)


def _first_place(month: Month) -> Array:
    """The first place (position) of each customer."""
    owners = month.master("service_locations")["customer_id"] - 1
    result = np.full(len(month.master("customers")), -1)
    result[owners[::-1]] = np.arange(len(owners))[::-1]
    return result


def _recent_rises(month: Month) -> Array:
    """The largest price rise of each customer that took effect within the last two months."""
    agreements = month.master("service_agreements")
    result = np.zeros(len(month.master("customers")))
    fresh = agreements["_rise_day"] > month.days[0] - np.timedelta64(45, "D")
    np.maximum.at(result, agreements["customer_id"][fresh] - 1, agreements["_rise_ratio"][fresh])
    return result


def _answer(
    month: Month, rng: np.random.Generator, ids: Array, customer: Array, place: Array, kind: Array, opened: Array
) -> None:
    count = len(ids)
    draw = rng.random(count)
    priority = np.where(kind == MISSED_PICKUP, 2, np.where(kind >= CONTAINER_CHANGE, 0, 1))
    priority = np.where(draw > 0.96, 3, priority)
    channel = rng.choice(4, count, p=(0.46, 0.27, 0.24, 0.03))
    strain = np.array([1.6, 1.0, 0.7, 0.35])[priority]
    first = opened + hours(0.2 + rng.lognormal(1.0, 0.9, count) * strain)
    solved = first + hours(0.5 + rng.lognormal(2.9, 0.95, count) * strain)
    closed = solved + hours(24 * rng.uniform(1, 6, count))
    in_month = month.master("customers")["depot_id"][customer]
    month.bring(
        Block(
            "service_tickets",
            Rows(
                service_ticket_id=ids,
                customer_id=customer + 1,
                service_location_id=np.where(place >= 0, place + 1, -1),
                depot_id=in_month,
                ticket_type=kind,
                priority=priority,
                channel=channel,
                status=np.full(count, code("service_tickets.status", "closed")),
                opened_at=opened,
                first_response_at=first,
                resolved_at=solved,
            ),
            opened,
            [
                Stage(first, {"first_response_at": NEVER, "status": code("service_tickets.status", "open")}),
                Stage(solved, {"resolved_at": NEVER, "status": code("service_tickets.status", "in_progress")}),
                Stage(closed, {"status": code("service_tickets.status", "resolved")}),
            ],
        )
    )


def complaints_per_customer(month: Month, tickets: Rows) -> Array:
    """Complaints each customer raised in the month."""
    counted = np.isin(tickets["kind"], COMPLAINTS)
    return np.bincount(tickets["customer"][counted], minlength=len(month.master("customers"))).astype(np.float64)


def ask_customers(month: Month, active: Array, missed: Array, complaints: Array) -> None:
    """Bring the answered surveys: scores follow misses, complaints and price rises, around each customer's mood."""
    rng = month.rng("surveys")
    customers = month.master("customers")
    answers = active[chances(rng, 0.17 * month.share_of_month, len(active))]
    rises = _recent_rises(month)
    feeling = (
        1.35
        + 0.55 * customers["_mood"][answers]
        - 0.55 * np.minimum(missed[answers], 4)
        - 0.75 * np.minimum(complaints[answers], 3)
        - 7.0 * rises[answers]
        - 0.9 * (customers["_trouble"][answers] > 0)
        - 0.5 * (customers["_decline"][answers] > 0)
        + rng.normal(0, 0.6, len(answers))
    )
    happy = 1 / (1 + np.exp(-feeling))
    is_nps = chances(rng, 0.5, len(answers))
    score = np.where(is_nps, np.round(happy * 10), np.round(1 + happy * 4))
    at = month.local.utc(
        month.days[rng.integers(0, len(month.days), len(answers))], rng.uniform(480, 1_260, len(answers))
    )
    customers["_last_survey"][answers] = np.where(is_nps, score / 10, (score - 1) / 4)
    customers["_surveyed_month"][answers] = month.number
    month.bring(
        Block(
            "surveys",
            Rows(
                survey_id=month.world.ids("surveys", len(answers)),
                customer_id=answers + 1,
                survey_type=is_nps.astype(np.int64),
                score=score,
                responded_at=at,
            ),
            at,
        )
    )


def send_crews(month: Month, tickets: Rows, orders: Rows) -> None:
    """Bring the field jobs: containers delivered, repaired, swapped and removed."""
    rng = month.rng("field jobs")
    containers, agreements = month.master("containers"), month.master("service_agreements")
    first, last = month.days[0], month.days[-1]
    new = (containers["installed_date"] >= first) & (containers["installed_date"] <= last)
    gone = (containers["removed_date"] >= first) & (containers["removed_date"] <= last)
    repairs = np.flatnonzero(np.isin(tickets["kind"], (DAMAGE, CONTAINER_CHANGE)))
    wanted: list[tuple[Array, Array, Array, int]] = []
    for which, column, job in ((new, "installed_date", DELIVERY), (gone, "removed_date", REMOVAL)):
        place = containers["service_location_id"][which]
        day = containers[column][which]
        _, once = np.unique(place * 100_000 + day.astype(np.int64), return_index=True)
        owner = agreements["customer_id"][containers["service_agreement_id"][which] - 1]
        wanted.append((owner[once], place[once], day[once], job))
    for column, job in (("delivery", DELIVERY), ("pickup", REMOVAL)):
        due = np.flatnonzero(~np.isnat(orders[column]) & ~orders["cancelled"])
        wanted.append((orders["customer"][due] + 1, orders["place"][due] + 1, orders[column][due], job))
    ticket_day = month.local.day(tickets["opened"][repairs]) + rng.integers(1, 7, len(repairs)).astype("timedelta64[D]")
    is_swap = tickets["kind"][repairs] == CONTAINER_CHANGE
    customer = np.concatenate([entry[0] for entry in wanted] + [tickets["customer"][repairs] + 1])
    place = np.concatenate([entry[1] for entry in wanted] + [tickets["place"][repairs] + 1])
    day = np.concatenate([entry[2] for entry in wanted] + [ticket_day])
    kind = np.concatenate([np.full(len(entry[0]), entry[3]) for entry in wanted] + [np.where(is_swap, SWAP, REPAIR)])
    known_from = np.concatenate(
        [month.local.utc(entry[2], 480.0) - 2 * 24 * _HOUR for entry in wanted] + [tickets["opened"][repairs] + _HOUR]
    )
    ticket = np.concatenate([np.full(sum(len(entry[0]) for entry in wanted), -1), tickets["ticket"][repairs]])
    count = len(customer)
    depot = month.master("customers")["depot_id"][customer - 1]
    created = month.master("customers")["created_at"][customer - 1]
    start = month.local.utc(day, 420 + rng.uniform(0, 540, count))
    end = start + hours(rng.lognormal(-0.4, 0.5, count))
    called_off = chances(rng, 0.03, count)
    technician = (depot - 1) * 3 + np.where(kind == REPAIR, 2, 0) + 1
    scheduled, in_progress, completed, cancelled = range(4)
    month.bring(
        Block(
            "field_jobs",
            Rows(
                field_job_id=month.world.ids("field_jobs", count),
                depot_id=depot,
                technician_id=technician,
                customer_id=customer,
                service_location_id=place,
                service_ticket_id=ticket,
                job_type=kind,
                status=np.where(called_off, cancelled, completed),
                scheduled_date=day,
                started_at=np.where(called_off, NEVER, start),
                completed_at=np.where(called_off, NEVER, end),
            ),
            np.maximum(np.minimum(known_from, start - _HOUR), created + _HOUR),
            [
                Stage(np.where(called_off, start - 12 * _HOUR, NEVER), {"status": scheduled}),
                Stage(np.where(called_off, NEVER, start), {"status": scheduled, "started_at": NEVER}),
                Stage(np.where(called_off, NEVER, end), {"status": in_progress, "completed_at": NEVER}),
            ],
        )
    )
