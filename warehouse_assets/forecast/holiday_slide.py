"""The holiday slide of collection: a holiday moves its own routes and those of the rest of its week by one day.

Which holidays slide, and which series follow, is learned from the holidays that lie before the origin, this week's
included; a holiday that neither an earlier year nor its own first days have shown slides nothing.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from warehouse_assets.forecast.frequency import Floats, Ints

WEEKS = 7
"""Weeks before a holiday whose median is what its week would have been."""
LEAST_WEEKS = 3
"""Weeks that must lie before a holiday to learn from it; five do in the first 400 days of a company."""
YEAR = 365.25
SAME_HOLIDAY = 6.5
"""Days by which the same holiday of two years may differ, beyond whole years."""


@dataclass(frozen=True)
class HolidayWeeks:
    """Weeks of holidays: those past as they would have been without, those to come as they will be.

    Attributes:
        history: (series, days) the known days with the slides of the past undone, so that whoever copies a week copies
            a usual one.
        ahead: (series, horizon) what a day gets that a holiday moves; NaN on all others.
    """

    history: Floats
    ahead: Floats


def holiday_slide(known: Floats, last_day: int, holidays: Ints, horizon: int) -> HolidayWeeks:
    """Move the usual week of every series by a day after the holidays that did so before.

    Args:
        known: (series, days) up to the origin, right-aligned, NaN before a series' start.
        last_day: the last known day, as days since 1970.
        holidays: public holidays, as sorted days since 1970; those after the origin are known in advance.
        horizon: days ahead.

    Returns:
        See `HolidayWeeks`; the usual week is the median of the same weekday.
    """
    ahead = np.full((len(known), horizon), np.nan)
    holidays = _true_days(holidays)
    first_day = last_day - known.shape[1] + 1
    past = [int(day) for day in holidays if first_day + 7 * LEAST_WEEKS <= day <= last_day]
    if not past:
        return HolidayWeeks(known, ahead)
    gains = np.stack([_gain(known, day - first_day, _weekday(day)) for day in past])
    slid = gains.sum(axis=1) > 0
    follows = (gains * slid[:, None]).sum(axis=0) > 0
    history = known.copy()
    for number in np.flatnonzero(slid):
        _undo(history, past[number] - first_day, _weekday(past[number]), follows & (gains[number] >= 0))
    profile = _usual_week(history, history.shape[1], _weekday(last_day + 1))
    for day in (int(day) for day in holidays if last_day - 6 < day <= last_day + horizon):
        same = np.array([day == other or _is_same(day, other) for other in past])
        if gains[same].sum() <= 0:
            continue
        for offset, values in enumerate(_slide(profile[:, _weekday(day) :])):
            column = day + offset - last_day - 1
            if 0 <= column < horizon:
                ahead[follows, column] = values[follows]
    return HolidayWeeks(history, ahead)


def apply_slide(path: Floats, ahead: Floats) -> Floats:
    """Return a forecast with the days replaced that holidays move; NaN stays."""
    return np.where(np.isnan(ahead) | np.isnan(path), path, ahead)


def _true_days(holidays: Ints) -> Ints:
    """Leave out the Friday or Monday on which offices keep a holiday of the weekend; routes follow the day itself."""
    weekday = (holidays + 3) % 7
    is_friday = np.isin(holidays + 1, holidays[weekday == 5]) & (weekday == 4)
    is_monday = np.isin(holidays - 1, holidays[weekday == 6]) & (weekday == 0)
    return np.asarray(holidays[~is_friday & ~is_monday])


def _weekday(day: int) -> int:
    """Monday is 0; the first of January 1970 was a Thursday."""
    return (int(day) + 3) % 7


def _is_same(day: int, other: int) -> bool:
    years = round((day - other) / YEAR)
    return years >= 1 and abs(day - other - years * YEAR) <= SAME_HOLIDAY


def _usual_week(known: Floats, column: int, weekday: int) -> Floats:
    """Return (series, 7), Monday first: the medians of the weeks before ``column``, whose weekday is given."""
    weeks = known[:, column - 7 * min(WEEKS, column // 7) : column].reshape(len(known), -1, 7)
    seen = ~np.isnan(weeks).all(axis=1)
    median = np.full(seen.shape, np.nan)
    if seen.any():
        series, day = np.nonzero(seen)
        median[seen] = np.nanmedian(weeks[series, :, day], axis=1)
    return np.roll(median, weekday, axis=1)


def _slide(usual: Floats) -> list[NDArray[np.float64]]:
    """Return what each day from a holiday to Sunday gets when (series, days) of the usual week move by one."""
    moved = [np.zeros(len(usual)), *[usual[:, number] for number in range(usual.shape[1] - 1)]]
    moved[-1] = moved[-1] + (usual[:, -1] if usual.shape[1] > 1 else 0.0)
    return moved


def _undo(history: Floats, column: int, weekday: int, follows: NDArray[np.bool_]) -> None:
    """Put what moved to the next day back, in ``history`` itself; the last day of the week gets what is usual."""
    end = min(column + 7 - weekday, history.shape[1])
    last = _usual_week(history, column, weekday)[:, weekday + end - 1 - column]
    follows = follows & ~np.isnan(last)  # and had begun before
    history[follows, column : end - 1] = history[follows, column + 1 : end]
    history[follows, end - 1] = last[follows]


def _gain(known: Floats, column: int, weekday: int) -> Floats:
    """Return by series how much nearer the slid week came than the usual one, in units of the usual week."""
    usual = _usual_week(known, column, weekday)[:, weekday:]
    actual = known[:, column : column + usual.shape[1]]
    usual = usual[:, : actual.shape[1]]
    plain = np.abs(actual - usual)
    slid = np.abs(actual - np.stack(_slide(usual), axis=1)[:, : actual.shape[1]])
    unit = np.abs(usual).sum(axis=1) + 1e-9  # of the days known: a week that has begun can be told, too
    return np.asarray(np.nan_to_num((plain - slid).sum(axis=1) / unit))
