"""The customer portal: sessions and the events in them. Engagement itself changes in ``life.py``."""

import numpy as np

from warehouse_assets.source.simulator.rows import Array, Block, Rows
from warehouse_assets.source.simulator.service import hours
from warehouse_assets.source.simulator.vocabulary import WORDS, code
from warehouse_assets.source.simulator.world import Month

#: event types after login, their shares and pages
_LATER = ("page_view", "view_invoice", "pay_invoice", "request_service", "report_missed_pickup", "update_profile")
_LATER_SHARES = (0.50, 0.21, 0.12, 0.08, 0.05, 0.04)
_PAGES = {
    "page_view": "/dashboard",
    "login": "/login",
    "view_invoice": "/invoices",
    "pay_invoice": "/pay",
    "request_service": "/support",
    "report_missed_pickup": "/schedule",
    "update_profile": "/profile",
}


def use_portal(month: Month, active: Array) -> Array:
    """Bring the month's sessions and events; returns sessions per customer."""
    rng = month.rng("portal")
    customers = month.master("customers")
    expected = customers["_sessions"][active] * customers["_engagement"][active] * month.share_of_month
    who = np.repeat(active, rng.poisson(expected))
    strangers = rng.poisson(0.12 * expected.sum())
    who = np.r_[who, np.full(strangers, -1)]
    count = len(who)
    busy = np.where((month.days.astype(np.int64) + 3) % 7 < 5, 1.25, 0.6)
    busy = busy * np.where((month.days - month.days.astype("datetime64[M]")).astype(np.int64) < 10, 1.25, 1.0)
    day = month.days[rng.choice(len(month.days), count, p=busy / busy.sum())]
    hour = np.where(rng.random(count) < 0.6, rng.normal(11.5, 2.6, count), rng.normal(19.6, 1.7, count))
    started = month.local.utc(day, np.clip(hour * 60, 5, 1_415))
    order = np.argsort(started, kind="stable")
    who, started = who[order], started[order]
    events = np.where(who >= 0, 1 + rng.geometric(0.24, count).clip(1, 25), rng.integers(1, 3, count))
    session = np.repeat(np.arange(count), events)
    first = np.cumsum(events) - events
    number = np.arange(len(session)) - first[session]
    wait = rng.gamma(1.1, 42, len(session))
    wait[first] = 0
    elapsed = np.cumsum(wait)
    elapsed -= elapsed[first][session]
    occurred = started[session] + hours(elapsed / 3_600)
    last = first + events - 1
    ended = occurred[last] + hours(rng.gamma(1.2, 30, count) / 3_600)
    device = rng.choice(3, count, p=(0.44, 0.47, 0.09))
    entry = np.where(who >= 0, rng.choice(5, count, p=(0.55, 0.2, 0.15, 0.05, 0.05)), 0)
    ids = month.world.ids("portal_sessions", count)
    month.bring(
        Block(
            "portal_sessions",
            Rows(
                portal_session_id=ids,
                customer_id=np.where(who >= 0, who + 1, -1),
                started_at=started,
                ended_at=ended,
                device_type=device,
                entry_page=entry,
            ),
            ended + hours(np.full(count, 0.01)),
        )
    )
    later = np.array([code("event_type", word) for word in _LATER])
    kind = later[rng.choice(len(later), len(session), p=_LATER_SHARES)]
    known = who[session] >= 0
    kind = np.where((number == 0) & known, code("event_type", "login"), np.where(known, kind, 0))
    pages = np.array([code("page", _PAGES[word]) for word in WORDS["event_type"]])
    month.bring(
        Block(
            "portal_events",
            Rows(
                portal_event_id=month.world.ids("portal_events", len(session)),
                portal_session_id=ids[session],
                customer_id=np.where(known, who[session] + 1, -1),
                event_type=kind,
                page=np.where(known, pages[kind], 0),
                occurred_at=occurred,
                properties=rng.integers(0, len(WORDS["properties"]), len(session)),
            ),
            ended[session] + hours(np.full(len(session), 0.01)),
        )
    )
    return np.bincount(who[who >= 0], minlength=len(customers)).astype(np.float64)
