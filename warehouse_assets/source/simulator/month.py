"""One month of the company, domain after domain, from the world at its start to the world at its end."""

from dataclasses import dataclass

import numpy as np

from warehouse_assets.source.simulator.billing import accrue, send_invoices
from warehouse_assets.source.simulator.business_calendar import LocalTime
from warehouse_assets.source.simulator.collection import MISSED, collect
from warehouse_assets.source.simulator.dirt import soil
from warehouse_assets.source.simulator.factors import remember
from warehouse_assets.source.simulator.fleet import change_fleet, drive_month
from warehouse_assets.source.simulator.founding import found_company, raise_fees
from warehouse_assets.source.simulator.ledger import book_expenses, set_budgets
from warehouse_assets.source.simulator.life import (
    active_customers,
    change_accounts,
    change_agreements,
    change_moods,
    decide_leaving,
    win_back,
)
from warehouse_assets.source.simulator.loads import haul_orders, sweep_streets
from warehouse_assets.source.simulator.market import make_holidays, make_prices, make_weather
from warehouse_assets.source.simulator.portal import use_portal
from warehouse_assets.source.simulator.rows import Block, Rows
from warehouse_assets.source.simulator.sales import change_consents, find_leads, take_orders, welcome_customers
from warehouse_assets.source.simulator.schedule import plan_month
from warehouse_assets.source.simulator.service import (
    ask_customers,
    complaints_per_customer,
    raise_tickets,
    send_crews,
)
from warehouse_assets.source.simulator.workshop import clock_shifts, repair_vehicles, report_telemetry
from warehouse_assets.source.simulator.world import Month, World


@dataclass
class Lived:
    """What a month brought: blocks of rows, and the planted truths (customer, as_of, probability; vehicle hazards)."""

    blocks: list[Block]
    churn: Rows
    hazard: Rows


def live_month(world: World, local: LocalTime) -> Lived:
    """Live the world's month and roll the world on to the next. A pure function of the plan and the world."""
    month = Month(world, local, is_first=world.month == 0)
    if month.is_first:
        found_company(month)
    elif month.start.month == 1:
        raise_fees(month, month.rng("fees"), month.days[0])
    change_fleet(month)
    make_holidays(month)
    weather = make_weather(month)
    diesel = make_prices(month)
    set_budgets(month)
    find_leads(month)
    welcome_customers(month)
    truth = decide_leaving(month)
    win_back(month)
    change_agreements(month, truth)
    change_accounts(month)
    change_moods(month)
    send_invoices(month)

    schedule = plan_month(month)
    fleet = drive_month(month, schedule)
    collected = collect(month, schedule, fleet, weather)
    runs = collected.runs
    active = active_customers(month)
    size = len(month.master("customers"))
    orders = take_orders(month, active)
    for more in (haul_orders(month, runs), sweep_streets(month)):
        collected.loads.append(more)
    report_telemetry(month, fleet, runs, weather)
    repairs = repair_vehicles(month, fleet, runs)
    wages = clock_shifts(month, runs)

    tickets = raise_tickets(month, collected, active)
    stops = collected.stops
    missed = np.bincount(stops["customer"][stops["status"] == MISSED], minlength=size).astype(np.float64)
    complaints = complaints_per_customer(month, tickets)
    ask_customers(month, active, missed, complaints)
    send_crews(month, tickets, orders)
    change_consents(month, active)
    sessions = use_portal(month, active)
    accrue(month, collected, tickets)
    book_expenses(month, wages, runs, diesel, collected.loads, repairs)
    remember(
        month,
        {
            "stops": np.bincount(stops["customer"], minlength=size).astype(np.float64),
            "missed": missed,
            "pounds": np.bincount(stops["customer"], stops["pounds"], minlength=size),
            "complaints": complaints,
            "sessions": sessions,
        },
    )
    vehicles = len(month.master("vehicles"))
    went = fleet.hazard.ravel() > 0
    hazard = Rows(
        vehicle=np.tile(np.arange(vehicles), len(month.days))[went],
        day=np.repeat(month.days, vehicles)[went],
        hazard=fleet.hazard.ravel()[went],
    )
    soil(month)
    known = world.memory.setdefault("truth", Rows())
    known.append(truth)
    recent = known["as_of"] > month.days[0] - np.timedelta64(150, "D")
    world.memory["truth"] = known.take(np.flatnonzero(recent))
    return Lived(month.close(), truth, hazard)
