"""Accuracy measures on arrays (series on the first axis). One definition for backtests and benchmarks."""

import numpy as np
from numpy.typing import NDArray

from warehouse_assets.forecast.frequency import Floats


def mase_scale(known: Floats, season: int) -> Floats:
    """Return each series' mean absolute seasonal-naive change, the denominator of MASE.

    Hyndman and Koehler 2006. Where fewer pairs are known than a quarter of the season, or the series never changes at
    that lag, the lag is 1; where it never changes at all, the scale is 0 (see `usable_scale`).

    Args:
        known: (series, steps), right-aligned, NaN before each start.
        season: lag in steps.
    """
    scale = _mean_change(known, season)
    return np.where(np.nan_to_num(scale) > 0, scale, np.nan_to_num(_mean_change(known, 1)))


def _mean_change(known: Floats, lag: int) -> Floats:
    """Mean absolute difference at a lag; NaN where there are fewer pairs than a quarter of the lag."""
    if known.shape[1] <= lag:
        return np.full(len(known), np.nan)
    change = np.abs(known[:, lag:] - known[:, :-lag])
    there = ~np.isnan(change)
    number = there.sum(axis=1)
    total = np.where(there, change, 0.0).sum(axis=1)
    return np.where(4 * number >= lag, total / np.maximum(number, 1), np.nan)


def usable_scale(scale: Floats, level: Floats) -> Floats:
    """Replace scales that a single point cannot give by the panel's typical share of the level; constants keep 0.

    Args:
        scale: MASE scales; NaN where a series has too little history to have one.
        level: mean absolute value, by series; where it is 0 as well, the panel's typical scale is taken.
    """
    known = (scale > 0) & (level > 0)
    share = float(np.median(scale[known] / level[known])) if known.any() else 0.1
    typical = float(np.median(scale[known])) if known.any() else 0.0
    return np.where(np.isnan(scale), np.where(level > 0, share * level, typical), scale)


def unshared(cuts: list[int], horizon: int) -> float:
    """Return what share of its horizon an origin has for itself, its newer neighbour beginning before it ends."""
    return float(np.clip(-np.diff(cuts) / horizon, 0.0, 1.0).min()) if len(cuts) > 1 else 1.0


def masked_mean(values: Floats, axis: int | tuple[int, ...] | None = None) -> Floats:
    """Mean without NaN; NaN (and no warning) where there is nothing."""
    there = ~np.isnan(values)
    number = there.sum(axis=axis)
    total = np.where(there, values, 0.0).sum(axis=axis)
    return np.asarray(np.where(number > 0, total / np.maximum(number, 1), np.nan))


def smape(actual: Floats, forecast: Floats) -> Floats:
    """Return M4's symmetric absolute percentage error, 0 to 200, per element; 0 where both are 0."""
    size = np.abs(actual) + np.abs(forecast)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(size == 0, 0.0, 200.0 * np.abs(actual - forecast) / size))


def covered(actual: Floats, lower: Floats, upper: Floats) -> Floats:
    """Return 1 where the actual lies in the interval (bounds included), 0 where not, NaN where unknown."""
    inside: NDArray[np.bool_] = (actual >= lower) & (actual <= upper)
    return np.where(np.isnan(actual) | np.isnan(lower), np.nan, inside.astype(float))
