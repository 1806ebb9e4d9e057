"""Prophet as one more candidate, tried on the few series where it is likeliest to win.

A fit takes 0.1-0.3 s, hundreds of times what the other candidates take, and left alone Prophet loses to
the last value on many series. So it is tried where the calendar regression (the same terms: trend,
weekday, yearly waves, holidays) comes nearest to the others; first from the oldest of a few origins, and from
the newer ones only if it held its own there. Neither choice looks at what the newer origins are scored on. A time
budget bounds it all.
"""

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from warehouse_assets.forecast.backtest import Backtest, Progress
from warehouse_assets.forecast.frequency import Floats, step_dates
from warehouse_assets.forecast.panel import Panel
from warehouse_assets.forecast.scoring import masked_mean

LEAST_HISTORY = 120
"""Steps a series needs before Prophet is tried (below 100 it takes Newton's method, many times slower)."""
PAST_ORIGINS = 3
"""Newest past origins that a promising Prophet is fitted at; the oldest of them tells whether it is."""
LONGEST_FIT = 20.0
"""Seconds after which a single fit is given up."""
TOLERANCE = 1.05
"""Prophet goes on to newer origins where its error at the first is at most so many times the reference's."""


@dataclass
class ProphetTrials:
    """What Prophet said: (origins, series, horizon), NaN where not tried; models of origin 0 as JSON by series."""

    forecasts: Floats
    models: dict[int, str] = field(default_factory=dict)
    fits: int = 0
    seconds: float = 0.0


def quiet_prophet() -> tuple[Any, Any]:
    """Import Prophet without its notes on every fit (and on plotly); return the class and ``model_to_json``."""
    logging.getLogger("prophet.plot").setLevel(logging.CRITICAL)
    from cmdstanpy.utils import get_logger
    from prophet import Prophet
    from prophet.serialize import model_to_json

    # cmdstanpy sets its level at the first use of its logger, which would otherwise be the first fit.
    for logger in (get_logger(), logging.getLogger("prophet")):
        logger.setLevel(logging.CRITICAL)
    return Prophet, model_to_json


def fit_prophet(
    dates: np.ndarray, values: Floats, ahead: np.ndarray, country: str | None, frequency: str, seconds: float
) -> tuple[Floats, str] | None:
    """Fit one Prophet (Taylor and Letham 2018) and return its forecast and itself as JSON.

    None where the optimizer breaks off or takes longer than ``seconds``: its fallback, Newton's method, was seen
    to take minutes on nine years of days.

    Args:
        dates: datetime64 of the history.
        values: the history, NaN where missing.
        ahead: datetime64 of the steps to forecast.
        country: whose holidays to use; None for none.
        frequency: D, W, MS or h.
        seconds: after which the fit is given up.
    """
    Prophet, model_to_json = quiet_prophet()  # noqa: N806  a class
    span = (dates[-1] - dates[0]) / np.timedelta64(1, "D")
    model = Prophet(
        uncertainty_samples=0,
        yearly_seasonality=bool(span >= 400),
        weekly_seasonality=frequency in ("D", "h"),
        daily_seasonality=frequency == "h",
    )
    if country is not None:
        model.add_country_holidays(country)
    model.stan_backend.set_options(newton_fallback=False)
    try:
        model.fit(pd.DataFrame({"ds": dates, "y": values}), timeout=max(seconds, 0.1))
    except (RuntimeError, TimeoutError) as error:
        logging.getLogger(__name__).info("Prophet gave up: %s", str(error).splitlines()[0])
        return None
    path = model.predict(pd.DataFrame({"ds": ahead}))["yhat"].to_numpy()
    return np.asarray(path, dtype=float), model_to_json(model)


