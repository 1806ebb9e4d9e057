"""Prediction intervals from what went wrong before: conformal quantiles of the backtest's errors.

Errors are divided by the series' scale and by its own record (leaving out the origin an error comes from), pooled over
all series and neighbouring steps, and their quantiles taken with the finite-sample correction of split
conformal prediction (Vovk et al. 2005; Stankevičiūtė et al. 2021 for horizons).
"""

from dataclasses import dataclass

import numpy as np

from warehouse_assets.forecast.frequency import Floats
from warehouse_assets.forecast.scoring import masked_mean

POOL = 240
"""Errors wanted for one step's quantile; neighbouring steps are drawn in until there are so many."""
PRIOR_ORIGINS = 2.0
"""Origins' worth of evidence that a series errs like all others relative to its scale."""


@dataclass(frozen=True)
class Calibration:
    """What turns a forecast into an interval.

    Attributes:
        errors: by step, the pooled normalised errors, sorted.
        growth: by step, the factor for steps beyond the backtest's horizon (1 within it).
        spread: (series,) a series' own record relative to its scale.
    """

    errors: list[Floats]
    growth: Floats
    spread: Floats

    def bounds(self, path: Floats, scale: Floats, level: float) -> tuple[Floats, Floats]:
        """Return lower and upper (series, horizon) around ``path`` at ``level`` percent.

        Half of the asymmetry of past errors is kept: half may be the past's own luck.
        """
        tail = (1.0 - level / 100.0) / 2.0
        low, high = [], []
        for pool, growth in zip(self.errors, self.growth, strict=True):
            size = np.abs(pool)
            both = _corrected(size, 1.0 - 2.0 * tail)
            above, below = _corrected(pool, 1.0 - tail), _corrected(-pool, 1.0 - tail)
            high.append(growth * max(0.5 * (both + above), 0.0))
            low.append(growth * max(0.5 * (both + below), 0.0))
        width = (scale * self.spread)[:, None]
        return path - width * np.array(low)[None, :], path + width * np.array(high)[None, :]


def _corrected(values: Floats, share: float) -> float:
    """Return the quantile with the (n + 1) / n correction; past the largest value it grows with what is asked."""
    number = len(values)
    if number == 0:
        return 0.0
    wanted = share * (number + 1) / number
    if wanted <= 1.0:
        return float(np.quantile(values, wanted))
    return float(values.max()) * (1.0 + (wanted - 1.0) * number)


def calibrate(path: Floats, actual: Floats, scale: Floats) -> Calibration:
    """Learn intervals from past origins.

    Args:
        path: (origins, series, horizon) the forecasts as they would have been published.
        actual: the same shape; NaN where unknown.
        scale: (origins, series).

    Returns:
        `Calibration`; without any error to learn from, the normal quantiles of a walk with the series' scale.
    """
    _, series, horizon = path.shape
    unit = np.where(scale > 0, scale, np.nan)[:, :, None]
    error = (actual - path) / unit
    seen = ~np.isnan(error)
    if not seen.any():
        walk = np.linspace(-2.5, 2.5, 41)
        return Calibration([walk] * horizon, np.sqrt(np.arange(1, horizon + 1)), np.ones(series))
    size = masked_mean(np.abs(error), axis=2)
    typical = float(np.nanmean(size)) or 1.0
    spread = _spread(size, typical, None)
    leave_out = np.stack([_spread(size, typical, origin) for origin in range(len(size))])
    normal = error / leave_out[:, :, None]
    reach = int(np.flatnonzero(seen.any(axis=(0, 1))).max()) + 1
    pools = []
    for step in range(reach):
        side = 0
        pool = normal[:, :, step][seen[:, :, step]]
        while len(pool) < POOL and side < max(2, reach // 6):
            side += 1
            near = slice(max(0, step - side), step + side + 1)
            pool = normal[:, :, near][seen[:, :, near]]
        pools.append(np.sort(pool))
    growth = np.ones(horizon)
    beyond = np.arange(reach + 1, horizon + 1)
    growth[reach:] = np.sqrt(beyond / reach)
    pools += [pools[-1]] * (horizon - reach)
    return Calibration(pools, growth, spread)


def _spread(size: Floats, typical: float, without: int | None) -> Floats:
    """Return each series' error size relative to its scale, shrunk towards the typical one."""
    kept = size if without is None else np.delete(size, without, axis=0)
    number = (~np.isnan(kept)).sum(axis=0)
    total = np.where(np.isnan(kept), 0.0, kept).sum(axis=0)
    return np.asarray((total + PRIOR_ORIGINS * typical) / (number + PRIOR_ORIGINS))
