"""Days of the month: events are found where they are, and only there; months are forecast by their own days."""

import numpy as np
import pytest
from numpy.typing import NDArray

from warehouse_assets.forecast.combine import fit_weights
from warehouse_assets.forecast.month_days import month_events, month_median

NONE = np.empty(0, dtype=np.int64)
LAST = int(np.datetime64("2026-08-31", "D").astype(np.int64))
HORIZON = 61  # September, which has a Saturday the 5th, and October
Floats = NDArray[np.float64]


def days_to(last: int, count: int) -> NDArray[np.datetime64]:
    return np.arange(last - count + 1, last + 1).astype("datetime64[D]")


def week_of_noise(count: int, series: int = 1) -> Floats:
    """Weeks with a free Sunday, with noise of 1."""
    rng = np.random.default_rng(11)
    weekday = (days_to(LAST, count).astype(np.int64) + 3) % 7
    return np.where(weekday == 6, 0.0, 10.0) + rng.normal(size=(series, count))


def day_of_month(days: NDArray[np.datetime64]) -> NDArray[np.int64]:
    return (days - days.astype("datetime64[M]").astype("datetime64[D]")).astype(np.int64) + 1


def test_rent_on_the_fifth_comes_again_on_the_fifth_weekend_or_not() -> None:
    known = week_of_noise(400)
    known[:, day_of_month(days_to(LAST, 400)) == 5] += 80.0
    added = month_events(known, LAST, NONE, np.zeros((1, HORIZON)))[0]
    assert list(np.flatnonzero(added)) == [4, 34]
    assert added[[4, 34]] == pytest.approx(80.0, abs=3.0)


@pytest.mark.parametrize(("roll", "september"), [("forward", 6), ("backward", 3)])
def test_what_moves_off_the_weekend_moves_again(roll: str, september: int) -> None:
    days = days_to(LAST, 400)
    fifth = np.unique(days.astype("datetime64[M]")).astype("datetime64[D]") + 4
    paid = np.busday_offset(fifth, np.int64(0), roll="forward" if roll == "forward" else "backward")
    known = week_of_noise(400)
    known[:, np.isin(days, paid)] += 80.0
    added = month_events(known, LAST, NONE, np.zeros((1, HORIZON)))[0]
    assert list(np.flatnonzero(added)) == [september, 34]


def test_a_months_last_day_is_found_though_months_differ_in_length() -> None:
    days = days_to(LAST, 400)
    known = week_of_noise(400)
    known[:, day_of_month(days + 1) == 1] -= 50.0
    added = month_events(known, LAST, NONE, np.zeros((1, HORIZON)))[0]
    assert list(np.flatnonzero(added)) == [29, 60]
    assert (added[[29, 60]] < -40).all()


@pytest.mark.parametrize("shape", ["normal", "lognormal", "rare", "walk", "constant", "short"])
def test_noise_has_no_events(shape: str) -> None:
    rng = np.random.default_rng(3)
    size = (400, 60 if shape == "short" else 500)
    known = {
        "normal": rng.normal(size=size),
        "lognormal": rng.lognormal(0, 1.5, size),
        "rare": (rng.random(size) < 0.05) * 100.0,
        "walk": rng.normal(size=size).cumsum(axis=1),
        "constant": np.ones(size),
        "short": rng.lognormal(0, 1.5, size),
    }[shape]
    assert not month_events(known, LAST, NONE, np.zeros((400, HORIZON))).any()


def test_an_event_that_has_stopped_is_not_expected() -> None:
    known = week_of_noise(400)
    days = days_to(LAST, 400)
    known[:, (day_of_month(days) == 5) & (days < np.datetime64("2026-04-01"))] += 80.0
    assert not month_events(known, LAST, NONE, np.zeros((1, HORIZON))).any()


def test_the_month_is_forecast_by_the_median_of_its_own_days() -> None:
    days = days_to(LAST, 200)
    by_day = 100.0 * day_of_month(days)
    by_day[days == np.datetime64("2026-07-10")] = 9e9
    short = np.where(np.arange(200) < 140, np.nan, by_day)
    found = month_median(np.stack([by_day, short]), LAST, HORIZON)
    assert found[0, :28] == pytest.approx(100.0 * np.arange(1, 29))
    assert found[0, 30:58] == pytest.approx(100.0 * np.arange(1, 29))  # October looks back to what is known
    assert found[0, 29] == 3100.0  # the last day of September: those of May, July and August had 31 days, June's 30
    assert np.isnan(found[1]).all()


def test_what_fails_elsewhere_is_still_chosen_where_it_suits() -> None:
    rng = np.random.default_rng(5)
    actual = rng.normal(size=(4, 60, 30))
    week, month = actual + 0.5, actual + 20.0
    week[:, 55:], month[:, 55:] = actual[:, 55:] + 3.0, actual[:, 55:] + 0.1
    groups = np.r_[np.zeros(55), np.ones(5)].astype(np.intp)
    weights = fit_weights(["week", "month"], np.stack([week, month]), actual, np.ones(60), groups)
    assert (weights.by_series[:55, 0] == 1.0).all()
    assert (weights.by_series[55:, 1] == 1.0).all()
