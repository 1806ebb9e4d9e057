"""Linear candidates, one small ridge regression per series, solved for all series at once."""

import numpy as np

from warehouse_assets.forecast.frequency import CALENDAR_COLUMNS, Floats, Frequency
from warehouse_assets.forecast.scoring import masked_mean

AR_LAGS = {"h": (1, 2, 3, 24, 25), "D": (1, 2, 3, 6, 7, 8, 14), "W": (1, 2, 3, 4, 5), "MS": (1, 2, 3, 12, 13)}
AR_DIFFERENCE = {"h": 168, "D": 7, "W": 1, "MS": 12}
RIDGE = 0.02
"""Penalty, as a share of the mean variance of the columns."""


def autoregression(known: Floats, frequency: Frequency, horizon: int) -> Floats:
    """Forecast by an autoregression on (seasonal) differences, shrunk towards no dependence.

    Returns (series, horizon); NaN where a series has fewer than 30 usable rows. The differences'
    mean is not carried forward (no drift): on M4's weekly series a drift costs accuracy.
    """
    lags = AR_LAGS[frequency.name]
    gap = AR_DIFFERENCE[frequency.name]
    if frequency.name == "h" and known.shape[1] < 4 * gap:
        gap = 24
    count, steps = known.shape
    reach = gap + max(lags)
    out = np.full((count, horizon), np.nan)
    if steps < reach + 30:
        return out
    change = known[:, gap:] - known[:, :-gap]
    width = change.shape[1]
    target = change[:, max(lags) :]
    columns = np.stack([change[:, max(lags) - lag : width - lag] for lag in lags], axis=2)
    usable = ~np.isnan(target) & ~np.isnan(columns).any(axis=2)
    enough = np.flatnonzero(usable.sum(axis=1) >= 30)
    if not len(enough):
        return out
    columns, target = np.nan_to_num(columns[enough]), np.where(usable[enough], target[enough], 0.0)
    columns = columns * usable[enough][:, :, None]
    weights = solve_ridge(columns, target)
    path = np.concatenate([known[enough], np.zeros((len(enough), horizon))], axis=1)
    for step in range(steps, steps + horizon):
        past = np.stack([path[:, step - lag] - path[:, step - lag - gap] for lag in lags], axis=1)
        path[:, step] = path[:, step - gap] + (past * weights).sum(axis=1)
    limit = 10 * np.nanmax(np.abs(known[enough]), axis=1, keepdims=True)
    out[enough] = np.clip(path[:, steps:], -limit, limit)
    return out


def solve_ridge(columns: Floats, target: Floats) -> Floats:
    """Solve one ridge regression per series: (series, rows, p) and (series, rows) to (series, p)."""
    gram = np.einsum("snp,snq->spq", columns, columns, optimize=True)
    moment = np.einsum("snp,sn->sp", columns, target, optimize=True)
    size = gram.shape[1]
    spread = np.trace(gram, axis1=1, axis2=2) / size
    gram += (RIDGE * spread + 1e-9)[:, None, None] * np.eye(size)
    return np.asarray(np.linalg.solve(gram, moment[:, :, None])[:, :, 0])


def calendar_regression(known: Floats, calendar: Floats, phase: Floats, frequency: Frequency, horizon: int) -> Floats:
    """Forecast by weekday, yearly waves, holidays and a recent level (Prophet's terms, solved in one step).

    Newer rows weigh more (half as much after a year); what the regression left in the last weeks is carried
    forward as the level.

    Args:
        known: (series, steps) up to the origin, right-aligned.
        calendar: (series, steps + horizon, CALENDAR_COLUMNS), or with no rows when steps carry no date.
        phase: (series, steps + horizon) position in the year, 0 to 1.
        frequency: the step.
        horizon: steps ahead.

    Returns:
        (series, horizon); NaN where a series is shorter than three short seasons.
    """
    count, steps = known.shape
    year = {"h": 8766, "D": 364, "W": 52, "MS": 12}[frequency.name]
    columns = [np.ones((count, steps + horizon))]
    length = (~np.isnan(known)).sum(axis=1)
    sees_year = (length >= 1.2 * year)[:, None]
    for wave in range(1, 4 if frequency.name != "MS" else 6):
        columns += [sees_year * f(2 * np.pi * wave * phase) for f in (np.sin, np.cos)]
    if calendar.shape[1]:
        columns += _calendar_columns(calendar, frequency)
    elif frequency.name == "D":
        step = np.arange(steps + horizon) % 7
        columns += [np.tile((step == day) - 1 / 7, (count, 1)) for day in range(7)]
    design = np.stack(columns, axis=2)
    fade = 0.5 ** (np.arange(steps)[::-1] / year)
    usable = ~np.isnan(known)
    weight = np.sqrt(fade)[None, :] * usable
    centre = np.nan_to_num(masked_mean(known, axis=1))[:, None]
    y = np.where(usable, known - centre, 0.0)
    weights = solve_ridge(design[:, :steps] * weight[:, :, None], y * weight)
    fitted = np.einsum("snp,sp->sn", design, weights, optimize=True)
    left = np.where(usable, y - fitted[:, :steps], 0.0)
    memory = {"D": 28, "W": 6, "MS": 4, "h": 72}[frequency.name]
    recent = np.exp(-np.arange(steps)[::-1] / memory) * usable
    level = (left * recent).sum(axis=1) / np.maximum(recent.sum(axis=1), 1e-9)
    out = centre + fitted[:, steps:] + level[:, None]
    short = {"D": 21, "W": 60, "MS": 24, "h": 336}[frequency.name]
    return np.where((length >= short)[:, None], out, np.nan)


def _calendar_columns(calendar: Floats, frequency: Frequency) -> list[Floats]:
    """Return 0/1 and scaled columns of the calendar, each (series, steps + horizon)."""
    at = {name: calendar[:, :, number] for number, name in enumerate(CALENDAR_COLUMNS)}
    if frequency.name == "D":
        weekdays = [(at["weekday"] == day) - 1 / 7 for day in range(7)]
        since = [1.0 * (at["days_since_holiday"] == days) for days in range(6)]
        return [*weekdays, *since, 1.0 * (at["days_to_holiday"] == 1)]
    mean = at["working_days"].mean()
    return [(at["working_days"] - mean) / 3.0, 1.0 * at["is_holiday"]]
