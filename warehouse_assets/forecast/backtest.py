"""Rolling origins: what each candidate would have said, standing at earlier ends of the history."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np

from warehouse_assets.forecast import boosting
from warehouse_assets.forecast.frequency import CALENDAR_COLUMNS, Floats, Ints
from warehouse_assets.forecast.holiday_slide import HolidayWeeks, apply_slide, holiday_slide
from warehouse_assets.forecast.month_days import month_events, month_median
from warehouse_assets.forecast.naive import last_season, naive_forecasts
from warehouse_assets.forecast.panel import Panel
from warehouse_assets.forecast.regression import autoregression, calendar_regression
from warehouse_assets.forecast.scoring import mase_scale, masked_mean, usable_scale
from warehouse_assets.forecast.smoothing import smooth

Progress = Callable[[str, int, int], None]

MOST_TRAININGS = 4
"""Boosted models trained for the past origins; with more origins, neighbours share the model of the older one."""
LEAST_KNOWN = 3
"""Steps a series must have before an origin to be scored there."""
NEAR = 4
"""Part of the newest past origin's distance from the end at which the near origin lies."""
LEAST_DEVIATION = 0.02
"""Of a series' scale: one that smoothing foresees to the last digit (a straight line) is not certain to go on so."""

BASELINE = "seasonal_naive"
"""The plain copy of the last season that every forecast is held against. On dated days it is no candidate: there
``last_week`` copies the week as it would have been without its holiday."""
KEPT_AS_MADE = {BASELINE, "seasonal_median", "month_median", "ets_deviation"}
"""What holidays of the horizon do not move: the baseline, days of the month, and what has been moved before."""


@dataclass
class NearOrigin:
    """An origin nearer to the end of the history than a horizon, so that the last weeks have a say in the weights.

    Attributes:
        forecasts: by candidate, (series, horizon); NaN where it could not be made.
        actual: (series, horizon); NaN beyond the end of the history and for filled steps.
    """

    forecasts: dict[str, Floats]
    actual: Floats


@dataclass
class Backtest:
    """Forecasts of every candidate from every origin; origin 0 is the real one, whose future is unknown.

    Attributes:
        cuts: columns known at each origin, newest first; ``cuts[0]`` is the whole history.
        forecasts: by candidate, (origins, series, horizon); NaN where it could not be made.
        actual: (origins, series, horizon); NaN for the unknown future and for filled steps.
        scale: (origins, series) MASE scale of the history known then: what learns there measures errors by it.
        deviation: (origins, series, horizon) standard deviation of what smoothing does not foresee, by what was known.
        model: the boosted model of origin 0.
        near: the nearer origin that only origin 0 learns its weights from, too; None where a horizon is short.
    """

    cuts: list[int]
    forecasts: dict[str, Floats]
    actual: Floats
    scale: Floats
    deviation: Floats
    model: boosting.BoostedModel | None
    near: NearOrigin | None = None

    @property
    def candidates(self) -> list[str]:
        """The names of those that a forecast can be made of: all that there are now but the baseline of dated days."""
        names = [name for name, path in self.forecasts.items() if not np.isnan(path[0]).all()]
        return [name for name in names if name != BASELINE] if "last_week" in names else names

    def known_at(self, origin: int) -> Floats:
        """Return the actual values of all origins with those hidden that lay after ``origin``."""
        column = np.array(self.cuts)[:, None] + np.arange(self.actual.shape[2])[None, :]
        known = column < self.cuts[origin]
        return np.where(known[:, None, :], self.actual, np.nan)