def candidates_for_prophet(panel: Panel, backtest: Backtest, reference: Floats, most: int | None) -> list[int]:
    """Return the series to try Prophet on, most promising first; at most ``most`` (None: all that are long enough).

    Ranked by what was known at the second oldest origin that Prophet is tried at; series that the reference lacks until
    then are left out.
    """
    if not panel.is_dated:
        return []
    long_enough = panel.lengths - (panel.values.shape[1] - backtest.cuts[-1]) >= LEAST_HISTORY
    eligible = np.flatnonzero(long_enough & (backtest.scale[0] > 0))
    if most is None:
        return [int(row) for row in eligible]
    proxy = backtest.forecasts.get("calendar_regression")
    if proxy is None or panel.frequency.name != "D" or len(backtest.cuts) < 2:
        return []
    first = _first_tried(backtest)
    actual = backtest.known_at(first - 1)[first:]
    actual = np.where(np.isnan(reference[first:]), np.nan, actual)  # both by the same origins
    own = masked_mean(np.abs(proxy[first:] - actual), axis=(0, 2))
    other = masked_mean(np.abs(reference[first:] - actual), axis=(0, 2))
    ratio = np.where(other > 0, own / np.where(other > 0, other, 1.0), np.nan)
    ranked = sorted((float(ratio[row]), int(row)) for row in eligible if np.isfinite(ratio[row]))
    return [row for _, row in ranked[:most]]


def _first_tried(backtest: Backtest) -> int:
    """Return the oldest origin that Prophet is tried at."""
    return min(PAST_ORIGINS, len(backtest.cuts) - 1)


def try_prophet(
    panel: Panel, backtest: Backtest, reference: Floats, most: int | None, horizon: int,
    country: str | None, budget: float, threads: int, progress: Progress,
) -> ProphetTrials:  # fmt: skip
    """Fit Prophet to the promising series, oldest origin first.

    Args:
        panel: the panel.
        backtest: the other candidates' backtest.
        reference: (origins, series, horizon), what Prophet is measured against.
        most: series to try; None for all, at every origin.
        horizon: steps ahead.
        country: whose holidays to use.
        budget: seconds after which no further fit is begun.
        threads: fits at a time (each is a process of its own).
        progress: told about every fit.
    """
    began = time.monotonic()
    trials = ProphetTrials(np.full_like(reference, np.nan))
    chosen = candidates_for_prophet(panel, backtest, reference, most)
    first = len(backtest.cuts) - 1 if most is None else _first_tried(backtest)

    def is_promising(row: int) -> bool:
        truth = backtest.known_at(first - 1)[first, row]
        own = masked_mean(np.abs(trials.forecasts[first, row] - truth))
        other = masked_mean(np.abs(reference[first, row] - truth))
        return bool(own <= TOLERANCE * other)

    def one_series(row: int) -> None:
        for origin in range(first, -1, -1):
            left = budget - (time.monotonic() - began)
            if left < 0 or (origin < first and most is not None and not is_promising(row)):
                break
            fitted = _fit_at(panel, row, backtest.cuts[origin], horizon, country, min(left, LONGEST_FIT))
            trials.fits += 1
            if fitted is None:
                break
            trials.forecasts[origin, row], text = fitted
            if origin == 0:
                trials.models[row] = text

    with ThreadPoolExecutor(max_workers=max(1, threads)) as pool:
        for done, _ in enumerate(pool.map(one_series, chosen), start=1):
            progress("Prophet", done, len(chosen))
    for row in chosen:
        # Without a forecast from the end of the history, its record is of no use.
        if np.isnan(trials.forecasts[0, row]).any():
            trials.forecasts[1:, row] = np.nan
    trials.seconds = time.monotonic() - began
    return trials


def _fit_at(
    panel: Panel, row: int, cut: int, horizon: int, country: str | None, seconds: float
) -> tuple[Floats, str] | None:
    """Fit Prophet to what one series showed before column ``cut``; the forecast is not below 0 where nothing was."""
    known = panel.values[row, :cut]
    first = int(np.flatnonzero(~np.isnan(known))[0])
    steps = panel.last_step[row] - (panel.values.shape[1] - 1) + np.arange(first, cut + horizon)
    dates = step_dates(steps, int(panel.offset[row]), panel.frequency)
    history = np.where(panel.observed[row, first:cut], known[first:], np.nan)
    size = cut - first
    fitted = fit_prophet(dates[:size], history, dates[size:], country, panel.frequency.name, seconds)
    if fitted is None:
        return None
    path, text = fitted
    return np.maximum(path, 0.0 if np.nanmin(known) >= 0 else -np.inf), text
