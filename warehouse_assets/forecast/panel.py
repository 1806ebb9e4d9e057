"""From a long frame to one matrix, right-aligned at each series' end, and back. No forecasting here."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from warehouse_assets.errors import UserError
from warehouse_assets.forecast.frequency import (
    CALENDAR_COLUMNS,
    DAY_SECONDS,
    Floats,
    Frequency,
    Ints,
    calendar_table,
    holiday_days,
    step_dates,
    step_index,
)

LONGEST_SPAN = 200_000
"""Steps a series may span; more is a wrong frequency or a mistyped year (228 years of hours is 2 million)."""
LAST_DATE = np.datetime64("9999-12-31T23:59:59")
"""Nothing is forecast beyond: a year of five digits is a date to hardly any reader."""


@dataclass(frozen=True)
class Panel:
    """Many series as one matrix.

    Attributes:
        frequency: the step.
        ids: series names, sorted; row ``i`` of every array is series ``ids[i]``.
        values: (series, steps), right-aligned: the last column is each series' own last step; NaN before its
            first. Missing steps in between are filled.
        observed: same shape; True where the input had a value.
        last_step: step number of the last column, by series.
        offset: offset within the step, by series (see ``step_index``).
        is_dated: False when ``ds`` held plain step numbers.
        calendar: (weekdays that weeks end on, steps in the whole calendar, CALENDAR_COLUMNS), empty when not
            dated; one weekday for all but weeks.
        calendar_of: first index into ``calendar``, by series.
        first_calendar_step: step number of ``calendar``'s first row.
    """

    frequency: Frequency
    ids: list[str]
    values: Floats
    observed: NDArray[np.bool_]
    last_step: Ints
    offset: Ints
    is_dated: bool
    calendar: Floats
    calendar_of: NDArray[np.intp]
    first_calendar_step: int
    holidays: Ints

    @property
    def lengths(self) -> Ints:
        """Number of steps from first to last observation, by series."""
        return np.asarray((~np.isnan(self.values)).sum(axis=1), dtype=np.int64)

    def dates(self, series: int, first_ahead: int, count: int) -> list[object]:
        """Return ``ds`` of ``count`` steps, beginning ``first_ahead`` after the series' last step."""
        steps = self.last_step[series] + first_ahead + np.arange(count)
        if not self.is_dated:
            return [int(step) for step in steps]
        return list(pd.DatetimeIndex(step_dates(steps, int(self.offset[series]), self.frequency)))


