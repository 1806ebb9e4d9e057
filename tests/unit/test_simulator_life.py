"""How the simulated company behaves: why customers leave, seasons, money, and nothing before its time."""

from datetime import UTC, datetime

import numpy as np
import pytest
from simulated_company import AS_OF, Life, auc, live

from warehouse_assets.source.contract import load_contract
from warehouse_assets.source.simulator.business_calendar import LocalTime
from warehouse_assets.source.simulator.dirt import ORPHANED
from warehouse_assets.source.simulator.factors import churn_factors
from warehouse_assets.source.simulator.hazard import (
    FACTOR_WEIGHTS,
    churn_log_odds,
    monthly_probability,
    vehicle_hazard,
)
from warehouse_assets.source.simulator.month import live_month
from warehouse_assets.source.simulator.plan import make_plan
from warehouse_assets.source.simulator.rows import Rows
from warehouse_assets.source.simulator.schedule import DENSITY_LB
from warehouse_assets.source.simulator.vocabulary import code
from warehouse_assets.source.simulator.world import MASTERS, Month, World, local_time

DAY = np.timedelta64(24 * 3_600 * 1_000_000, "us")


@pytest.fixture(scope="module")
def life() -> Life:
    """500 customers, 480 days; its tables are clean but for what the dirt tests look at."""
    return live()


@pytest.fixture(scope="module")
def clean() -> Life:
    """A company without any planted fault."""
    return live(customers=150, days=200, depots=2, dirt_scale=0.0)


def test_the_same_seed_lives_the_same_life() -> None:
    one, two = live(60, 60), live.__wrapped__(60, 60)
    assert one is not two
    for table in load_contract():
        first, second = one.seen(table.name), two.seen(table.name)
        assert first.keys() == second.keys()
        for name, values in first.items():
            np.testing.assert_array_equal(values, second[name], err_msg=f"{table.name}.{name}")


def test_another_seed_lives_another_life() -> None:
    one, two = live(60, 60).seen("route_stops"), live(60, 60, seed=8).seen("route_stops")
    assert len(one) != len(two) or not np.array_equal(one["weight_lb"], two["weight_lb"], equal_nan=True)


def test_a_world_survives_its_bytes() -> None:
    life = live(60, 60)
    plan, world = life.plan, World(life.plan)
    local = local_time(plan, plan.as_of.date())
    live_month(world, local)
    again = World.load(plan, world.save())
    for one, two in zip(live_month(world, local).blocks, live_month(again, local).blocks, strict=True):
        assert one.table == two.table
        np.testing.assert_array_equal(one.visible_at, two.visible_at)
        for name, values in one.columns.items():
            np.testing.assert_array_equal(values, two.columns[name], err_msg=f"{one.table}.{name}")


def test_accounts_are_as_many_as_planned(life: Life) -> None:
    assert abs(len(life.seen("customers")) - life.plan.customers) <= 3


def test_stops_are_about_2_3_per_customer_and_day() -> None:
    life = live(1_500, 60, 4)
    stops = life.seen("route_stops")
    per_customer_and_day = len(stops) / life.plan.customers / life.plan.days
    # At the start nobody has left yet: accounts there are all served.
    assert per_customer_and_day * life.plan.customers / len(life.seen("customers")) == pytest.approx(2.8, abs=0.6)
    assert len(life.seen("routes")) <= 40
    assert len(life.seen("depots")) == 4


# -- nothing before its time, nobody unknown ------------------------------------------------------------------

#: columns that may lie in the future of the clock: plans, terms, dues
_PLANNED = {
    ("route_runs", "planned_start_at"), ("route_runs", "planned_end_at"),
    ("service_orders", "delivery_date"), ("field_jobs", "scheduled_date"),
    ("invoices", "due_date"), ("service_agreements", "term_end_date"),
    ("budgets", "budget_month"), ("holidays", "holiday_date"), ("route_stops", "planned_at"),
}  # fmt: skip


@pytest.mark.parametrize("days_back", [0, 0.33, 0.71, 16.9, 100.45])
def test_nothing_lies_in_the_future(clean: Life, days_back: float) -> None:
    now = clean.now - np.timedelta64(int(days_back * 86_400), "s")
    local = LocalTime(clean.plan.time_zone, clean.plan.start, AS_OF.date())
    today = local.day(np.array([now]))[0]
    for table in load_contract():
        rows = clean.seen(table.name, now)
        for column in table.columns:
            values = rows.get(column.name)
            if values is None or not len(values) or (table.name, column.name) in _PLANNED:
                continue
            if column.data_type == "timestamptz":
                assert not (values > now).any(), f"{table.name}.{column.name}"
            elif column.data_type == "date":
                assert not (values > today).any(), f"{table.name}.{column.name}"


