"""Intervals where past errors are few, close together, or not to be had."""

import numpy as np
import pandas as pd
import pytest

from warehouse_assets.forecast.intervals import calibrate
from warehouse_assets.forecast.model import forecast

# Percent, and how many standard deviations a normal error stays within at that percent.
NORMAL = [(50, 0.674), (80, 1.282), (90, 1.645), (95, 1.960)]


@pytest.mark.parametrize(("level", "reach"), NORMAL)
def test_without_past_errors_intervals_are_those_of_a_normal(level: float, reach: float) -> None:
    # Regression: the errors were spread evenly, so that 50% was half as wide again as it should be.
    unknown = np.full((1, 2, 9), np.nan)
    deviation = np.array([[1.0], [10.0]]) * np.sqrt(np.arange(1, 10))
    lower, upper = calibrate(unknown, unknown, deviation, [9]).bounds(np.zeros((2, 9)), level)
    np.testing.assert_allclose(lower, -upper)
    np.testing.assert_allclose(upper, reach * deviation, rtol=2e-3)


@pytest.mark.parametrize(
    ("dates", "freq", "horizon"),
    [
        # dates observed                                            step  horizon
        (pd.date_range("2014-01-01", periods=40, freq="QS"), "MS", 2),
        (pd.bdate_range("2023-01-02", periods=357), "D", 1),
        (pd.date_range("2022-01-03", periods=80, freq="7D"), "D", 7),
        (pd.date_range("2000-01-01", periods=20, freq="YS"), "MS", 12),
    ],
)
def test_series_observed_now_and_then_have_intervals_of_some_width(
    dates: pd.DatetimeIndex, freq: str, horizon: int
) -> None:
    # Regression: an origin without a single value in its horizon ended the run; a step without gave a width of nothing.
    values = 10 + np.random.default_rng(0).normal(size=len(dates))
    made = forecast(pd.DataFrame({"unique_id": "a", "ds": dates, "y": values}), horizon, freq, 90).forecasts
    assert len(made) == horizon
    assert (made["yhat_upper"] > made["yhat_lower"]).all()


def monthly(months: int, series: int, seed: int = 5) -> pd.DataFrame:
    """Series with a strong yearly season and noise of 8%."""
    rng, step = np.random.default_rng(seed), np.arange(months)
    return pd.concat(
        pd.DataFrame(
            {
                "unique_id": f"s{number}",
                "ds": pd.date_range("2022-01-01", periods=months, freq="MS"),
                "y": 100 * np.exp(0.4 * np.sin(np.pi * (step + number) / 6) + 0.08 * rng.normal(size=months)),
            }
        )
        for number in range(series)
    )


def test_a_scale_of_one_pair_of_months_makes_no_interval_of_everything() -> None:
    # Regression: from 24 months, origins at 13 and 14 divided by one or two changes from year to year, and one interval
    # in six was four times as wide as the values are high.
    widths = []
    for seed in range(16):
        made = forecast(monthly(24, 1, seed), 6, "MS", 90).forecasts
        widths.append(((made["yhat_upper"] - made["yhat_lower"]) / made["yhat"]).mean())
    # 8% of noise, in the last value as well: 90% lie within 1.645 x 0.08 x the root of 2, so 0.37 from end to end
    assert np.mean(widths) > 0.3
    assert np.max(widths) < 2.5


@pytest.mark.parametrize(("months", "least"), [(60, 0.85), (24, 0.8)])
def test_single_short_walks_are_nearly_covered_as_claimed(months: int, least: float) -> None:
    # Regression: 12 origins a month apart stood for 12 different years, and widths came from a few changes over a
    # season: of 200 ways in which each walk could go on, 90% covered 0.63 from 60 months, 0.78 from 24.
    inside = []
    dates = pd.date_range("2018-01-01", periods=months, freq="MS")
    for seed in range(12 if months > 30 else 24):
        rng = np.random.default_rng(seed)
        walk = 500 + np.cumsum(rng.normal(size=months))
        future = walk[-1] + np.cumsum(rng.normal(size=(200, 12)), axis=1)
        made = forecast(pd.DataFrame({"unique_id": "a", "ds": dates, "y": walk}), 12, "MS", 90).forecasts
        inside.append(((future >= made["yhat_lower"].to_numpy()) & (future <= made["yhat_upper"].to_numpy())).mean())
    assert least < np.mean(inside) < 0.96


@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_a_short_series_that_is_nearly_exact_widens_no_other(noise: float) -> None:
    # Regression: smoothing had missed 50 days of a straight line by next to nothing, so that its errors were huge
    # beside that, and the 90% interval of 200 noisy days next to it became two to four times as wide.
    dates = pd.date_range("2025-01-01", periods=200)
    ratios = []
    for seed in range(3):
        rng = np.random.default_rng(seed + 50)
        noisy = pd.DataFrame({"unique_id": "noisy", "ds": dates, "y": 10 + 8 * rng.random(200)})
        line = 50 + 0.5 * np.arange(50) + noise * rng.normal(size=50)
        both = pd.concat([noisy, pd.DataFrame({"unique_id": "line", "ds": dates[150:], "y": line})])
        widths = []
        for history in (noisy, both):
            made = forecast(history, 30, "D", 90, prophet_series=0).forecasts
            made = made[made["unique_id"] == "noisy"]
            widths.append((made["yhat_upper"] - made["yhat_lower"]).mean())
        ratios.append(widths[1] / widths[0])
    assert np.max(ratios) < 1.4


@pytest.mark.parametrize("exact", [0, 1])
def test_series_that_are_all_apart_learn_from_each_other(exact: int) -> None:
    # 20 times a normal's error in every series but the exact ones: where nothing else tells a width, none is apart
    actual = np.random.default_rng(1).normal(scale=20.0, size=(5, 4, 10))
    actual[:, :exact] = 0.0
    deviation = np.ones((4, 10))
    lower, upper = calibrate(np.zeros_like(actual), actual, deviation, [50, 40, 30, 20, 10]).bounds(
        np.zeros((4, 10)), 90
    )
    inside = ((actual >= lower) & (actual <= upper))[:, exact:]
    assert inside.mean() > 0.85


def test_scores_of_two_short_years_are_not_those_of_one_pair_of_months() -> None:
    # Regression: an origin was scored by the seasonal changes it knew then. Where the first month came back the same a
    # year later, a single change of next to nothing made errors of a tenth a MASE of 100.
    months = np.arange(23)
    rng = np.random.default_rng(3)
    parts = []
    for number in range(6):
        values = 100 + 20 * np.sin(months / 6 * np.pi) + rng.normal(0, 4, len(months))
        values[12] = values[0] + 0.01
        dates = pd.date_range("2024-12-01", periods=len(months), freq="MS")
        parts.append(pd.DataFrame({"unique_id": f"s{number}", "ds": dates, "y": values}))
    made = forecast(pd.concat(parts), 12, "MS")
    assert made.selection["mase"].max() < 3
    assert made.selection["mase_seasonal_naive"].max() < 3
    # origins a month apart: the second oldest has seen one of twelve steps come true and is not scored
    scored = made.backtest[made.backtest["method"] == "combined"]["origin"].nunique()
    assert scored < made.backtest["origin"].nunique() - 1