def choose_cuts(lengths: Ints, width: int, season: int, horizon: int, origins: int | None) -> list[int]:
    """Return the columns known at each origin, newest first, beginning with all of them.

    Origins lie one horizon apart where the histories are long enough and closer otherwise. 5 of them, or
    up to 12 where the panel is small: an interval needs about 160 errors per step, and the oldest origin
    only teaches the others their weights. A history of one to two seasons is tried only where a whole season is
    known: from 18 months, origins at 9 to 12 would never see the yearly season that the forecast can use.
    """
    wanted = origins if origins is not None else int(np.clip(1 - (-160 // len(lengths)), 5, 12))
    typical = int(np.percentile(lengths, 60))
    least = min(max(3 * season if season <= 24 else 26, 8), max(typical // 2, LEAST_KNOWN))
    first = min(horizon, max(1, typical // 3))
    if 4 * season <= 3 * typical < 6 * season:  # a third of a season or more to be scored on
        least, first = season, min(first, max(1, (typical - season) // 2))
    room = typical - first - least
    if room < 0:
        return [width] if typical < LEAST_KNOWN + 1 else [width, width - first]
    step = int(np.clip(room // max(wanted - 1, 1), 1, horizon))
    count = min(wanted, room // step + 1)
    return [width] + [width - first - step * number for number in range(count)]


def run_backtest(
    panel: Panel, horizon: int, origins: int | None, seed: int, threads: int, progress: Progress
) -> Backtest:
    """Forecast from every origin with every candidate but Prophet.

    A forecast at an origin depends on nothing after it (the calendar apart, which is known ahead).
    """
    width = panel.values.shape[1]
    cuts = choose_cuts(panel.lengths, width, panel.frequency.season, horizon, origins)
    near = (width - cuts[1]) // NEAR if len(cuts) > 1 else 0
    if near:
        cuts.insert(1, width - near)
    progress("smoothing", 0, 1)
    made = _smoothed(panel, cuts, horizon)
    past = boosting.History.of(panel.values)
    models: list[boosting.BoostedModel | None] = [None] * len(cuts)
    slides: dict[int, Floats] = {}

    def one_origin(number: int) -> None:
        found, ahead = _copies_and_regressions(panel, cuts[number], horizon)
        made[number] |= found
        if ahead is not None:
            slides[number] = ahead

    def one_training(numbers: list[int]) -> None:
        rows = boosting.MAXIMUM_ROWS if numbers == [0] else boosting.BACKTEST_ROWS
        model = boosting.train(panel, past, cuts[numbers[-1]], horizon, seed, rows)
        for number in numbers:
            models[number] = model
            if model is not None:
                made[number]["lightgbm"] = boosting.predict(model, panel, past, cuts[number], horizon)

    trainings = [partial(one_training, numbers) for numbers in _sharing_a_model(len(cuts))]
    jobs = [*trainings, *[partial(one_origin, number) for number in range(len(cuts))]]
    with ThreadPoolExecutor(max_workers=max(1, threads)) as pool:
        for done, _ in enumerate(pool.map(_call, jobs), start=1):
            progress("models fitted", done, len(jobs))
    for number, ahead in slides.items():
        made[number] |= {
            name: apply_slide(path, ahead) for name, path in made[number].items() if name not in KEPT_AS_MADE
        }
    scale = _scales(panel, cuts)
    deviation = _deviations(np.stack([found.pop("ets_deviation") for found in made]), scale)
    forecasts = _within_limits(panel, cuts, made, horizon)
    whole = Backtest(cuts, forecasts, _actual(panel, cuts, horizon), scale, deviation, models[0])
    return _with_near_apart(whole) if near else whole


def _smoothed(panel: Panel, cuts: list[int], horizon: int) -> list[dict[str, Floats]]:
    """Smooth with every season there is history for; by origin, the forecasts and ``ets_deviation``."""
    frequency = panel.frequency
    width = panel.values.shape[1]
    recent = min(width, frequency.smoothing_history + width - cuts[-1])
    history, lengths = panel.values[:, -recent:], np.minimum(panel.lengths, recent)
    within = [cut - (width - recent) for cut in cuts]
    made: list[dict[str, Floats]] = [{} for _ in cuts]
    for season in [season for season in frequency.seasons if recent >= 2 * season] or [1]:
        suffix = "" if season == frequency.seasons[0] or season == 1 else f"_{season}"
        for number, found in enumerate(smooth(history, lengths, season, within, horizon)):
            made[number] |= {name + suffix: path for name, path in found.items() if not suffix or name == "ets"}
    return made


def _copies_and_regressions(panel: Panel, cut: int, horizon: int) -> tuple[dict[str, Floats], Floats | None]:
    """Forecast from one origin with copies, means and regressions; and what holidays move there, on dated days."""
    frequency = panel.frequency
    known = panel.values[:, :cut]
    ahead = None
    if frequency.name != "D" or not panel.is_dated:
        made = naive_forecasts(known, frequency.season, frequency.seasons[-1], horizon)
    else:
        baseline = last_season(known, frequency.season, horizon)
        weeks = _holiday_weeks(panel, cut, horizon)
        known, ahead = weeks.history, weeks.ahead
        made = naive_forecasts(known, frequency.season, frequency.seasons[-1], horizon)
        made |= {"last_week": made[BASELINE], BASELINE: baseline}
        made |= _month_forecasts(panel, cut, apply_slide(made["seasonal_median"], ahead))
    near = known[:, -frequency.smoothing_history :]
    made["autoregression"] = autoregression(near, frequency, horizon)
    if frequency.name != "h":
        made["calendar_regression"] = _calendar_regression(panel, near, cut, horizon)
    return made, ahead


def _sharing_a_model(origins: int) -> list[list[int]]:
    """Return the origins in groups that share one boosted model, the real one by itself."""
    share = max(-(-(origins - 1) // MOST_TRAININGS), 1)
    return [[0], *[list(range(low, min(low + share, origins))) for low in range(1, origins, share)]]


def _within_limits(panel: Panel, cuts: list[int], made: list[dict[str, Floats]], horizon: int) -> dict[str, Floats]:
    """Return by candidate (origins, series, horizon), cut to `_limits`; NaN where it could not be made."""
    blank = np.full((len(panel.ids), horizon), np.nan)
    limits = [_limits(panel.values[:, :cut]) for cut in cuts]
    return {
        name: np.stack(
            [np.clip(found.get(name, blank), low, high) for found, (low, high) in zip(made, limits, strict=True)]
        )
        for name in sorted({name for found in made for name in found})
    }


def _with_near_apart(whole: Backtest) -> Backtest:
    """Set origin 1, the near one, apart from the others."""
    kept = [number for number in range(len(whole.cuts)) if number != 1]
    return Backtest(
        [whole.cuts[number] for number in kept],
        {name: path[kept] for name, path in whole.forecasts.items()},
        whole.actual[kept],
        whole.scale[kept],
        whole.deviation[kept],
        whole.model,
        NearOrigin({name: path[1] for name, path in whole.forecasts.items()}, whole.actual[1]),
    )


def _call(job: Callable[[], None]) -> None:
    """Run one job of the pool."""
    job()


def _limits(known: Floats) -> tuple[Floats, Floats]:
    """Return the least and most a series may be forecast, each (series, 1); NaN before it begins.

    One range of the history beyond its bounds, and nothing below 0 where nothing was: a runaway trend or root is
    worth less than any bound.
    """
    there = ~np.isnan(known)
    begun = there.any(axis=1, keepdims=True)
    low = np.where(begun, np.where(there, known, np.inf).min(axis=1, keepdims=True), 0.0)
    high = np.where(begun, np.where(there, known, -np.inf).max(axis=1, keepdims=True), 0.0)
    span = np.where(high > low, np.maximum(high - low, 0.1 * np.abs(high)), 0.0)
    floor = np.where(low >= 0, np.maximum(low - span, 0.0), low - span)
    return np.where(begun, floor, np.nan), np.where(begun, high + span, np.nan)


def _calendar_regression(panel: Panel, near: Floats, cut: int, horizon: int) -> Floats:
    """Gather each series' own calendar and fit `calendar_regression`."""
    width = panel.values.shape[1]
    first = panel.last_step[:, None] - (width - cut) - near.shape[1] + 1
    steps = first + np.arange(near.shape[1] + horizon)[None, :]
    year = {"D": 365.2425, "W": 52.1775, "MS": 12.0}[panel.frequency.name]
    phase = (steps / year) % 1.0
    if panel.is_dated:
        at = np.maximum(steps - panel.first_calendar_step, 0)
        calendar = panel.calendar[panel.calendar_of[:, None], at]
    else:
        calendar = np.empty((len(near), 0, len(CALENDAR_COLUMNS)))
    return calendar_regression(near, calendar, phase, panel.frequency, horizon)


def _holiday_weeks(panel: Panel, cut: int, horizon: int) -> HolidayWeeks:
    """Learn the weeks of holidays, for each set of series that end on the same day."""
    history, ahead = panel.values[:, :cut].copy(), np.empty((len(panel.ids), horizon))
    last_day = panel.last_step - (panel.values.shape[1] - cut)
    for day in np.unique(last_day):
        rows = last_day == day
        found = holiday_slide(history[rows], int(day), panel.holidays, horizon)
        history[rows], ahead[rows] = found.history, found.ahead
    return HolidayWeeks(history, ahead)


def _month_forecasts(panel: Panel, cut: int, week: Floats) -> dict[str, Floats]:
    """Forecast by day of the month, and by the usual ``week`` with the month's events.

    Done for each set of series that end on the same day.
    """
    with_events, month = np.empty_like(week), np.empty_like(week)
    last_day = panel.last_step - (panel.values.shape[1] - cut)
    for day in np.unique(last_day):
        rows = last_day == day
        known = panel.values[rows, :cut]
        with_events[rows] = month_events(known, int(day), panel.holidays, week[rows])
        month[rows] = month_median(known, int(day), week.shape[1])
    return {"seasonal_median": with_events, "month_median": month}


def _actual(panel: Panel, cuts: list[int], horizon: int) -> Floats:
    """Return what happened after each origin; NaN where unknown, filled, or the series had hardly begun."""
    count, width = panel.values.shape
    seen = np.where(panel.observed, panel.values, np.nan)
    padded = np.concatenate([seen, np.full((count, horizon), np.nan)], axis=1)
    out = np.stack([padded[:, cut : cut + horizon] for cut in cuts])
    begun = np.stack([panel.lengths - (width - cut) >= LEAST_KNOWN for cut in cuts])
    return np.where(begun[:, :, None], out, np.nan)


def _deviations(smoothed: Floats, scale: Floats) -> Floats:
    """Return smoothing's deviations; where it has none, a normal walk's whose mean absolute change is the scale."""
    unit = scale[:, :, None]
    walk = np.sqrt(0.5 * np.pi * np.arange(1, smoothed.shape[2] + 1))
    return np.where(np.isnan(smoothed), unit * walk, np.maximum(smoothed, LEAST_DEVIATION * unit))


def _scales(panel: Panel, cuts: list[int]) -> Floats:
    """Return the MASE scale at each origin; series without two values borrow a share of their level."""
    rows = []
    for cut in cuts:
        known = panel.values[:, :cut]
        scale = mase_scale(known, panel.frequency.mase_season)
        scale = np.where((~np.isnan(known)).sum(axis=1) < 2, np.nan, scale)
        rows.append(usable_scale(scale, np.nan_to_num(masked_mean(np.abs(known), axis=1))))
    return np.stack(rows)