@pytest.mark.parametrize("days_back", [0, 0.4, 15.8, 16.2, 75.5, 130.3])
def test_every_reference_is_there_at_any_moment(life: Life, days_back: float) -> None:
    now = life.now - np.timedelta64(int(days_back * 86_400), "s")
    keys: dict[str, np.ndarray] = {}
    for table in load_contract():
        for column in table.columns:
            if not column.references or (table.name, column.name) in ORPHANED:
                continue
            if column.references not in keys:
                target = load_contract().table(column.references)
                keys[target.name] = life.seen(target.name, now)[target.primary_key[0]]
            rows = life.seen(table.name, now)
            if not rows:
                continue
            used = np.unique(rows[column.name])
            orphans = np.setdiff1d(used[used >= 0], keys[column.references])
            assert not len(orphans), f"{table.name}.{column.name}: {orphans[:5]}"


def test_no_row_appears_before_the_one_it_refers_to(life: Life) -> None:
    def appeared(table: str, column: str) -> list[np.ndarray]:
        pairs = ((block.columns[column], block.visible_at) for block in life.blocks[table])
        return [np.concatenate(parts) for parts in zip(*pairs, strict=True)]

    followed = set()
    for table in load_contract():
        for column in table.columns:
            target = column.references
            if not target or target in MASTERS or table.name in MASTERS or (table.name, column.name) in ORPHANED:
                continue
            keys, there_at = appeared(target, load_contract().table(target).primary_key[0])
            used, appears = appeared(table.name, column.name)
            order = np.argsort(keys)
            place = order[np.searchsorted(keys, used[used >= 0], sorter=order)]
            early = appears[used >= 0] < there_at[place]
            assert not early.any(), f"{table.name}.{column.name}: {used[used >= 0][early][:5]}"
            followed |= {(table.name, target)} if len(place) else set()
    assert followed > {("route_stops", "route_runs"), ("vehicle_failures", "route_runs"), ("payments", "invoices")}


# -- leaving --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("factor", FACTOR_WEIGHTS)
def test_every_factor_raises_the_hazard_of_leaving(factor: str) -> None:
    calm = Rows({name: np.full(3, 0.2) for name in FACTOR_WEIGHTS})
    worse = Rows({**calm, factor: np.array([0.2, 0.6, 1.0])})
    hazard = monthly_probability(churn_log_odds(worse), 1.0)
    assert hazard[0] < hazard[1] < hazard[2]
    assert hazard[2] > 3 * hazard[0]


def test_the_true_probability_ranks_who_leaves(life: Life) -> None:
    probability, left = life.left_within(90)
    assert 0.78 < auc(probability, left) < 0.90
    assert probability.mean() == pytest.approx(left.mean(), rel=0.30)
    yearly = 1 - (1 - left.mean()) ** (365 / 90)
    assert 0.11 < yearly < 0.21


# Regression: a company founded on a Sunday that ends its month ended in a traceback.
def test_a_first_month_without_a_working_day_is_lived_through() -> None:
    plan = make_plan("small", 7, datetime(2026, 6, 9, tzinfo=UTC), {"start": "2026-05-31", "customers": "20"})
    world, local = World(plan), local_time(plan, plan.as_of.date())
    months = [{block.table: len(block) for block in live_month(world, local).blocks} for _ in range(2)]
    assert [month["route_stops"] > 0 for month in months] == [False, True]


def test_those_who_leave_showed_the_signs_before() -> None:
    """Each factor, as measured in the tables, is higher for those who leave than for those who stay."""
    plan = make_plan("small", 7, AS_OF, {"customers": 500, "days": 330, "churn_scale": 3})
    world, local = World(plan), local_time(plan, plan.as_of.date())
    sums = {True: np.zeros(8), False: np.zeros(8)}
    counts = {True: 0, False: 0}
    for number in range(11):
        if number >= 7:  # six months of history
            month = Month(world, local)
            customers = np.flatnonzero(np.isnat(month.master("customers")["_left"]))
            factors = churn_factors(month, customers)
        lived = live_month(world, local)
        if number < 7:
            continue
        later = ~np.isnat(world.masters["customers"]["_left"][customers])
        assert lived.churn["customer"].size
        for leaves in (True, False):
            chosen = later == leaves
            counts[leaves] += int(chosen.sum())
            sums[leaves] += np.array([factors[name][chosen].sum() for name in FACTOR_WEIGHTS])
    assert counts[True] > 40
    higher = sums[True] / counts[True] > sums[False] / counts[False]
    assert higher.sum() >= 7, dict(zip(FACTOR_WEIGHTS, higher.tolist(), strict=True))


