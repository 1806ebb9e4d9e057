"""The holiday slide: learned from earlier years, applied to the series that follow, blind to what lies ahead."""

import numpy as np
import pandas as pd
import pytest

from warehouse_assets.forecast.frequency import Floats, Ints, holiday_days
from warehouse_assets.forecast.holiday_slide import LEAST_WEEKS, apply_slide, holiday_slide
from warehouse_assets.forecast.model import forecast

FIRST = np.datetime64("2024-01-01", "D")
LAST = np.datetime64("2026-11-20", "D")
THANKSGIVINGS = [np.datetime64(day, "D") for day in ("2024-11-28", "2025-11-27", "2026-11-26")]


def number(day: np.datetime64) -> int:
    return int(day.astype(np.int64))


def week_of(route: int, slides: bool, days: np.ndarray) -> Floats:
    """Lifts of a route on two weekdays; after Thanksgiving its Thursdays and Fridays come a day later."""
    weekday = (days.astype(np.int64) + 3) % 7
    usual = np.where(weekday == 3, 100.0 + route, np.where(weekday == 4, 60.0 + route, 0.0))
    if slides:
        for holiday in THANKSGIVINGS:
            at = number(holiday) - number(days[0])
            for offset, value in enumerate((0.0, 100.0 + route, 60.0 + route, 0.0)):
                if 0 <= at + offset < len(usual):
                    usual[at + offset] = value
    return usual


@pytest.fixture(scope="module")
def days() -> np.ndarray:
    return np.arange(FIRST, LAST + 1)


@pytest.fixture(scope="module")
def holidays() -> Ints:
    return holiday_days("US", 2024, 2027)


def test_only_the_series_that_followed_before_slide(days: np.ndarray, holidays: Ints) -> None:
    known = np.stack([week_of(route, route != 2, days) for route in range(3)])
    ahead = holiday_slide(known, number(LAST), holidays, 14).ahead
    thanksgiving = number(THANKSGIVINGS[2]) - number(LAST) - 1
    assert ahead[0, thanksgiving : thanksgiving + 4].tolist() == [0.0, 100.0, 60.0, 0.0]
    assert np.isnan(ahead[2]).all(), "it kept its days before"
    elsewhere = np.r_[0:thanksgiving, thanksgiving + 4 : 14]
    assert np.isnan(ahead[:, elsewhere]).all()


def test_a_slide_replaces_days_of_any_forecast_but_makes_none() -> None:
    ahead = np.array([[np.nan, 0.0, 100.0]])
    assert apply_slide(np.array([[5.0, 6.0, 7.0]]), ahead).tolist() == [[5.0, 0.0, 100.0]]
    assert np.isnan(apply_slide(np.full((1, 3), np.nan), ahead)).all()


def test_the_history_is_as_if_no_holiday_had_been(days: np.ndarray, holidays: Ints) -> None:
    known = np.stack([week_of(route, route != 2, days) for route in range(3)])
    history = holiday_slide(known, number(LAST), holidays, 14).history
    assert history.tolist() == [week_of(route, False, days).tolist() for route in range(3)]


def test_a_week_that_has_begun_goes_on_as_it_began(days: np.ndarray, holidays: Ints) -> None:
    """Of a company's first year: on the Friday after its first Thanksgiving, Friday's lifts come on Saturday."""
    first = number(THANKSGIVINGS[0]) - number(days[0])
    begin = first - 7 * LEAST_WEEKS
    friday = first + 1
    known = np.stack([week_of(route, True, days[begin : friday + 1]) for route in range(3)])
    found = holiday_slide(known, number(days[friday]), holidays, 9)
    assert found.ahead[0, :2].tolist() == [60.0, 0.0]
    assert np.isnan(found.ahead[:, 2:]).all()
    assert found.history[0, -2:].tolist() == [100.0, 60.0], "whoever copies this week copies a usual one"


