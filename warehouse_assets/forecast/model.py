"""The forecast engine: frames in, frames out. Reads and writes nothing."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from warehouse_assets.errors import UserError
from warehouse_assets.forecast.backtest import BASELINE, Backtest, Progress, run_backtest
from warehouse_assets.forecast.combine import Weights, apply_weights, fit_weights
from warehouse_assets.forecast.frequency import Floats, frequency_of
from warehouse_assets.forecast.intervals import Calibration, calibrate
from warehouse_assets.forecast.panel import Panel, build_panel
from warehouse_assets.forecast.prophet_candidate import ProphetTrials, try_prophet
from warehouse_assets.forecast.scoring import covered, masked_mean, smape

LONGEST_HORIZON = 10_000
"""Steps ahead, a year of hours and more; what is kept of past origins grows with it."""
PROPHET_SERIES = 3
PROPHET_SECONDS = 15.0
"""Three series take 3-4 s on a free core; the limit is for a machine that is not."""
LEAST_SCORED = 3
"""Past origins from which on those that knew too little to choose by need not be scored."""
LEAST_TAUGHT = 0.5
"""Horizons of a series that older origins must have seen come true before an origin is scored: with origins a month
apart and a year ahead, the second oldest chooses by one month."""
SHORT = 10
"""Series of fewer steps are forecast like the rest where candidates exist, but are listed as fallbacks."""


@dataclass(frozen=True)
class ForecastResult:
    """What was forecast, how well the same would have done before, and what is to be registered.

    Attributes:
        forecasts: unique_id, ds, yhat, yhat_lower, yhat_upper, method; ``horizon`` rows for every series.
        backtest: one row per series, origin (the last date known then) and method: mase, mae, smape, and
            coverage (of the interval, for method ``combined`` alone). ``combined`` is what would have been
            published then: its weights and intervals come from older origins only.
        selection: one row per series: method, weights (JSON by candidate), mase (of ``combined``),
            mase_seasonal_naive, coverage, observations, fallback (why, or null).
        backtest_forecasts: returns every past forecast, long: unique_id, origin, ds, method, y, yhat.
        weights: the blend common to all series, by candidate.
        parameters: what the run was given and chose.
        lightgbm_text: the boosted model trained on everything, or None where there was too little to train on.
        prophet_json: Prophet models by series that use one.
        clipped: forecasts and bounds that were below zero and put to zero.
        seconds: how long it took.
    """

    forecasts: pd.DataFrame
    backtest: pd.DataFrame
    selection: pd.DataFrame
    backtest_forecasts: Callable[[], pd.DataFrame]
    weights: dict[str, float]
    parameters: dict[str, Any]
    lightgbm_text: str | None
    prophet_json: dict[str, str] = field(default_factory=dict)
    clipped: int = 0
    seconds: float = 0.0


def require_horizon(horizon: int) -> None:
    """Raise a UserError unless so many steps can be forecast."""
    if not 1 <= horizon <= LONGEST_HORIZON:
        raise UserError(f"The horizon is {horizon}; ask for 1 to {LONGEST_HORIZON:,} steps.")


def no_progress(text: str, done: int, total: int) -> None:
    """Take no notice."""


def forecast(
    history: pd.DataFrame,
    horizon: int,
    freq: str,
    level: float = 90,
    *,
    origins: int | None = None,
    country: str | None = "US",
    fill: str = "season",
    groups: Mapping[str, str] | None = None,
    prophet_series: int | None = PROPHET_SERIES,
    prophet_seconds: float = PROPHET_SECONDS,
    threads: int = 2,
    seed: int = 7,
    on_progress: Progress = no_progress,
) -> ForecastResult:
    """Forecast every series, each by what its own and all series' rolling-origin backtest supports.

    Candidates: naive forms, exponential smoothing, autoregression, calendar regression, one LightGBM over
    all series, Prophet on a few daily series, and blends of these. Every series gets ``horizon`` rows: a
    series too short for a candidate gets the ones it has data for, a single value is repeated.

    Args:
        history: columns unique_id, ds (dates, or whole step numbers), y; in any order.
        horizon: steps ahead, at least 1.
        freq: D, W, MS or h.
        level: percent the intervals should cover.
        origins: rolling origins of the backtest; None chooses 4 to 12 by the number of series.
        country: whose public holidays to use; None for none.
        fill: how missing steps are filled, see `build_panel`.
        groups: unique_id → a name shared by series that behave alike (all of one metric); None for one group.
        prophet_series: daily series Prophet is tried on; 0 for none, None for all, at every origin.
        prophet_seconds: no Prophet fit begins after so long.
        threads: origins computed at a time.
        seed: of the boosted model's sampling.
        on_progress: called with what is being done, done and total.

    Raises:
        UserError: see `build_panel`; or horizon, level or freq out of range.
    """
    began = time.monotonic()
    require_horizon(horizon)
    if not 1 <= level <= 99.9:
        raise UserError(f"The level is {level}; give the percent that intervals should cover, 1 to 99.9.")
    frequency = frequency_of(freq)
    on_progress("reading", 0, 1)
    panel = build_panel(history, frequency, horizon, country, fill)
    backtest = run_backtest(panel, horizon, origins, seed, threads, on_progress)
    alike = np.unique([(groups or {}).get(each, "") for each in panel.ids], return_inverse=True)[1]
    before, _ = _published(backtest, alike)
    trials = ProphetTrials(np.full_like(before, np.nan))
    if prophet_series is None or prophet_series > 0:
        trials = try_prophet(
            panel, backtest, before, prophet_series, horizon, country,
            prophet_seconds if prophet_series is not None else float("inf"), threads, on_progress,
        )  # fmt: skip
    if trials.models:
        backtest.forecasts["prophet"] = trials.forecasts
    on_progress("choosing", 0, 1)
    combined, weights = _published(backtest, alike)
    calibration = calibrate(combined[1:], backtest.actual[1:], backtest.deviation[0], backtest.cuts[1:])
    forecasts, clipped = _forecast_frame(panel, combined[0], weights, calibration, level, horizon)
    coverage = _past_coverage(backtest, combined, level)
    combined = _scored_origins(backtest, combined)
    scores = _score_frame(panel, backtest, combined, coverage)
    on_progress("done", 1, 1)
    given = {"horizon": horizon, "freq": freq, "level": level, "seed": seed, "country": country, "fill": fill}
    return ForecastResult(
        forecasts=forecasts,
        backtest=scores,
        selection=_selection_frame(panel, backtest, combined, weights, coverage),
        backtest_forecasts=partial(_paths_frame, panel, backtest, combined),
        weights={name: float(share) for name, share in zip(weights.names, weights.common, strict=True) if share},
        parameters=given | _chosen(backtest, weights, trials),
        lightgbm_text=None if backtest.model is None else backtest.model.text,
        prophet_json=_prophets_used(panel, weights, trials),
        clipped=clipped,
        seconds=time.monotonic() - began,
    )


def _chosen(backtest: Backtest, weights: Weights, trials: ProphetTrials) -> dict[str, Any]:
    """Return the parameters that a run was not given but chose or found."""
    model = backtest.model
    return {
        "origins": len(backtest.cuts) - 1,
        "shrinkage": str(weights.shrinkage),
        "prophet_fits": trials.fits,
        "prophet_seconds": round(trials.seconds, 2),
        "lightgbm": None if model is None else model.parameters,
        "lightgbm_features": None if model is None else list(model.features),
        "lightgbm_rows": 0 if model is None else model.rows,
    }


def _prophets_used(panel: Panel, weights: Weights, trials: ProphetTrials) -> dict[str, str]:
    """Return the Prophet models that have a say in a forecast, as JSON by series."""
    if "prophet" not in weights.names:
        return {}
    share = weights.by_series[:, weights.names.index("prophet")]
    return {panel.ids[row]: text for row, text in sorted(trials.models.items()) if share[row] > 0}


def _published(backtest: Backtest, groups: NDArray[np.intp]) -> tuple[Floats, Weights]:
    """Return what would have been published at each origin, and the weights of the real one.

    The weights of an origin are learned from older origins alone. The oldest one has none to learn from: it only
    teaches, and is NaN; where there are not enough others, it takes the median of the candidates.
    """
    names = backtest.candidates
    stack = np.stack([backtest.forecasts[name] for name in names])
    paths = []
    weights = None
    for origin in range(len(backtest.cuts)):
        older = slice(origin + 1, None)
        if origin and origin + 1 >= len(backtest.cuts):
            if origin >= LEAST_SCORED:
                paths.append(np.full_like(stack[0, 0], np.nan))
                continue
            found = np.median(np.where(np.isnan(stack[:, origin]), _plain(stack[:, origin]), stack[:, origin]), axis=0)
            paths.append(found)
            continue
        # An origin's horizon reaches past the next newer one's start where origins lie close: what was not
        # yet known at this origin is hidden from its weights.
        actual, said = backtest.known_at(origin)[older], stack[:, older]
        if origin == 0 and (near := backtest.near) is not None:
            blank = np.full_like(near.actual, np.nan)  # of a candidate that was not tried there
            said = np.concatenate([np.stack([near.forecasts.get(n, blank) for n in names])[:, None], said], axis=1)
            actual = np.concatenate([near.actual[None], actual])
        fitted = fit_weights(names, said, actual, backtest.scale[origin], groups)
        weights = fitted if weights is None else weights
        paths.append(apply_weights(stack[:, origin], fitted.by_series))
    if weights is None:
        raise AssertionError("the real origin always gets weights")
    return np.stack(paths), weights


def _scored_origins(backtest: Backtest, combined: Floats) -> Floats:
    """Return what would have been published, NaN at past origins whose weights were learned from too little."""
    horizon = combined.shape[2]
    if len(backtest.cuts) - 1 <= LEAST_SCORED:
        return combined
    seen = [(~np.isnan(backtest.known_at(origin)[origin + 1 :])).sum(axis=(0, 2)) for origin in range(len(combined))]
    is_taught = np.array([True, *(counts.mean() >= LEAST_TAUGHT * horizon for counts in seen[1:])])
    return combined if is_taught[1:].sum() == 0 else np.where(is_taught[:, None, None], combined, np.nan)


def _plain(paths: Floats) -> Floats:
    """Return the mean over candidates of those there are, for every candidate."""
    return np.broadcast_to(masked_mean(paths, axis=0), paths.shape)


def _forecast_frame(
    panel: Panel, path: Floats, weights: Weights, calibration: Calibration, level: float, horizon: int
) -> tuple[pd.DataFrame, int]:
    """Return the forecasts with intervals and the count of values put to zero."""
    last = panel.values[:, -1:]
    path = np.where(np.isnan(path), last, path)
    lower, upper = calibration.bounds(path, level)
    floor = np.where(np.nanmin(panel.values, axis=1) >= 0, 0.0, -np.inf)[:, None]
    clipped = int((path < floor).sum() + (lower < floor).sum())
    path, lower, upper = np.maximum(path, floor), np.maximum(lower, floor), np.maximum(upper, floor)
    dates = [date for row in range(len(panel.ids)) for date in panel.dates(row, 1, horizon)]
    frame = pd.DataFrame({
        "unique_id": np.repeat(np.array(panel.ids, dtype=object), horizon),
        "ds": dates,
        "yhat": path.ravel(),
        "yhat_lower": np.minimum(lower, path).ravel(),
        "yhat_upper": np.maximum(upper, path).ravel(),
        "method": np.repeat(np.array(weights.label, dtype=object), horizon),
    })  # fmt: skip
    return frame, clipped


def _past_coverage(backtest: Backtest, combined: Floats, level: float) -> Floats:
    """Return (origins, series) coverage, each origin's intervals learned from older origins only; NaN where none."""
    out = np.full(backtest.scale.shape, np.nan)
    for origin in range(1, len(backtest.cuts) - 1):
        older = slice(origin + 1, None)
        known = backtest.known_at(origin)[older]
        if np.isnan(known).all():
            continue
        learned = calibrate(combined[older], known, backtest.deviation[origin], backtest.cuts[older])
        lower, upper = learned.bounds(combined[origin], level)
        out[origin] = masked_mean(covered(backtest.actual[origin], lower, upper), axis=1)
    return out


