"""Days of the month: what has a rhythm of months, such as billing, and what comes once in each, such as rent.

Months are no season of days: they are longer and shorter, and their days fall on other weekdays.
"""

from math import comb

import numpy as np

from warehouse_assets.forecast.frequency import Floats, Ints

WEEKS = 7
"""Weeks before a day whose median, on its weekday, is what it would usually have been."""
MONTHS = 12
"""Months that an event is judged by; what happens on it is the median of the newer half."""
MEDIAN_MONTHS = 3
"""Months whose median a day of the month is forecast by."""
LARGE = 3.0
"""Robust standard deviations from the usual beyond which a day is an event."""
HIT_SHARE = 0.7
"""Share of the months in which an event must have happened."""
CHANCE = 1e-3
"""How likely so many hits may be by chance on any of the days tried."""
BLOCK = 256
"""Series judged at a time, to bound the memory."""

_CHOOSE = np.array([[comb(n, k) for k in range(MONTHS + 1)] for n in range(MONTHS + 1)])


def month_events(known: Floats, last_day: int, holidays: Ints, usual: Floats) -> Floats:
    """Add to the usual week what comes once a month: rent on the 5th, insurance on the last working day.

    Which days these are is learned from the last year: something large in most months, more often than by chance. A
    day is counted from the month's first or its last; if it is a day off, it stays, or moves to the next or the last
    working day, whichever the past shows.

    Args:
        known: (series, days) up to the origin, right-aligned, NaN before a series' start.
        last_day: the last known day, as days since 1970.
        holidays: public holidays, as sorted days since 1970.
        usual: (series, horizon) the forecast without events: the median of the same weekday.

    Returns:
        (series, horizon): ``usual``, with the event's median difference added on its days.
    """
    first_day = last_day - known.shape[1] + 1
    days = _event_days(first_day, last_day + usual.shape[1], holidays)
    out = usual.copy()
    for start in range(0, len(known), BLOCK):
        rows = slice(start, start + BLOCK)
        out[rows] += _effects(_unusual(known[rows]), days - first_day, usual.shape[1])
    return out


