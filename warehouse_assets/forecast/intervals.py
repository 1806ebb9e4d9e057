"""Prediction intervals: exponential smoothing's own width, corrected by what went wrong before.

Smoothing tells each series' standard deviation at each step ahead, from every step of the history. The backtest's
errors, divided by that and by the series' own record (leaving out the origin an error comes from), are pooled over all
series and neighbouring steps, and their quantiles taken with the finite-sample correction of split
conformal prediction (Vovk et al. 2005; Stankevičiūtė et al. 2021 for horizons); where they are few, a normal's count.
A series that errs many times as much as smoothing says, such as a young straight line, has no say in the others' width.
"""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from warehouse_assets.forecast.frequency import Floats
from warehouse_assets.forecast.scoring import masked_mean, unshared

POOL = 240
"""Errors wanted for one step's quantile; neighbouring steps are drawn in until there are so many."""
PRIOR_ORIGINS = 2.0
"""Origins' worth of evidence that a series errs like all others relative to its deviation."""
NORMAL_HORIZONS = 4.0
"""Horizons' worth of evidence that errors are those of a normal with smoothing's deviation."""
NORMAL_SIZE = float(np.sqrt(2.0 / np.pi))
"""Mean absolute value of a standard normal."""
APART = 3.0
"""Times a normal's mean error above which a series is of another kind: 50 days of a straight line, of which smoothing
missed hardly any, have 12; M4's 359 weekly series 2.1 at most, 45 daily ones 1.0."""
REFERENCE_LEVEL = 90.0
"""Percent at which the widening is measured; one factor for all levels keeps intervals nested."""
MOST_WIDENING = 2.0


@dataclass(frozen=True)
class Calibration:
    """What turns a forecast into an interval.

    Attributes:
        errors: by step, the pooled normalised errors, sorted; none where there is no past origin.
        trust: weight of their quantiles, 0 to 1, beside a normal's.
        width: (series, horizon) what they are multiplied by: deviation, a series' own record, and the widening for
            what the errors of a whole origin have in common.
    """

    errors: list[Floats]
    trust: float
    width: Floats

    def bounds(self, path: Floats, level: float) -> tuple[Floats, Floats]:
        """Return lower and upper (series, horizon) around ``path`` at ``level`` percent."""
        normal = NormalDist(sigma=1.0 / NORMAL_SIZE).inv_cdf(0.5 + level / 200.0)
        low, high = (self.trust * reach + (1.0 - self.trust) * normal for reach in _reach(self.errors, level))
        return path - self.width * low[None, :], path + self.width * high[None, :]


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


def calibrate(path: Floats, actual: Floats, deviation: Floats, cuts: list[int]) -> Calibration:
    """Learn intervals from past origins.

    Args:
        path: (origins, series, horizon) the forecasts as they would have been published.
        actual: the same shape; NaN where unknown.
        deviation: (series, horizon) standard deviation where the interval is to be used: those of older origins are
            of shorter histories.
        cuts: columns known at each origin, newest first.

    Returns:
        `Calibration`; without any error to learn from, the normal of that deviation.
    """
    horizon = path.shape[2]
    error = (actual - path) / np.where(deviation > 0, deviation, np.nan)
    seen = ~np.isnan(error)
    if not seen.any():
        return Calibration([np.empty(0)] * horizon, 0.0, NORMAL_SIZE * deviation)
    size = masked_mean(np.abs(error), axis=2)
    apart = _apart(size)
    fresh = unshared(cuts, horizon)
    horizons = seen[:, ~apart].sum() / horizon * fresh
    trust = float(horizons / (horizons + NORMAL_HORIZONS))
    mean = np.where(apart, np.nanmean(size), np.nanmean(size[:, ~apart]))
    typical = trust * mean + (1.0 - trust) * NORMAL_SIZE
    spread = _spread(size, typical, fresh)
    leave_out = np.stack([_spread(np.delete(size, origin, axis=0), typical, fresh) for origin in range(len(size))])
    normal = (error / leave_out[:, :, None])[:, ~apart]
    reach = int(np.flatnonzero((~np.isnan(normal)).any(axis=(0, 1))).max()) + 1
    pools = _pools(normal, reach)
    pools += [pools[-1]] * (horizon - reach)
    return Calibration(pools, trust, _widening(normal, reach, cuts) * spread[:, None] * deviation)


def _apart(size: Floats) -> NDArray[np.bool_]:
    """Return which series err more than `APART` times as much as smoothing says; none where the rest tells no width.

    It tells none where it is empty, or errs so much less than smoothing says (exact series) that zeros would be pooled.
    """
    mean = masked_mean(size, axis=0)
    rest = mean[mean <= APART * NORMAL_SIZE]
    return (mean > APART * NORMAL_SIZE) & bool(rest.size and rest.mean() > NORMAL_SIZE / APART)


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


def _spread(size: Floats, typical: Floats, fresh: float) -> Floats:
    """Return each series' error size relative to its deviation, shrunk towards the typical one."""
    number = fresh * (~np.isnan(size)).sum(axis=0)
    total = fresh * np.where(np.isnan(size), 0.0, size).sum(axis=0)
    return np.asarray((total + PRIOR_ORIGINS * typical) / (number + PRIOR_ORIGINS))