def test_a_series_that_began_in_the_week_of_the_holiday_keeps_its_days(days: np.ndarray, holidays: Ints) -> None:
    known = np.stack([week_of(route, True, days) for route in range(3)])
    known[2, : number(THANKSGIVINGS[1]) - number(days[0]) + 1] = np.nan
    history = holiday_slide(known, number(LAST), holidays, 14).history
    assert np.array_equal(history[2], known[2], equal_nan=True)


@pytest.mark.parametrize("origin", ["2026-11-20", "2026-11-27", "2026-11-30"])
def test_whatever_is_chosen_knows_the_holiday_and_copies_none(origin: str) -> None:
    """A company 13 months old that grows by 1% a week, so that the median of seven weeks is not what is chosen."""
    days = np.arange(np.datetime64(origin, "D") - 399, np.datetime64(origin, "D") + 15)
    level = 1.01 ** (np.arange(len(days)) // 7)
    frame = pd.concat(
        pd.DataFrame({"unique_id": f"route {route}", "ds": days, "y": level * week_of(route, True, days)})
        for route in range(4)
    )
    known = pd.DataFrame(frame[frame["ds"] <= pd.Timestamp(origin)])
    found = forecast(known, 14, "D", prophet_series=0).forecasts.merge(frame, on=["unique_id", "ds"])
    assert len(found) == 4 * 14
    assert np.abs(found["yhat"] - found["y"]).max() < 0.1 * known["y"].max()


def test_a_company_that_never_slid_keeps_its_days(days: np.ndarray, holidays: Ints) -> None:
    known = np.stack([week_of(route, False, days) for route in range(3)])
    found = holiday_slide(known, number(LAST), holidays, 14)
    assert np.isnan(found.ahead).all()
    assert (found.history == known).all()


def test_what_lies_after_the_origin_changes_nothing(days: np.ndarray, holidays: Ints) -> None:
    """Moving the future must not move a past forecast: here a week with a holiday is the future."""
    frame = pd.concat(
        pd.DataFrame({"unique_id": f"route {route}", "ds": days, "y": week_of(route, True, days)}) for route in range(4)
    )
    frame = pd.DataFrame(frame[frame["ds"] <= pd.Timestamp(THANKSGIVINGS[1]) + pd.Timedelta(days=9)])
    made = forecast(frame, 10, "D", prophet_series=0).backtest_forecasts()
    origin = made["origin"].max()
    assert made.loc[made["origin"] == origin, "ds"].isin(THANKSGIVINGS[1:2]).any(), "the newest one lies before it"
    changed = frame.assign(y=frame["y"].where(frame["ds"] <= origin, 7.0))
    again = forecast(changed, 10, "D", prophet_series=0).backtest_forecasts()
    pd.testing.assert_frame_equal(made.drop(columns="y"), again.drop(columns="y"), check_exact=True)


def test_an_observed_day_is_not_the_holiday() -> None:
    """July 4 of 2026 is a Saturday: offices close on Friday, routes slide on Saturday alone."""
    days = np.arange(np.datetime64("2024-01-01", "D"), np.datetime64("2026-06-26", "D") + 1)
    weekday = (days.astype(np.int64) + 3) % 7
    lifts = np.where(weekday == 4, 50.0, np.where(weekday == 5, 20.0, 0.0))
    for holiday in ("2024-07-04", "2025-07-04"):
        at = number(np.datetime64(holiday, "D")) - number(days[0])
        end = at + 7 - int(weekday[at])
        lifts[at:end] = np.r_[0.0, lifts[at : end - 1]]
    last = number(days[-1])
    ahead = holiday_slide(lifts[None, :], last, holiday_days("US", 2024, 2027), 14).ahead
    friday = number(np.datetime64("2026-07-03", "D")) - last - 1
    assert np.isnan(ahead[0, friday]), "nothing moves on Friday"
    assert ahead[0, friday + 1 : friday + 3].tolist() == [0.0, 20.0]
