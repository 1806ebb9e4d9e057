"""Forecasts without parameters: the last value, the last season, means of seasons. The bar for all others."""

from collections.abc import Callable

import numpy as np

from warehouse_assets.forecast.frequency import Floats
from warehouse_assets.forecast.scoring import masked_mean


def naive_forecasts(known: Floats, season: int, long_season: int, horizon: int) -> dict[str, Floats]:
    """Forecast from plain copies and means of the past.

    Args:
        known: (series, steps) up to the origin, right-aligned, NaN before a series' start.
        season: steps of the short season.
        long_season: steps of the longest season (equal to ``season`` when there is but one).
        horizon: steps ahead.

    Returns:
        (series, horizon) by name; NaN where a series is too short for it: ``naive`` (last value), ``drift``
        (last value plus the mean change), ``seasonal_naive``, ``seasonal_mean`` (same phase of the
        last four seasons), ``seasonal_median`` (the same of seven seasons: a holiday that moved a day leaves no
        trace; `month_events` adds those of the month), ``last_year`` (the long season back, moved by
        the change in level since).
    """
    count, steps = known.shape
    ahead = np.arange(1, horizon + 1)
    last = known[:, -1:]
    out = {"naive": np.repeat(last, horizon, axis=1)}
    length = (~np.isnan(known)).sum(axis=1)
    first = known[np.arange(count), np.minimum(steps - length, steps - 1)]
    slope = (last[:, 0] - first) / np.maximum(length - 1, 1)
    out["drift"] = last + slope[:, None] * ahead
    out["seasonal_naive"] = last_season(known, season, horizon)
    if season <= 24:
        out["seasonal_mean"] = _phase(known, season, horizon, 4)
        out["seasonal_median"] = _phase(known, season, horizon, 7, np.nanmedian)
    if long_season > season or season > 24:
        window = min(4 * season, max(4, long_season // 4)) if season <= 24 else 13
        back = _phase(known, long_season, horizon, 1)
        if steps > long_season + window:
            now = masked_mean(known[:, -window:], axis=1)
            then = masked_mean(known[:, -window - long_season : -long_season], axis=1)
            out["last_year"] = back + (now - then)[:, None]
        else:
            out["last_year"] = np.full((count, horizon), np.nan)
    return out


def last_season(known: Floats, season: int, horizon: int) -> Floats:
    """Return the plain copy of the last season (series, horizon); NaN where that is unknown."""
    return _phase(known, season, horizon, 1)


def _phase(
    known: Floats, season: int, horizon: int, seasons: int, statistic: Callable[..., Floats] = masked_mean
) -> Floats:
    """Return a statistic over the last ``seasons`` seasons of each step's own phase; NaN if the last is unknown."""
    count, steps = known.shape
    ahead = np.arange(1, horizon + 1)
    back = season * ((ahead + season - 1) // season) - ahead
    layers = []
    for number in range(seasons):
        column = steps - 1 - back - number * season
        layers.append(np.where(column >= 0, known[:, np.maximum(column, 0)], np.nan))
    is_known = ~np.isnan(layers[0])
    out = np.full(is_known.shape, np.nan)
    out[is_known] = statistic(np.stack(layers, axis=-1)[is_known], axis=-1)
    return np.asarray(out).reshape(count, horizon)