def test_leaving_ends_every_agreement_and_takes_the_containers(life: Life) -> None:
    agreements, containers = life.seen("service_agreements"), life.seen("containers")
    ended = ~np.isnat(agreements["end_date"])
    assert (agreements["end_reason"][ended] >= 0).all()
    assert (agreements["end_reason"][~ended] < 0).all()
    end_of = dict(zip(agreements["service_agreement_id"].tolist(), agreements["end_date"].tolist(), strict=True))
    ends = np.array([end_of[key] for key in containers["service_agreement_id"].tolist()], dtype="datetime64[D]")
    removed = containers["removed_date"]
    long_ended = ends < life.now.astype("datetime64[D]") - np.timedelta64(10, "D")
    assert long_ended.sum() > 50
    assert (removed[long_ended] <= ends[long_ended] + np.timedelta64(3, "D")).all()


def test_stops_are_made_from_the_day_after_installation_until_removal(clean: Life) -> None:
    containers, stops = clean.seen("containers"), clean.seen("route_stops")
    removed = dict(zip(containers["container_id"].tolist(), containers["removed_date"].tolist(), strict=True))
    gone = np.array([removed[key] for key in stops["container_id"].tolist()], dtype="datetime64[D]")
    assert not (stops["service_date"] >= gone).any()
    installed = dict(zip(containers["container_id"].tolist(), containers["installed_date"].tolist(), strict=True))
    stood = np.array([installed[key] for key in stops["container_id"].tolist()], dtype="datetime64[D]")
    assert (stops["service_date"] > stood).all()


# -- trucks ---------------------------------------------------------------------------------------------------


def test_wear_raises_the_hazard_of_failing() -> None:
    base = vehicle_hazard(np.array([50.0]), np.array([3.0]), np.array([0.2]), 1.0)[0]
    assert vehicle_hazard(np.array([400.0]), np.array([3.0]), np.array([0.2]), 1.0)[0] > base
    assert vehicle_hazard(np.array([50.0]), np.array([9.0]), np.array([0.2]), 1.0)[0] > base
    assert vehicle_hazard(np.array([50.0]), np.array([3.0]), np.array([1.5]), 1.0)[0] > 3 * base


def test_failures_follow_the_true_hazard_and_sensors_drift_before_them() -> None:
    life = live(120, 400, 2, failure_scale=4.0)
    failures, readings = life.seen("vehicle_failures"), life.seen("vehicle_telemetry")
    local = local_time(life.plan, AS_OF.date())
    failed = set(zip(failures["vehicle_id"].tolist(), local.day(failures["failed_at"]).tolist(), strict=True))
    at_work = life.hazard["day"] <= life.now.astype("datetime64[D]")
    days = list(zip((life.hazard["vehicle"][at_work] + 1).tolist(), life.hazard["day"][at_work].tolist(), strict=True))
    outcome = np.array([day in failed for day in days])
    assert outcome.sum() > 50
    assert auc(life.hazard["hazard"][at_work], outcome) > 0.75
    # A sum of independent draws lies within four standard deviations of what was expected.
    expected = life.hazard["hazard"][at_work].sum()
    assert abs(outcome.sum() - expected) < 4 * np.sqrt(expected)
    shaky = code("component", "transmission"), code("component", "brakes"), code("component", "tires")
    before, usual = [], []
    for vehicle, component, at in zip(
        failures["vehicle_id"], failures["component"], failures["failed_at"].astype("datetime64[D]"), strict=True
    ):
        mine = readings["vehicle_id"] == vehicle
        last_days = (
            mine & (readings["telemetry_date"] < at) & (readings["telemetry_date"] > at - np.timedelta64(6, "D"))
        )
        if component in shaky:
            before.append(np.nanmean(readings["vibration_mm_s"][last_days]))
            usual.append(np.nanmedian(readings["vibration_mm_s"][mine]))
    assert np.nanmean(np.array(before) / np.array(usual)) > 1.03


