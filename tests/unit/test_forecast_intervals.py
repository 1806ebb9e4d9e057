"""Intervals where past errors are few, close together, or not to be had."""

import numpy as np
import pandas as pd
import pytest

from warehouse_assets.forecast.intervals import calibrate
from warehouse_assets.forecast.model import forecast

# Percent, and how many mean absolute changes a normal change of one step stays within at that percent.
NORMAL = [(50, 0.845), (80, 1.606), (90, 2.061), (95, 2.456)]


@pytest.mark.parametrize(("level", "reach"), NORMAL)
def test_without_past_errors_intervals_are_those_of_a_normal_walk(level: float, reach: float) -> None:
    # Regression: the changes were spread evenly, so that 50% was half as wide again as it should be.
    unknown = np.full((1, 2, 9), np.nan)
    learned = calibrate(unknown, unknown, np.ones(2), [9])
    path, scale = np.zeros((2, 9)), np.array([1.0, 10.0])
    lower, upper = learned.bounds(path, scale, level)
    np.testing.assert_allclose(lower, -upper)
    np.testing.assert_allclose(upper, scale[:, None] * upper[0, 0] * np.sqrt(np.arange(1, 10)))
    # 41 quantiles stand for all, so what is asked is taken at 42 / 41 of it.
    assert upper[0, 0] == pytest.approx(reach, rel=0.15)
    assert upper[0, 0] >= reach


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


def test_origins_that_share_their_months_count_as_one() -> None:
    # Regression: 12 origins a month apart stood for 12 different years, and the next year's interval was too narrow.
    inside = []
    for seed in range(16):
        walk = 100 + 3 * np.cumsum(np.random.default_rng(seed).normal(size=72))
        dates = pd.date_range("2018-01-01", periods=72, freq="MS")
        made = forecast(pd.DataFrame({"unique_id": "a", "ds": dates, "y": walk})[:60], 12, "MS", 90).forecasts
        inside.append(((walk[60:] >= made["yhat_lower"]) & (walk[60:] <= made["yhat_upper"])).mean())
    assert np.mean(inside) > 0.75


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