def _scored(backtest: Backtest, combined: Floats) -> dict[str, Floats]:
    """Return the candidates' forecasts and the combined ones by method name."""
    return backtest.forecasts | {"combined": combined}


def _origin_dates(panel: Panel, backtest: Backtest) -> list[list[object]]:
    """Return by series the last known ``ds`` at each past origin."""
    width = panel.values.shape[1]
    return [[panel.dates(row, cut - width, 1)[0] for cut in backtest.cuts[1:]] for row in range(len(panel.ids))]


def _score_frame(panel: Panel, backtest: Backtest, combined: Floats, coverage: Floats) -> pd.DataFrame:
    """Return one row per series, origin and method with its errors."""
    origins, series = len(backtest.cuts) - 1, len(panel.ids)
    dates = _origin_dates(panel, backtest)
    keys = pd.DataFrame({
        "unique_id": np.repeat(np.array(panel.ids, dtype=object), origins),
        "origin": [date for row in dates for date in row],
    })  # fmt: skip
    parts = []
    actual = backtest.actual[1:]
    scale = np.where(backtest.scale[0] > 0, backtest.scale[0], np.nan)
    for method, path in _scored(backtest, combined).items():
        mae = masked_mean(np.abs(path[1:] - actual), axis=2)
        percent = masked_mean(np.where(np.isnan(path[1:] - actual), np.nan, smape(actual, path[1:])), axis=2)
        own = coverage[1:] if method == "combined" else np.full((origins, series), np.nan)
        columns = {"mase": mae / scale, "mae": mae, "smape": percent, "coverage": own}
        part = keys.assign(method=method, **{name: values.T.ravel() for name, values in columns.items()})
        parts.append(part[part["mae"].notna()])
    empty = keys.iloc[:0].assign(method="", mase=0.0, mae=0.0, smape=0.0, coverage=0.0)
    return pd.concat(parts or [empty], ignore_index=True)