# -- seasons --------------------------------------------------------------------------------------------------


def test_organics_peak_in_summer_and_weekends_are_quiet(life: Life) -> None:
    loads = life.seen("loads")
    organics = loads["waste_stream"] == code("waste_stream", "organics")
    month = loads["service_date"].astype("datetime64[M]").astype(int) % 12 + 1
    by_month = np.array([np.nanmean(loads["weight_lb"][organics & (month == m)]) for m in range(1, 13)])
    by_month *= [np.mean(organics[month == m]) for m in range(1, 13)]
    assert by_month[5:8].mean() > 1.5 * by_month[[0, 1, 11]].mean()
    weekday = (loads["service_date"].astype(int) + 3) % 7
    assert (weekday == 6).mean() < 0.03 < (weekday == 2).mean()


def test_holidays_move_the_collection(life: Life) -> None:
    stops = life.seen("route_stops")
    days, counts = np.unique(stops["service_date"], return_counts=True)
    per_day = dict(zip(days.tolist(), counts.tolist(), strict=True))
    thanksgiving = np.datetime64("2025-11-27")
    assert thanksgiving.tolist() not in per_day
    assert per_day[(thanksgiving + 3).tolist()] > 0  # the Sunday after has Saturday's routes
    runs = life.seen("route_runs")
    assert runs["is_holiday_shifted"][runs["service_date"] == thanksgiving + 1].all()


def test_a_truck_works_and_fails_on_the_day_its_run_is_driven(life: Life) -> None:
    local = LocalTime(life.plan.time_zone, life.plan.start, AS_OF.date())
    runs, failures, telemetry = (life.seen(name) for name in ("route_runs", "vehicle_failures", "vehicle_telemetry"))
    on_run = failures["route_run_id"] >= 0
    place = np.searchsorted(runs["route_run_id"], failures["route_run_id"][on_run])
    assert runs["is_holiday_shifted"][place].any()
    assert (local.day(failures["failed_at"][on_run]) == runs["service_date"][place]).all()
    idle = telemetry["telemetry_date"] == np.datetime64("2025-11-27")
    assert idle.any()
    assert not telemetry["miles"][idle].any()


def test_snow_makes_pickups_fail(life: Life) -> None:
    stops, weather = life.seen("route_stops"), life.seen("weather")
    snow: dict[object, float] = {}
    for day, inches in zip(weather["weather_date"].tolist(), weather["snow_inches"].tolist(), strict=True):
        snow[day] = max(snow.get(day, 0.0), inches)
    fell = np.array([snow.get(day, 0.0) for day in stops["service_date"].tolist()])
    missed = stops["status"] == code("route_stops.status", "missed")
    assert (fell > 4).sum() > 100
    assert missed[fell > 4].mean() > 2 * missed[fell == 0].mean()


def test_weights_are_what_containers_hold(clean: Life) -> None:
    stops, containers = clean.seen("route_stops"), clean.seen("containers")
    place = np.searchsorted(containers["container_id"], stops["container_id"])
    np.testing.assert_array_equal(containers["container_id"][place], stops["container_id"])
    lifted = stops["status"] == 0
    capacity = containers["capacity_yd3"][place]
    density = DENSITY_LB[containers["waste_stream"][place]]
    ratio = (stops["weight_lb"] / (capacity * density * np.minimum(stops["fill_ratio"], 1.35)))[lifted]
    ordinary = (capacity[lifted] < 15) & (capacity[lifted] > 1)
    assert np.median(ratio[ordinary]) == pytest.approx(1.0, abs=0.02)


# -- money ----------------------------------------------------------------------------------------------------


def cents(values: np.ndarray) -> np.ndarray:
    return np.rint(values * 100).astype(np.int64)


def test_invoice_lines_sum_to_invoices_to_the_cent(life: Life) -> None:
    invoices, lines = life.seen("invoices"), life.seen("invoice_lines")
    size = invoices["invoice_id"].max() + 1
    total = np.bincount(lines["invoice_id"], cents(lines["amount_usd"]), minlength=size)
    np.testing.assert_array_equal(total[invoices["invoice_id"]], cents(invoices["subtotal_usd"]))
    np.testing.assert_array_equal(
        cents(invoices["subtotal_usd"]) + cents(invoices["tax_usd"]), cents(invoices["total_usd"])
    )
    assert len(np.unique(invoices["invoice_number"])) == len(invoices)


