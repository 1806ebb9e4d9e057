"""The plan, the calendar and the map of the simulated company."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import holidays
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from warehouse_assets.errors import UserError
from warehouse_assets.source.contract import load_contract
from warehouse_assets.source.simulator.business_calendar import LocalTime, federal_holidays, shifted_days, weekday
from warehouse_assets.source.simulator.geography import CENTER, curve_key, dispatcher_tour, haversine_miles
from warehouse_assets.source.simulator.plan import PRESETS, Plan, make_plan, override_keys
from warehouse_assets.source.simulator.vocabulary import KEYS, words_of

AS_OF = datetime(2026, 3, 17, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        # what is typed after --set     what the user is told
        ({"customer": "12"}, "no setting 'customer'; it has seed, as_of, customers"),
        ({"customers": "many"}, "customers is 'many'; set it to a whole number from 10 to 100,000"),
        ({"customers": "3"}, "customers is '3'"),
        ({"dirt_scale": "-1"}, "dirt_scale is '-1'; set it to a number from 0 to 20"),
        ({"as_of": "yesterday"}, "as_of is 'yesterday'; write a time such as"),
        ({"start": "2026-03-17"}, "choose a day from 2 to 3660 days before"),
        ({"start": "soon"}, "start is 'soon'; write a date"),
        ({"time_zone": "Mars/Olympus"}, "time_zone is 'Mars/Olympus'"),
        ({"time_zone": "America"}, "time_zone is 'America'"),  # Regression: a folder of zones ended in a traceback
    ],
)
def test_a_setting_that_cannot_be_used_is_refused(overrides: dict[str, str], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        make_plan("small", 7, AS_OF, overrides)


# Regression: `--seed -1` on a new home was a traceback, and 20 digits were refused by PostgreSQL without a name.
@pytest.mark.parametrize("seed", [-1, 10**20])
def test_a_seed_that_cannot_be_used_is_refused(seed: int) -> None:
    with pytest.raises(UserError, match=f"seed is {seed}; set it to a whole number from 0 to 2,147,483,648"):
        make_plan("small", seed, AS_OF)


def test_an_unknown_preset_names_the_known_ones() -> None:
    with pytest.raises(UserError, match="choose one of small, demo, large"):
        make_plan("tiny", 7, AS_OF)


def test_as_of_is_the_current_hour_by_default() -> None:
    before = datetime.now(UTC)
    as_of = make_plan("small", 7).as_of
    assert before - timedelta(hours=1) < as_of <= datetime.now(UTC)
    assert (as_of.minute, as_of.second, as_of.microsecond) == (0, 0, 0)


@pytest.mark.parametrize("preset", PRESETS)
def test_a_plan_survives_its_json(preset: str) -> None:
    plan = make_plan(preset, 11, AS_OF, {"dirt_scale": "0.5"})
    assert Plan.from_json(plan.to_json()) == plan
    assert plan.accounts_at_start + round(plan.arrivals_per_day * plan.days) == plan.customers


def test_every_override_is_read() -> None:
    values = {
        "seed": 3, "as_of": "2025-07-01T12:00Z", "customers": 77, "days": 41, "depots": 3, "start": "2025-05-01",
        "time_zone": "America/Denver", "dirt_scale": 2, "churn_scale": 3, "failure_scale": 4,
    }  # fmt: skip
    plan = make_plan("small", 7, AS_OF, values)
    assert set(values) == set(override_keys())
    assert (plan.seed, plan.customers, plan.days, plan.depots) == (3, 77, 41, 3)
    assert (plan.start, plan.time_zone) == (date(2025, 5, 1), "America/Denver")
    assert (plan.dirt_scale, plan.churn_scale, plan.failure_scale) == (2, 3, 4)


@pytest.mark.parametrize("year", range(2022, 2031))
def test_holidays_are_those_of_the_holidays_package(year: int) -> None:
    known = {day for day, name in holidays.US(years=year, observed=False).items() if "Inauguration" not in name}
    assert {day for day, _, _ in federal_holidays(year)} == known


def test_a_holiday_moves_the_rest_of_its_week_by_a_day() -> None:
    week = np.arange(np.datetime64("2025-11-24"), np.datetime64("2025-12-01"))  # Thanksgiving is the 27th
    actual, moved = shifted_days(week)
    assert moved.tolist() == [False, False, False, True, True, True, False]
    assert (actual - week).astype(int).tolist() == [0, 0, 0, 1, 1, 1, 0]
    assert weekday(actual[:6]).tolist() == [1, 2, 3, 5, 6, 7]


# Regression: the hour at midnight counted for the day before or after where the clocks change later that day.
@example(date(2024, 3, 9), 23 * 60 + 30, "America/Chicago")
@example(date(2024, 11, 3), 30, "America/Chicago")
@given(
    st.dates(date(2022, 1, 1), date(2028, 12, 31)),
    # Clocks change between 02:00 and 03:00; nobody of the company is up then.
    st.one_of(st.integers(0, 119), st.integers(180, 1_439)),
    st.sampled_from(["America/Chicago", "UTC", "America/Phoenix", "Europe/Berlin"]),
)
def test_local_times_are_those_of_the_time_zone(day: date, minute: int, zone: str) -> None:
    local = LocalTime(zone, date(2021, 12, 1), date(2029, 2, 1))
    expected = datetime(day.year, day.month, day.day, minute // 60, minute % 60, tzinfo=ZoneInfo(zone))
    got = local.utc(np.array([day], dtype="datetime64[D]"), float(minute))
    assert got[0].astype(datetime).replace(tzinfo=UTC) == expected.astimezone(UTC)
    assert local.day(got)[0].astype(date) == day


def test_distances_are_those_of_the_great_circle() -> None:
    # Kansas City to St. Louis, 238 miles (National Geodetic Survey's inverse computation: 383.0 km)
    assert haversine_miles(39.0997, -94.5786, 38.6270, -90.1994) == pytest.approx(238.2, rel=0.005)


def test_the_planning_curve_visits_every_cell_once_and_steps_to_neighbours() -> None:
    side = 64
    edges = (np.arange(side) + 0.5) / side * 1.2 - 0.6
    x, y = np.meshgrid(edges, edges)
    stretch = np.cos(np.radians(39.10))
    key = curve_key(39.10 + y.ravel(), -94.58 + x.ravel() / stretch)
    order = np.argsort(key)
    assert len(np.unique(key)) == side * side
    step = np.abs(np.diff(np.round(x.ravel()[order] * side / 1.2, 3))) + np.abs(
        np.diff(np.round(y.ravel()[order] * side / 1.2, 3))
    )
    assert step.max() == pytest.approx(1.0, abs=0.01)


def test_the_dispatcher_plans_well_but_not_best() -> None:
    rng = np.random.default_rng(3)
    latitude, longitude = CENTER[0] + rng.uniform(-0.1, 0.1, 90), CENTER[1] + rng.uniform(-0.1, 0.1, 90)

    def miles(order: np.ndarray) -> float:
        at_latitude = np.r_[CENTER[0], latitude[order], CENTER[0]]
        at_longitude = np.r_[CENTER[1], longitude[order], CENTER[1]]
        return float(haversine_miles(at_latitude[:-1], at_longitude[:-1], at_latitude[1:], at_longitude[1:]).sum())

    curve, planned, best = (dispatcher_tour(CENTER, latitude, longitude, passes) for passes in (0, 1, 40))
    assert sorted(planned.tolist()) == list(range(90))
    assert miles(best) < 0.99 * miles(planned) < 0.99 * miles(curve)
    assert miles(curve) < 0.5 * miles(np.arange(90))


def test_every_reference_of_what_is_simulated_can_be_written() -> None:
    for name in KEYS:
        for column in load_contract().table(name).columns:
            if column.references:
                assert column.references in KEYS, f"{name}.{column.name}"


@pytest.mark.parametrize(
    ("table", "column"),
    [("customers", "customer_type"), ("service_agreements", "end_reason"), ("route_stops", "missed_reason"),
     ("service_tickets", "ticket_type"), ("expenses", "expense_kind"), ("portal_events", "event_type"),
     ("vehicles", "vehicle_type"), ("payments", "method"), ("invoice_lines", "line_type")],
)  # fmt: skip
def test_the_words_are_those_the_contract_describes(table: str, column: str) -> None:
    described = load_contract().table(table).column(column).description
    words = words_of(table, column)
    assert words is not None
    for word in words:
        assert word in described