def build_panel(
    history: pd.DataFrame, frequency: Frequency, horizon: int, country: str | None, fill: str = "season"
) -> Panel:
    """Turn a long frame into a `Panel`.

    Missing steps (absent rows, or null ``y``) between a series' first and last value are filled causally:
    ``fill="season"`` takes the value one ``fill_season`` earlier where that was observed, else the last
    value; ``fill="zero"`` takes 0 (right for totals where no row means nothing happened). Filled steps are
    never scored. Row order does not matter.

    Args:
        history: columns unique_id, ds (dates, or whole step numbers), y.
        frequency: the step.
        horizon: steps ahead that the calendar must cover.
        country: whose public holidays to use; None for none.
        fill: "season" or "zero".

    Raises:
        UserError: a column is missing, a series has two rows of one date, dates off the frequency's grid,
            infinite values, no value at all, or a forecast would go past the year 9999.
    """
    _refuse_unusable(history, fill)
    y = _finite_values(history)
    is_dated = not pd.api.types.is_integer_dtype(history["ds"])
    steps, offsets = _steps(history["ds"], frequency, is_dated)
    codes, names = pd.factorize(history["unique_id"].astype(str), sort=True)
    order = np.lexsort((steps, codes))
    codes, steps, offsets, y = codes[order], steps[order], offsets[order], y[order]
    series_offset = _offsets(codes, offsets, names, history["ds"].iloc[order], frequency)
    _refuse_duplicates(codes, steps, names, history["ds"].iloc[order])
    if np.isnan(y).all():
        raise UserError("No row of the history has a y; give at least one value to forecast from.")
    valued = np.zeros(len(names), dtype=bool)
    valued[codes[~np.isnan(y)]] = True
    # A series of nothing but nulls stands as one unobserved zero at its last date.
    final = np.r_[codes[1:] != codes[:-1], True]
    y = np.asarray(np.where(~valued[codes] & final, 0.0, y), dtype=np.float64)
    codes, steps, y = _from_first_to_last_value(codes, steps, y)
    first, last = _first_and_last(codes, steps)
    width = min(_longest(first, last, names, frequency), frequency.longest_history)
    recent = steps > last[codes] - width
    if not recent.all():
        codes, steps, y = _from_first_to_last_value(codes[recent], steps[recent], y[recent])
        first, _ = _first_and_last(codes, steps)
    values = np.full((len(names), width), np.nan)
    values[codes, width - 1 - (last[codes] - steps)] = y
    observed = ~np.isnan(values) & valued[:, None]
    _fill_gaps(values, observed, width - 1 - (last - first), frequency, fill)
    if is_dated:
        _refuse_five_digit_years(last, series_offset, names, horizon, frequency)
    weekdays, calendar_of = np.unique(series_offset // DAY_SECONDS, return_inverse=True)
    calendar, first_calendar, holidays = _calendar(first, last, weekdays, horizon, frequency, country, is_dated)
    return Panel(
        frequency, [str(name) for name in names], values, observed, last, series_offset, is_dated,
        calendar, calendar_of, first_calendar, holidays,
    )  # fmt: skip


def _refuse_unusable(history: pd.DataFrame, fill: str) -> None:
    """Raise a UserError where columns, rows or names are missing, or the fill rule is not known."""
    missing = [name for name in ("unique_id", "ds", "y") if name not in history.columns]
    if missing:
        raise UserError(f"The history lacks the column {missing[0]!r}; it needs unique_id, ds and y.")
    if history.empty:
        raise UserError("The history holds no row; give at least one value to forecast from.")
    if history["unique_id"].isna().any() or history["ds"].isna().any():
        raise UserError("The history has rows without unique_id or ds; fill or remove them.")
    if fill not in ("season", "zero"):
        raise UserError(f"Fill rule {fill!r} is not known; use season or zero.")


def _finite_values(history: pd.DataFrame) -> Floats:
    """Return ``y`` as numbers, NaN where null; raise a UserError naming the first infinite one."""
    y: Floats = np.asarray(pd.to_numeric(history["y"]), dtype=np.float64)
    if np.isinf(y).any():
        bad = int(np.flatnonzero(np.isinf(y))[0])
        name = str(history["unique_id"].iloc[bad])
        raise UserError(f"Series {name!r} has an infinite y at {history['ds'].iloc[bad]}; remove it.")
    return y


def _steps(ds: pd.Series, frequency: Frequency, is_dated: bool) -> tuple[Ints, Ints]:
    """Return the step number of each row, and the offset within the step (see ``step_index``)."""
    if not is_dated:
        return ds.to_numpy().astype(np.int64), np.zeros(len(ds), dtype=np.int64)
    dates = pd.DatetimeIndex(ds)
    return step_index(dates.tz_localize(None) if dates.tz is not None else dates, frequency)


def _first_and_last(codes: Ints, steps: Ints) -> tuple[Ints, Ints]:
    """Return the first and the last step of each series, of rows sorted by series and step."""
    begins = np.r_[True, codes[1:] != codes[:-1]]
    return steps[begins], steps[np.r_[begins[1:], True]]


def _longest(first: Ints, last: Ints, names: pd.Index, frequency: Frequency) -> int:
    """Return the steps of the longest series; raise a UserError where they cannot be true."""
    width = int((last - first).max()) + 1
    if width > LONGEST_SPAN:
        worst = int((last - first).argmax())
        raise UserError(
            f"Series {names[worst]!r} spans {width:,} steps of frequency {frequency.name}; check its dates, "
            f"or choose a longer frequency (at most {LONGEST_SPAN:,} steps)."
        )
    return width


def _refuse_five_digit_years(last: Ints, offset: Ints, names: pd.Index, horizon: int, frequency: Frequency) -> None:
    """Raise a UserError naming the latest series where its forecast would go past `LAST_DATE`."""
    row = int(last.argmax())
    ends, beyond = step_dates(last[row] + np.array([0, horizon]), int(offset[row]), frequency)
    if beyond > LAST_DATE:
        raise UserError(
            f"Series {names[row]!r} ends on {_shown(pd.Timestamp(ends))}, and {horizon:,} steps of frequency "
            f"{frequency.name} from there go past the year 9999; correct its dates, or ask for fewer steps."
        )


def _refuse_duplicates(codes: Ints, steps: Ints, names: pd.Index, ds: pd.Series) -> None:
    """Raise a UserError naming the first series and date that come twice."""
    twice = np.flatnonzero((codes[1:] == codes[:-1]) & (steps[1:] == steps[:-1]))
    if len(twice):
        row = int(twice[0]) + 1
        raise UserError(
            f"Series {names[codes[row]]!r} has two rows for {_shown(ds.iloc[row])}; keep one, or add them up."
        )


def _shown(ds: object) -> str:
    """Show a date without a midnight's zeros."""
    return str(ds).removesuffix(" 00:00:00")


def _offsets(codes: Ints, offsets: Ints, names: pd.Index, ds: pd.Series, frequency: Frequency) -> Ints:
    """Return each series' offset within the step; a series must keep to one."""
    first = np.r_[True, codes[1:] != codes[:-1]]
    own = offsets[first]
    if frequency.name == "MS":
        # The 28th or 30th can also be a month's last day: the offset 0 of a month-end is then that day.
        np.maximum.at(own, codes, offsets)
        wrong = (offsets != own[codes]) & (offsets != 0)
    else:
        wrong = offsets != own[codes]
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        if frequency.name == "MS":
            own_row = int(np.flatnonzero((codes == codes[row]) & (offsets == own[codes[row]]))[0])
            raise UserError(
                f"Series {names[codes[row]]!r} has dates on several days of the month, {_shown(ds.iloc[row])} and "
                f"{_shown(ds.iloc[own_row])}: give one row a month, or choose another frequency."
            )
        raise UserError(
            f"Series {names[codes[row]]!r} has a date off its {frequency.name} grid, {_shown(ds.iloc[row])}: "
            "every date must be a whole number of steps from the first; choose another frequency or move the date."
        )
    return np.asarray(own, dtype=np.int64)


def _from_first_to_last_value(codes: Ints, steps: Ints, y: Floats) -> tuple[Ints, Ints, Floats]:
    """Return the rows from each series' first to its last non-null value."""
    position = np.arange(len(y))
    has = ~np.isnan(y)
    count = int(codes.max()) + 1
    low = np.full(count, len(y))
    high = np.full(count, -1)
    np.minimum.at(low, codes[has], position[has])
    np.maximum.at(high, codes[has], position[has])
    keep = (position >= low[codes]) & (position <= high[codes])
    return codes[keep], steps[keep], y[keep]


def _fill_gaps(values: Floats, observed: NDArray[np.bool_], start: Ints, frequency: Frequency, fill: str) -> None:
    """Fill missing steps after each series' start, in place, from earlier values only."""
    column = np.arange(values.shape[1])
    gaps = np.isnan(values) & (column[None, :] >= start[:, None])
    if fill == "zero":
        values[gaps] = 0.0
        return
    season = frequency.fill_season
    phase_known = np.zeros((len(values), season), dtype=bool)
    for step in np.flatnonzero(observed.any(axis=0) | gaps.any(axis=0)):
        rows = np.flatnonzero(gaps[:, step])
        if len(rows):
            known = phase_known[rows, step % season] & (season > 1)
            source = np.where(known, step - season, step - 1)
            values[rows, step] = values[rows, source]
        phase_known[observed[:, step], step % season] = True


def _calendar(
    first: Ints, last: Ints, weekdays: Ints, horizon: int, frequency: Frequency, country: str | None, is_dated: bool
) -> tuple[Floats, int, Ints]:
    """Return the calendar of all steps from the earliest history to the latest forecast, and its first step.

    ``weekdays`` are the days after Thursday that weeks are dated by (0 alone for other frequencies).
    """
    if not is_dated:
        return np.empty((1, 0, len(CALENDAR_COLUMNS))), 0, np.empty(0, dtype=np.int64)
    steps = np.arange(int(first.min()), int(last.max()) + horizon + 1)
    offsets = [1] if frequency.name == "MS" else [int(weekday) * DAY_SECONDS for weekday in weekdays]
    dates = [step_dates(steps, offset, frequency) for offset in offsets]
    years = dates[0].astype("datetime64[Y]").astype(np.int64) + 1970
    holidays = holiday_days(country, int(years[0]), int(years[-1]) + 1)
    return np.stack([calendar_table(each, frequency, holidays) for each in dates]), int(steps[0]), holidays
