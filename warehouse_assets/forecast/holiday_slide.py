"""The holiday slide of collection: a holiday moves its own routes and those of the rest of its week by one day.

Which holidays slide, and which series follow, is learned from the holidays that lie before the origin; a holiday
that no earlier year has shown slides nothing.
"""

import numpy as np
from numpy.typing import NDArray

from warehouse_assets.forecast.frequency import Floats, Ints

WEEKS = 7
"""Weeks before a holiday whose median is what its week would have been."""
YEAR = 365.25
SAME_HOLIDAY = 6.5
"""Days by which the same holiday of two years may differ, beyond whole years."""


def holiday_slide(known: Floats, last_day: int, holidays: Ints, usual: Floats) -> Floats:
    """Move the usual week of every series by a day after the holidays that did so before.

    Args:
        known: (series, days) up to the origin, right-aligned, NaN before a series' start.
        last_day: the last known day, as days since 1970.
        holidays: public holidays, as sorted days since 1970; those after the origin are known in advance.
        usual: (series, horizon) the forecast without any holiday: the median of the same weekday.

    Returns:
        (series, horizon): ``usual``, moved where a holiday of the horizon is known to slide.
    """
    holidays = _true_days(holidays)
    first_day = last_day - known.shape[1] + 1
    past = [int(day) for day in holidays if first_day + 7 * WEEKS <= day and day + 6 - _weekday(day) <= last_day]
    ahead = [int(day) for day in holidays if last_day - 6 < day <= last_day + usual.shape[1]]
    if not past or not ahead:
        return usual
    gains = np.stack([_gain(known, day - first_day, _weekday(day)) for day in past])
    slid = gains.sum(axis=1) > 0
    follows = (gains * slid[:, None]).sum(axis=0) > 0
    profile = _usual_week(known, known.shape[1], _weekday(last_day + 1))
    out = usual.copy()
    for day in ahead:
        same = np.array([_is_same(day, other) for other in past])
        if gains[same].sum() <= 0:
            continue
        start = _weekday(day)
        for offset, values in enumerate(_slide(profile[:, start:])):
            column = day + offset - last_day - 1
            if 0 <= column < out.shape[1]:
                out[follows, column] = values[follows]
    return np.where(np.isnan(usual), np.nan, out)


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
    weeks = known[:, column - 7 * WEEKS : column].reshape(len(known), -1, 7)
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


def _gain(known: Floats, column: int, weekday: int) -> Floats:
    """Return by series how much nearer the slid week came than the usual one, in units of the usual week."""
    usual = _usual_week(known, column, weekday)[:, weekday:]
    actual = known[:, column : column + usual.shape[1]]
    plain = np.abs(actual - usual)
    slid = np.abs(actual - np.stack(_slide(usual), axis=1))
    unit = np.abs(usual).sum(axis=1) + 1e-9
    return np.asarray(np.nan_to_num((plain - slid).sum(axis=1) / unit))