def _paths_frame(panel: Panel, backtest: Backtest, combined: Floats) -> pd.DataFrame:
    """Return every past forecast beside what happened, long."""
    origins, horizon, series = len(backtest.cuts) - 1, backtest.actual.shape[2], len(panel.ids)
    width = panel.values.shape[1]
    starts = _origin_dates(panel, backtest)
    dates = [
        date
        for row in range(series)
        for cut in backtest.cuts[1:]
        for date in panel.dates(row, cut - width + 1, horizon)
    ]
    keys = pd.DataFrame({
        "unique_id": np.repeat(np.array(panel.ids, dtype=object), origins * horizon),
        "origin": [date for row in starts for date in row for _ in range(horizon)],
        "ds": dates,
        "y": backtest.actual[1:].transpose(1, 0, 2).ravel(),
    })  # fmt: skip
    parts = [
        keys.assign(method=method, yhat=path[1:].transpose(1, 0, 2).ravel())
        for method, path in _scored(backtest, combined).items()
    ]
    whole = pd.concat(parts, ignore_index=True)
    return whole[whole["yhat"].notna()].reset_index(drop=True)


def _selection_frame(
    panel: Panel, backtest: Backtest, combined: Floats, weights: Weights, coverage: Floats
) -> pd.DataFrame:
    """Return one row per series: what was chosen and why."""
    actual = backtest.actual[1:]
    scale = np.where(backtest.scale[0] > 0, backtest.scale[0], np.nan)
    naive = backtest.forecasts[BASELINE if panel.frequency.season <= 24 else "naive"][1:]
    naive = np.where(np.isnan(combined[1:]), np.nan, naive)  # both by the same origins
    lengths = panel.lengths
    lowest = np.nanmin(panel.values, axis=1)
    highest = np.nanmax(panel.values, axis=1)
    shown = [
        json.dumps({name: round(float(share), 4) for name, share in zip(weights.names, row, strict=True) if share > 0})
        for row in weights.by_series
    ]
    return pd.DataFrame({
        "unique_id": np.array(panel.ids, dtype=object),
        "method": weights.label,
        "weights": shown,
        "mase": masked_mean(masked_mean(np.abs(combined[1:] - actual), axis=2) / scale, axis=0),
        "mase_seasonal_naive": masked_mean(masked_mean(np.abs(naive - actual), axis=2) / scale, axis=0),
        "coverage": masked_mean(coverage, axis=0),
        "observations": panel.observed.sum(axis=1),
        "fallback": [
            _fallback(int(seen), int(size), low == high)
            for seen, size, low, high in zip(panel.observed.sum(axis=1), lengths, lowest, highest, strict=True)
        ],
    })  # fmt: skip


def _fallback(observed: int, length: int, is_constant: bool) -> str | None:
    """Say in words why a series could not have a choice of its own, or None."""
    if observed == 0:
        return "no value at all: 0, with the interval of a typical series"
    if length == 1:
        return "one value only: repeated, with the interval of a typical series of its size"
    if is_constant:
        return "constant: continued, with an interval of no width"
    if length < SHORT:
        return f"{length} steps only: simple methods, weights of all series"
    return None
