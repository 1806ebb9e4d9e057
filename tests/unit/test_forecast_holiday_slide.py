"""The holiday slide: learned from earlier years, applied to the series that follow, blind to what lies ahead."""

import numpy as np
import pandas as pd
import pytest

from warehouse_assets.forecast.frequency import Floats, Ints, holiday_days
from warehouse_assets.forecast.holiday_slide import holiday_slide
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


def usual_weeks(days: np.ndarray, horizon: int, rows: int) -> Floats:
    ahead = np.arange(LAST + 1, LAST + 1 + horizon)
    return np.stack([week_of(route, False, ahead) for route in range(rows)])


def test_only_the_series_that_followed_before_slide(days: np.ndarray, holidays: Ints) -> None:
    known = np.stack([week_of(route, route != 2, days) for route in range(3)])
    usual = usual_weeks(days, 14, 3)
    out = holiday_slide(known, number(LAST), holidays, usual)
    thanksgiving = number(THANKSGIVINGS[2]) - number(LAST) - 1
    assert out[0, thanksgiving : thanksgiving + 4].tolist() == [0.0, 100.0, 60.0, 0.0]
    assert out[2].tolist() == usual[2].tolist(), "it kept its days before"
    elsewhere = np.r_[0:thanksgiving, thanksgiving + 4 : 14]
    assert (out[:, elsewhere] == usual[:, elsewhere]).all()


def test_a_company_that_never_slid_keeps_its_days(days: np.ndarray, holidays: Ints) -> None:
    known = np.stack([week_of(route, False, days) for route in range(3)])
    usual = usual_weeks(days, 14, 3)
    assert (holiday_slide(known, number(LAST), holidays, usual) == usual).all()


def test_what_lies_after_the_origin_changes_nothing(days: np.ndarray) -> None:
    """Moving the future must not move the forecast from an earlier origin."""
    frame = pd.concat(
        pd.DataFrame({"unique_id": f"route {route}", "ds": days, "y": week_of(route, True, days)}) for route in range(4)
    )
    origin = pd.Timestamp("2025-11-20")
    known = frame[frame["ds"] <= origin]
    changed = frame.assign(y=frame["y"].where(frame["ds"] <= origin, 7.0))[lambda all_: all_["ds"] <= origin]
    first, second = (forecast(each, 14, "D", prophet_series=0).forecasts for each in (known, changed))
    pd.testing.assert_frame_equal(first, second)


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
    usual = np.resize(lifts[-7:], 14)[None, :]
    out = holiday_slide(lifts[None, :], last, holiday_days("US", 2024, 2027), usual)
    friday = number(np.datetime64("2026-07-03", "D")) - last - 1
    assert out[0, friday : friday + 3].tolist() == [50.0, 0.0, 20.0]
