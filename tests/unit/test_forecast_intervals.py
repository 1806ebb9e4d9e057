"""Intervals where no past error is to be had."""

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
    learned = calibrate(unknown, unknown, np.ones((1, 2)))
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