def month_median(known: Floats, last_day: int, horizon: int) -> Floats:
    """Forecast each day by the median of the same day of the last months, the 29th and later counted from the end.

    Args:
        known: (series, days) up to the origin, right-aligned, NaN before a series' start.
        last_day: the last known day, as days since 1970.
        horizon: days ahead.

    Returns:
        (series, horizon); NaN where a series is shorter than the months.
    """
    first_day = last_day - known.shape[1] + 1
    ahead = np.arange(last_day + 1, last_day + 1 + horizon).astype("datetime64[D]")
    month = ahead.astype("datetime64[M]")
    offset = (ahead - month.astype("datetime64[D]")).astype(np.int64)
    from_end = ((month + 1).astype("datetime64[D]") - ahead).astype(np.int64)
    layers = []
    # the month that a day beyond the first month ahead would look back to is itself not known yet
    for back in range(1, MEDIAN_MONTHS + 1 + horizon // 28):
        begin = (month - back).astype("datetime64[D]").astype(np.int64)
        end = (month - back + 1).astype("datetime64[D]").astype(np.int64)
        column = np.where(offset < 28, begin + offset, end - from_end) - first_day
        is_known = (column >= 0) & (column < known.shape[1])
        layers.append(np.where(is_known, known[:, np.clip(column, 0, known.shape[1] - 1)], np.nan))
    stack = np.stack(layers)
    # of each day the latest known months, as many as the median takes
    order = np.cumsum(~np.isnan(stack), axis=0)
    stack = np.where(order <= MEDIAN_MONTHS, stack, np.nan)
    out = np.full(stack.shape[1:], np.nan)
    enough = order[-1] >= MEDIAN_MONTHS
    out[enough] = np.nanmedian(stack[:, enough], axis=0)
    return out


def _event_days(first_day: int, last_day: int, holidays: Ints) -> Ints:
    """Return (candidates, months): the days that each way of counting finds, month by month; a rule after the other."""
    months = np.arange(
        np.datetime64(first_day, "D").astype("datetime64[M]"), np.datetime64(last_day, "D").astype("datetime64[M]") + 1
    )
    begin = months.astype("datetime64[D]").astype(np.int64)
    end = (months + 1).astype("datetime64[D]").astype(np.int64) - 1
    offset = np.arange(28)[:, None]
    plain = np.concatenate([begin + offset, end - offset])
    day, closed = plain.astype("datetime64[D]"), holidays.astype("datetime64[D]")
    following = np.busday_offset(day, np.int64(0), roll="forward", holidays=closed).astype(np.int64)
    preceding = np.busday_offset(day, np.int64(0), roll="backward", holidays=closed).astype(np.int64)
    return np.concatenate([plain, following, preceding])


def _unusual(known: Floats) -> Floats:
    """Return by how much each day differs from the median of the same weekday of the weeks before it."""
    width = known.shape[1]
    if width <= 7 * WEEKS:
        return np.full(known.shape, np.nan)
    weeks = np.stack([known[:, 7 * (WEEKS - back) : width - 7 * back] for back in range(1, WEEKS + 1)])
    out = np.full(known.shape, np.nan)
    out[:, 7 * WEEKS :] = known[:, 7 * WEEKS :] - np.median(weeks, axis=0)
    return out


def _effects(unusual: Floats, days: Ints, horizon: int) -> Floats:
    """Return (series, horizon) what events add, where ``days`` are columns of ``unusual`` and beyond.

    The surest event of a series is taken out of its past before the next is looked for: days that merely coincide
    with it in some months are none.
    """
    width = unusual.shape[1]
    out = np.zeros((len(unusual), horizon))
    number = (~np.isnan(unusual)).sum(axis=1)
    rows = np.flatnonzero(number)
    rest = unusual[rows]
    size = np.abs(rest)
    large = np.maximum(1.4826 * LARGE * np.nanmedian(size, axis=1), 2.0 * np.nanmean(size, axis=1))
    past = _latest(days, width)
    while len(rows):
        at = np.where(past >= 0, rest[:, np.maximum(past, 0)], np.nan)  # (series, candidates, months)
        chance = _chance_of_candidates(rest, at, large)
        pick = chance.argmin(axis=1)
        found = np.flatnonzero(chance[np.arange(len(rows)), pick] < CHANCE / len(days))
        for series in found:
            columns = days[pick[series]]
            ahead = columns[(columns >= width) & (columns < width + horizon)] - width
            out[rows[series], ahead] += np.nanmedian(at[series, pick[series], -MONTHS // 2 :])
            rest[series, columns[(columns >= 0) & (columns < width)]] *= 0.0
        rows, rest, large = rows[found], rest[found], large[found]
    return out


def _chance_of_candidates(unusual: Floats, at: Floats, large: Floats) -> Floats:
    """Return (series, candidates) how likely their large days are by chance; infinite where these are too few."""
    count = (~np.isnan(at)).sum(axis=2)
    number = (~np.isnan(unusual)).sum(axis=1)
    least = np.full(count.shape, np.inf)
    for sign in (1.0, -1.0):
        hits = (sign * at > large[:, None, None]).sum(axis=2)
        rate = (sign * unusual > large[:, None]).sum(axis=1) / number
        chance = _chance(count, hits, rate[:, None])
        least = np.where((hits > 0) & (hits >= HIT_SHARE * count), np.minimum(least, chance), least)
    return least


def _latest(days: Ints, width: int) -> Ints:
    """Return (candidates, MONTHS) the latest columns before ``width``, -1 where there are not so many."""
    is_past = days < width
    known = np.where(is_past & (days >= 0), days, -1)
    known.sort(axis=1)
    padded = np.concatenate([np.full((len(days), MONTHS), -1), known], axis=1)
    return np.asarray(padded[:, -MONTHS:])


def _chance(count: Ints, hits: Ints, rate: Floats) -> Floats:
    """Return how likely ``hits`` or more of ``count`` are where each comes with ``rate``: a binomial tail."""
    total = np.zeros(count.shape)
    for k in range(MONTHS + 1):
        term = _CHOOSE[count, k] * rate**k * (1.0 - rate) ** np.maximum(count - k, 0)
        total += np.where(k >= hits, term, 0.0)
    return total