def test_nobody_pays_more_than_the_invoice(clean: Life) -> None:
    invoices, payments = clean.seen("invoices"), clean.seen("payments")
    size = invoices["invoice_id"].max() + 1
    paid = np.bincount(payments["invoice_id"], cents(payments["amount_usd"]), minlength=size)
    owed = np.zeros(size, dtype=np.int64)
    owed[invoices["invoice_id"]] = cents(invoices["total_usd"])
    assert (paid <= owed).all()
    assert (paid >= 0).all()
    old = invoices["due_date"] < clean.now.astype("datetime64[D]") - np.timedelta64(60, "D")
    keys = invoices["invoice_id"][old]
    assert paid[keys].sum() > 0.96 * owed[keys].sum()
    returned = payments["status"] == code("payments.status", "returned")
    assert (payments["amount_usd"][returned] < 0).all()
    assert 0 < returned.mean() < 0.05


def test_recurring_charges_follow_the_prices(clean: Life) -> None:
    """What is billed as base for a full month is the agreement's price in that month."""
    lines, prices = clean.seen("invoice_lines"), clean.seen("service_agreement_prices")
    base = (lines["line_type"] == code("line_type", "base")) & (lines["quantity"] == 1)
    checked = 0
    for agreement, day, amount in zip(
        lines["service_agreement_id"][base][::7], lines["invoice_date"][base][::7], lines["amount_usd"][base][::7],
        strict=True,
    ):  # fmt: skip
        billed = (day.astype("datetime64[M]") - 1).astype("datetime64[D]")
        until = prices["effective_to"]
        holds = (prices["service_agreement_id"] == agreement) & (prices["effective_from"] <= billed)
        holds &= np.isnat(until) | (until > billed)
        if holds.sum() == 1:
            assert prices["monthly_rate_usd"][holds][0] == pytest.approx(amount)
            checked += 1
    assert checked > 100


def test_the_company_earns_money(life: Life) -> None:
    lines, expenses = life.seen("invoice_lines"), life.seen("expenses")
    since = life.now.astype("datetime64[D]") - np.timedelta64(365, "D")
    revenue = lines["amount_usd"][lines["invoice_date"] >= since].sum()
    cost = expenses["amount_usd"][expenses["expense_date"] >= since].sum()
    assert 0.05 < 1 - cost / revenue < 0.40


def test_price_periods_follow_each_other(life: Life) -> None:
    prices = life.seen("service_agreement_prices")
    order = np.lexsort((prices["effective_from"], prices["service_agreement_id"]))
    same = np.diff(prices["service_agreement_id"][order]) == 0
    ends, starts = prices["effective_to"][order][:-1], prices["effective_from"][order][1:]
    np.testing.assert_array_equal(ends[same], starts[same])


# -- routes ---------------------------------------------------------------------------------------------------


def test_stops_are_driven_once_and_in_time(clean: Life) -> None:
    stops = clean.seen("route_stops")
    run, sequence = stops["route_run_id"], stops["actual_sequence"]
    reached = ~np.isnan(sequence)
    assert (stops["departed_at"][reached] > stops["arrived_at"][reached]).all()
    assert np.isnat(stops["arrived_at"][~reached]).all()
    order = np.lexsort((sequence[reached], run[reached]))
    arrived, runs = stops["arrived_at"][reached][order], run[reached][order]
    same = runs[1:] == runs[:-1]
    assert (np.diff(arrived)[same] >= np.timedelta64(0)).all()
    planned = stops["planned_sequence"][np.lexsort((stops["planned_sequence"], run))]
    assert (planned >= 1).all()
    assert len(np.unique(run * 10_000 + stops["planned_sequence"])) == len(run)


def test_loads_weigh_what_was_lifted(clean: Life) -> None:
    stops, loads, runs = clean.seen("route_stops"), clean.seen("loads"), clean.seen("route_runs")
    done = runs["status"] == code("route_runs.status", "completed")
    size = runs["route_run_id"].max() + 1
    lifted = np.bincount(stops["route_run_id"], np.nan_to_num(stops["weight_lb"]), minlength=size)
    on_route = (loads["route_run_id"] >= 0) & (loads["load_type"] != code("load_type", "ROLL OFF"))
    tipped = np.bincount(loads["route_run_id"][on_route], loads["weight_lb"][on_route], minlength=size)
    keys = runs["route_run_id"][done]
    both = tipped[keys] > 0
    assert np.median(tipped[keys][both] / lifted[keys][both]) == pytest.approx(1.0, abs=0.01)
