"""Which candidates a series gets, and with what weight: learned from the backtest, shrunk towards all series.

A few origins of one series say little (the best of ten candidates is mostly the luckiest). So one blend is
fitted to all series together, and a series departs from it only as far as its own record, counted
against the record of all, supports; how much that record counts is itself chosen by leaving origins out.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from warehouse_assets.forecast.frequency import Floats
from warehouse_assets.forecast.scoring import masked_mean

STEPS = 24
"""Additions in the greedy blend: weights come in 24ths."""
SHRINKAGE = (2.0, 6.0, 18.0, np.inf)
"""Pseudo-origins of evidence for the common record that are tried."""
LARGEST_LOSS = 20.0
"""A series' loss is cut at so many times its loss under the median of all candidates."""
ENOUGH_ORIGINS = 3
"""Past origins from which on a candidate can be chosen (three quarters where there are fewer than four)."""
GROUP_EVIDENCE = 8.0
"""Pseudo-observations (a series at an origin) by which a group's record is shrunk towards that of all series."""
MOST_DOUBT = 1.5
"""Loss, relative to the common blend's, that a group's record is shrunk towards at most: what fails everywhere else,
by however much, may suit this group (revenue follows the days of the month, collection those of the week)."""
LARGEST_SAMPLE = 1500
"""Series the common blend is fitted on at most."""


@dataclass(frozen=True)
class Weights:
    """Weights by series over the candidates, summing to 1.

    Attributes:
        names: the candidates.
        common: (candidates,) the blend fitted to all series.
        by_series: (series, candidates).
        label: by series, what to call it: ``blend``, a candidate's name, or ``blend+NAME``.
        shrinkage: pseudo-origins the common record counted for.
    """

    names: list[str]
    common: Floats
    by_series: Floats
    label: list[str]
    shrinkage: float


def apply_weights(forecasts: Floats, weights: Floats) -> Floats:
    """Average candidates (candidates, series, horizon) with weights (series, candidates), over those there are.

    Where none of the weighted candidates is there, the plain mean of all that are is taken.
    """
    there = ~np.isnan(forecasts)
    share = weights.T[:, :, None] * there
    total = share.sum(axis=0)
    filled = np.where(there, forecasts, 0.0)
    blend = (share * filled).sum(axis=0) / np.where(total > 0, total, 1.0)
    plain = filled.sum(axis=0) / np.maximum(there.sum(axis=0), 1)
    return np.where(total > 0, blend, np.where(there.any(axis=0), plain, np.nan))


def fit_weights(
    names: list[str], forecasts: Floats, actual: Floats, scale: Floats, groups: NDArray[np.intp] | None = None
) -> Weights:
    """Choose weights from past origins.

    Args:
        names: the candidates.
        forecasts: (candidates, origins, series, horizon).
        actual: (origins, series, horizon), NaN where unknown.
        scale: (series,), the MASE scale where the weights are to be used.
        groups: (series,) numbers of the groups of series that behave alike, from 0; None for one group.

    Returns:
        `Weights`; with no scored origin at all, the plain mean of the candidates.
    """
    candidates, origins, series, horizon = forecasts.shape
    if origins == 0 or np.isnan(actual).all():
        even = np.full(candidates, 1.0 / candidates)
        return Weights(names, even, np.tile(even, (series, 1)), ["mean of all"] * series, np.inf)
    unit = np.where(scale > 0, scale, np.nan)
    common = _greedy(forecasts, actual, unit)
    options, labels = _options(names, common)
    losses = np.stack([
        _losses(apply_weights(forecasts.reshape(candidates, origins * series, horizon),
                              np.tile(option, (origins * series, 1))).reshape(origins, series, horizon), actual, unit)
        for option in options
    ])  # fmt: skip
    usable = _available(forecasts, options)
    groups = np.zeros(series, dtype=np.intp) if groups is None else groups
    shrinkage = _choose_shrinkage(losses, usable, groups)
    pick = _pick(losses, usable, groups, shrinkage)
    return Weights(names, common, options[pick], [labels[number] for number in pick], shrinkage)


def _losses(path: Floats, actual: Floats, unit: Floats) -> Floats:
    """Return the scaled mean absolute error by origin and series."""
    return masked_mean(np.abs(path - actual), axis=2) / unit


