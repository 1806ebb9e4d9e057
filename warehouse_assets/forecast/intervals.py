"""Prediction intervals from what went wrong before: conformal quantiles of the backtest's errors.

Errors are divided by the series' scale and by its own record (leaving out the origin an error comes from), pooled over
all series and neighbouring steps, and their quantiles taken with the finite-sample correction of split
conformal prediction (Vovk et al. 2005; Stankevičiūtė et al. 2021 for horizons).
"""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from warehouse_assets.forecast.frequency import Floats
from warehouse_assets.forecast.scoring import masked_mean

POOL = 240
"""Errors wanted for one step's quantile; neighbouring steps are drawn in until there are so many."""
PRIOR_ORIGINS = 2.0
"""Origins' worth of evidence that a series errs like all others relative to its scale."""


REFERENCE_LEVEL = 90.0
"""Percent at which the widening is measured; one factor for all levels keeps intervals nested."""
MOST_WIDENING = 2.0


@dataclass(frozen=True)
class Calibration:
    """What turns a forecast into an interval.

    Attributes:
        errors: by step, the pooled normalised errors, sorted.
        growth: by step, the factor for steps beyond the backtest's horizon (1 within it).
        spread: (series,) a series' own record relative to its scale.
        widening: factor, at least 1, for what the errors of a whole origin have in common.
    """

    errors: list[Floats]
    growth: Floats
    spread: Floats
    widening: float = 1.0

    def bounds(self, path: Floats, scale: Floats, level: float) -> tuple[Floats, Floats]:
        """Return lower and upper (series, horizon) around ``path`` at ``level`` percent."""
        low, high = _reach(self.errors, level)
        width = (scale * self.spread)[:, None] * (self.widening * self.growth)[None, :]
        return path - width * low[None, :], path + width * high[None, :]


def _reach(pools: list[Floats], level: float) -> tuple[Floats, Floats]:
    """Return by step how far down and up ``level`` percent of the errors reach.

    Half of the asymmetry of past errors is kept: half may be the past's own luck.
    """
    tail = (1.0 - level / 100.0) / 2.0
    low, high = [], []
    for pool in pools:
        both = _corrected(np.abs(pool), 1.0 - 2.0 * tail)
        high.append(max(0.5 * (both + _corrected(pool, 1.0 - tail)), 0.0))
        low.append(max(0.5 * (both + _corrected(-pool, 1.0 - tail)), 0.0))
    return np.array(low), np.array(high)


def _corrected(values: Floats, share: float) -> float:
    """Return the quantile with the (n + 1) / n correction; past the largest value it grows with what is asked."""
    number = len(values)
    if number == 0:
        return 0.0
    wanted = share * (number + 1) / number
    if wanted <= 1.0:
        return float(np.quantile(values, wanted))
    return float(values.max()) * (1.0 + (wanted - 1.0) * number)


def calibrate(path: Floats, actual: Floats, scale: Floats, cuts: list[int]) -> Calibration:
    """Learn intervals from past origins.

    Args:
        path: (origins, series, horizon) the forecasts as they would have been published.
        actual: the same shape; NaN where unknown.
        scale: (series,) where the interval is to be used: scales of older origins are those of shorter histories.
        cuts: columns known at each origin, newest first.

    Returns:
        `Calibration`; without any error to learn from, the normal quantiles of a walk whose mean absolute change
        is the series' scale.
    """
    _, series, horizon = path.shape
    unit = np.where(scale > 0, scale, np.nan)[:, None]
    error = (actual - path) / unit
    seen = ~np.isnan(error)
    if not seen.any():
        # A normal change's standard deviation is 1.2533 (the root of pi / 2) times its mean absolute value.
        change = NormalDist(sigma=1.2533)
        walk = np.array([change.inv_cdf(share) for share in (np.arange(41) + 0.5) / 41])
        return Calibration([walk] * horizon, np.sqrt(np.arange(1, horizon + 1)), np.ones(series))
    size = masked_mean(np.abs(error), axis=2)
    typical = float(np.nanmean(size)) or 1.0
    spread = _spread(size, typical, None)
    leave_out = np.stack([_spread(size, typical, origin) for origin in range(len(size))])
    normal = error / leave_out[:, :, None]
    reach = int(np.flatnonzero(seen.any(axis=(0, 1))).max()) + 1
    pools = _pools(normal, reach)
    growth = np.ones(horizon)
    beyond = np.arange(reach + 1, horizon + 1)
    growth[reach:] = np.sqrt(beyond / reach)
    pools += [pools[-1]] * (horizon - reach)
    return Calibration(pools, growth, spread, _widening(normal, reach, cuts))


def _pools(normal: Floats, reach: int) -> list[Floats]:
    """Collect each step's errors, with its neighbours' where they are few; however far these are where it has none."""
    seen = ~np.isnan(normal)
    pools = []
    for step in range(reach):
        side = 0
        pool = normal[:, :, step][seen[:, :, step]]
        while len(pool) < POOL and (side < max(2, reach // 6) or not len(pool)) and side < reach:
            side += 1
            near = slice(max(0, step - side), step + side + 1)
            pool = normal[:, :, near][seen[:, :, near]]
        pools.append(np.sort(pool))
    return pools


def _widening(normal: Floats, reach: int, cuts: list[int]) -> float:
    """Return how much wider intervals must be to cover an origin that they have not seen.

    The errors of one origin share the weather, the holiday, the crisis of those weeks; pooled quantiles
    treat them as independent and come out too narrow for the next one. So each origin is left out in turn, and with
    it those whose horizon it shares by half: from 60 months all 12 origins lie a month apart.
    """
    if len(normal) < 3:
        return 1.0
    ratios = [np.empty(0)]
    for origin in range(len(normal)):
        apart = np.abs(np.array(cuts) - cuts[origin])
        rest = normal[apart >= min(reach, apart.max()) / 2]
        if (~np.isnan(rest[:, :, :reach])).any(axis=(0, 1)).all():
            low, high = _reach(_pools(rest, reach), REFERENCE_LEVEL)
            error = normal[origin, :, :reach]
            bound = np.where(error > 0, high[None, :], low[None, :])
            ratios.append((np.abs(error) / np.maximum(bound, 1e-12))[~np.isnan(error)])
    told = np.concatenate(ratios)  # nothing, where no origin has both errors and others to hold against
    return float(np.clip(np.quantile(told, REFERENCE_LEVEL / 100.0), 1.0, MOST_WIDENING)) if told.size else 1.0


def _spread(size: Floats, typical: float, without: int | None) -> Floats:
    """Return each series' error size relative to its scale, shrunk towards the typical one."""
    kept = size if without is None else np.delete(size, without, axis=0)
    number = (~np.isnan(kept)).sum(axis=0)
    total = np.where(np.isnan(kept), 0.0, kept).sum(axis=0)
    return np.asarray((total + PRIOR_ORIGINS * typical) / (number + PRIOR_ORIGINS))
