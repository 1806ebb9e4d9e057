"""What each frequency means: seasons, lags, windows, and the calendar columns of a future step.

Nothing here looks at values; the calendar is known in advance, so it can never leak.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from warehouse_assets.errors import UserError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

DAY_SECONDS = 86_400


@dataclass(frozen=True)
class Frequency:
    """One supported step between observations.

    Attributes:
        name: what the user types.
        season: the short season in steps (7 days, 12 months, 24 hours; 52 for weeks).
        seasons: every season in steps, short to long.
        fill_season: a missing step takes the value one such season back (1: the last value).
        mase_season: lag of the naive forecast that scales MASE (M4's convention for W is 1).
        lags: lags in steps that the boosted model sees.
        windows: lengths in steps of the trailing means it sees.
        reference: what it predicts a change from: the "last" value, or the mean of the last "season".
        smoothing_history: steps of history that exponential smoothing and AR use at most.
        longest_history: steps of history that anything uses at most; older ones are left out, which bounds memory.
    """

    name: str
    season: int
    seasons: tuple[int, ...]
    fill_season: int
    mase_season: int
    lags: tuple[int, ...]
    windows: tuple[int, ...]
    reference: str
    smoothing_history: int
    longest_history: int


FREQUENCIES: dict[str, Frequency] = {
    "h": Frequency(
        "h", 24, (24, 168), 24, 24, (0, 1, 2, 3, 6, 12, 23, 24, 47, 167), (6, 24, 168), "season", 24 * 42, 5040
    ),
    "D": Frequency(
        "D", 7, (7, 364), 7, 7, (0, 1, 2, 3, 4, 5, 6, 7, 13, 14, 20, 27), (7, 28, 91, 364), "season", 800, 3650
    ),
    "W": Frequency(
        "W", 52, (52,), 1, 1, (1, 2, 3, 4, 5, 6, 7, 8, 10, 13, 20, 26, 39, 51, 52), (4, 13, 52), "last", 780, 2600
    ),
    "MS": Frequency("MS", 12, (12,), 12, 12, (0, 1, 2, 3, 4, 5, 6, 11, 12, 23), (3, 12, 24), "season", 360, 480),
}


def frequency_of(name: str) -> Frequency:
    """Return the frequency called ``name``.

    Raises:
        UserError: no such frequency.
    """
    if name not in FREQUENCIES:
        raise UserError(f"Frequency {name!r} is not known; use D (days), W (weeks), MS (months) or h (hours).")
    return FREQUENCIES[name]


def step_index(dates: pd.DatetimeIndex, frequency: Frequency) -> tuple[Ints, Ints]:
    """Return the step number of each date since 1970, and the offset within the step (0 for a clean grid).

    The offset is in seconds for D, W and h, and the day of the month for MS (0 stands for a month's last day).
    """
    if frequency.name == "MS":
        months = (dates.year.to_numpy() - 1970) * 12 + dates.month.to_numpy() - 1
        day = dates.day.to_numpy()
        last = dates.days_in_month.to_numpy()
        return months.astype(np.int64), np.where(day == last, 0, day).astype(np.int64)
    seconds = dates.to_numpy().astype("datetime64[s]").astype(np.int64)
    size = {"h": 3600, "D": DAY_SECONDS, "W": 7 * DAY_SECONDS}[frequency.name]
    return seconds // size, seconds % size


def step_dates(steps: Ints, offset: int, frequency: Frequency) -> NDArray[np.datetime64]:
    """Return the dates of the step numbers: the inverse of `step_index` for one series."""
    if frequency.name == "MS":
        months = steps.astype("datetime64[M]")
        last = (months + 1).astype("datetime64[D]") - np.timedelta64(1, "D")
        if offset:
            last = np.minimum(last, months.astype("datetime64[D]") + np.timedelta64(offset - 1, "D"))
        return last.astype("datetime64[s]")
    size = {"h": 3600, "D": DAY_SECONDS, "W": 7 * DAY_SECONDS}[frequency.name]
    return (steps * size + offset).astype("datetime64[s]")


def holiday_days(country: str | None, first_year: int, last_year: int) -> Ints:
    """Return the country's public holidays as sorted days since 1970 (empty without a country).

    Raises:
        UserError: the country code is not known.
    """
    if country is None:
        return np.empty(0, dtype=np.int64)
    import holidays

    try:
        table = holidays.country_holidays(country, years=range(first_year, last_year + 1))
    except NotImplementedError as error:
        raise UserError(f"No holidays are known for country {country!r}; use a code such as US, or none.") from error
    days = np.array(sorted(table), dtype="datetime64[D]")
    return days.astype(np.int64)


CALENDAR_COLUMNS = (
    "weekday",
    "hour",
    "month",
    "day_of_month",
    "day_of_year",
    "is_holiday",
    "days_since_holiday",
    "days_to_holiday",
    "working_days",
)


def calendar_table(dates: NDArray[np.datetime64], frequency: Frequency, holidays: Ints) -> Floats:
    """Return the calendar of each date, shape (len(dates), len(CALENDAR_COLUMNS)).

    ``days_since_holiday`` counts within the same Monday-to-Sunday week (a holiday that shifts routes
    shifts them until the weekend), 7 when there was none; ``days_to_holiday`` is capped at 7; a week is the seven
    days that end with its date; ``working_days`` are the Mondays to Fridays of the month or week that are no
    holidays (MS and W). Columns that a frequency cannot tell are 0.
    """
    table = np.zeros((len(dates), len(CALENDAR_COLUMNS)))
    index = pd.DatetimeIndex(dates)
    day = dates.astype("datetime64[D]")
    number = day.astype(np.int64)
    weekday = index.day_of_week.to_numpy()
    table[:, 2] = index.month
    table[:, 4] = index.day_of_year
    if frequency.name in ("D", "h"):
        table[:, 0] = weekday
        table[:, 1] = index.hour
        table[:, 3] = index.day
        if len(holidays):
            after = np.searchsorted(holidays, number, side="left")
            following = holidays[np.minimum(after, len(holidays) - 1)] - number
            table[:, 7] = np.where(after < len(holidays), np.minimum(following, 7), 7)
            table[:, 5] = table[:, 7] == 0
            before = np.searchsorted(holidays, number, side="right") - 1
            since = np.where(before >= 0, number - holidays[np.maximum(before, 0)], 99)
            table[:, 6] = np.where(since <= weekday, since, 7)
    else:
        if frequency.name == "MS":
            begin = dates.astype("datetime64[M]").astype("datetime64[D]")
            end = (dates.astype("datetime64[M]") + 1).astype("datetime64[D]")
        else:
            begin, end = day - 6, day + 1
        closed = holidays.astype("datetime64[D]")
        table[:, 8] = np.busday_count(begin, end, holidays=closed)
        table[:, 5] = np.searchsorted(closed, end) > np.searchsorted(closed, begin)
    return table