def _greedy(forecasts: Floats, actual: Floats, unit: Floats) -> Floats:
    """Fit a common blend by greedy addition with replacement (Caruana et al. 2004), on mean absolute scaled error."""
    candidates, _origins, series, _ = forecasts.shape
    keep = slice(None) if series <= LARGEST_SAMPLE else np.linspace(0, series - 1, LARGEST_SAMPLE).astype(int)
    truth = actual[:, keep] / unit[keep, None]
    paths = forecasts[:, :, keep] / unit[keep, None]
    centre = np.median(np.where(np.isnan(paths), masked_mean(paths, axis=0), paths), axis=0)
    paths = np.where(np.isnan(paths), centre, paths)
    bound = LARGEST_LOSS * (masked_mean(np.abs(centre - truth), axis=2)[:, :, None] + 0.1)
    counted = ~np.isnan(truth) & ~np.isnan(centre)
    per_series = counted / np.maximum(counted.sum(axis=2, keepdims=True), 1)
    # A candidate that most series lack (Prophet, a second year's season) is for those alone.
    widespread = (~np.isnan(forecasts[:, :, keep]).any(axis=3)).mean(axis=(1, 2)) >= 0.5
    if not widespread.any():
        return np.full(candidates, 1.0 / candidates)
    chosen = np.zeros(candidates)
    total = np.zeros_like(truth)
    for step in range(STEPS):
        scores = [
            float((np.minimum(np.abs((total + path) / (step + 1) - truth), bound) * per_series)[counted].sum())
            if common
            else np.inf
            for path, common in zip(paths, widespread, strict=True)
        ]
        best = int(np.argmin(scores))
        chosen[best] += 1
        total = total + paths[best]
    return np.asarray(chosen / chosen.sum())


def _options(names: list[str], common: Floats) -> tuple[Floats, list[str]]:
    """Return the blends a series can get: the common one, each candidate, and halfway between."""
    single = np.eye(len(names))
    options = np.concatenate([common[None], single, 0.5 * (single + common[None])])
    return options, ["blend", *names, *[f"blend+{name}" for name in names]]


def _available(forecasts: Floats, options: Floats) -> NDArray[np.bool_]:
    """Return (options, series): whether enough past origins have what an option needs most."""
    there = ~np.isnan(forecasts).any(axis=3)
    main = np.argmax(options - options[0], axis=1)
    usable = there.sum(axis=1)[main] >= min(ENOUGH_ORIGINS, 0.75 * forecasts.shape[1])
    usable[0] = True
    return np.asarray(usable)


def _pick(losses: Floats, usable: NDArray[np.bool_], groups: NDArray[np.intp], shrinkage: float) -> NDArray[np.intp]:
    """Pick each series' option by its own record, shrunk towards its group's, and that towards the record of all.

    Records are relative to the common blend's (option 0), so that hard series do not speak louder.
    """
    count = losses.shape[2]
    is_one_group = bool((groups == groups[0]).all())
    if np.isinf(shrinkage) and is_one_group:
        return np.zeros(count, dtype=np.intp)
    shared = ~np.isnan(losses) & ~np.isnan(losses[:1])
    own = masked_mean(np.where(shared, losses, np.nan), axis=1)
    base = masked_mean(np.where(shared, np.broadcast_to(losses[:1], losses.shape), np.nan), axis=1)
    typical = np.nan_to_num(masked_mean(losses[0], axis=0))
    base_floor = base + 0.05 * np.median(typical) + 1e-9
    ratio = np.where(np.isnan(own), np.nan, (own + 1e-9) / base_floor)
    cut = np.minimum(ratio, LARGEST_LOSS)
    of_all = masked_mean(cut, axis=1)
    of_all = np.fmin(of_all, MOST_DOUBT)
    evidence = shared.sum(axis=1)
    prior = np.empty_like(ratio)
    for group in np.unique(groups):
        members = groups == group
        weight = evidence[:, members].sum(axis=1)
        of_group = np.nan_to_num(masked_mean(cut[:, members], axis=1))
        prior[:, members] = (
            (weight * of_group + GROUP_EVIDENCE * of_all) / (weight + GROUP_EVIDENCE)
        )[:, None]  # fmt: skip
    filled = np.where(np.isnan(ratio), 0.0, ratio)
    own_share = evidence / (evidence + shrinkage)
    shrunk = own_share * filled + (1 - own_share) * prior
    return np.asarray(np.where(usable, shrunk, np.inf).argmin(axis=0))


def _choose_shrinkage(losses: Floats, usable: NDArray[np.bool_], groups: NDArray[np.intp]) -> float:
    """Choose how much the common record counts by leaving out one origin after another."""
    origins = losses.shape[1]
    if origins < 2:
        return float("inf")
    totals = []
    for shrinkage in SHRINKAGE:
        total = 0.0
        for out in range(origins):
            rest = np.delete(losses, out, axis=1)
            pick = _pick(rest, usable, groups, shrinkage)
            got = losses[pick, out, np.arange(losses.shape[2])]
            base = losses[0, out]
            got = np.where(np.isnan(got), base, np.minimum(got, LARGEST_LOSS * (base + 0.1)))
            total += float(np.nansum(got))
        totals.append(total)
    best = int(np.argmin(totals))
    # Departing from the blend must pay: at least half a percent over all series and origins.
    return float(SHRINKAGE[best]) if totals[best] < 0.995 * totals[-1] else float("inf")
