"""Business days: local time to UTC, federal holidays, and the collection days they move. No data rows belong here."""

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np

from warehouse_assets.source.simulator.rows import Array

MINUTE = np.timedelta64(60_000_000, "us")
_SHIFTING = ("New Year's Day", "Memorial Day", "Independence Day", "Labor Day", "Thanksgiving Day", "Christmas Day")


def days_between(start: date, end: date) -> Array:
    """Return the days from ``start`` up to, but without, ``end`` as datetime64[D]."""
    return np.arange(np.datetime64(start, "D"), np.datetime64(end, "D"))


def weekday(days: Array) -> Array:
    """Return ISO weekdays, 1 Monday to 7 Sunday."""
    return (days.astype(np.int64) + 3) % 7 + 1


def day_of_year(days: Array) -> Array:
    """Return the day of the year, from 0."""
    return np.asarray(days - days.astype("datetime64[Y]").astype("datetime64[D]")).astype(np.int64)


def month_start(day: date) -> date:
    """Return the first day of the month of ``day``."""
    return day.replace(day=1)


def next_month(day: date) -> date:
    """Return the first day of the month after ``day``."""
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1)


def _nth(year: int, month: int, iso_weekday: int, n: int) -> date:
    first = date(year, month, 1)
    return first + timedelta(days=(iso_weekday - first.isoweekday()) % 7 + 7 * (n - 1))


@lru_cache
def federal_holidays(year: int) -> tuple[tuple[date, str, bool], ...]:
    """Return day, name and whether collection moves, for the US federal holidays of ``year`` (5 U.S.C. 6103)."""
    last_may_monday = _nth(year, 5, 1, 5)
    if last_may_monday.month != 5:
        last_may_monday -= timedelta(days=7)
    named = (
        (date(year, 1, 1), "New Year's Day"),
        (_nth(year, 1, 1, 3), "Martin Luther King Jr. Day"),
        (_nth(year, 2, 1, 3), "Washington's Birthday"),
        (last_may_monday, "Memorial Day"),
        (date(year, 6, 19), "Juneteenth"),
        (date(year, 7, 4), "Independence Day"),
        (_nth(year, 9, 1, 1), "Labor Day"),
        (_nth(year, 10, 1, 2), "Columbus Day"),
        (date(year, 11, 11), "Veterans Day"),
        (_nth(year, 11, 4, 4), "Thanksgiving Day"),
        (date(year, 12, 25), "Christmas Day"),
    )
    return tuple((day, name, name in _SHIFTING) for day, name in named)


def shifted_days(days: Array) -> tuple[Array, Array]:
    """Return on which day the collection of each usual day takes place, and whether a holiday moved it.

    A holiday on a weekday moves its own collection and that of the rest of its week by one day.
    """
    moved = np.zeros(len(days), dtype=bool)
    for year in (np.unique(days.astype("datetime64[Y]").astype(np.int64)) + 1970).tolist():
        for day, _, shifts in federal_holidays(year):
            if shifts and day.isoweekday() <= 6:
                saturday = day + timedelta(days=6 - day.isoweekday())
                moved |= (days >= np.datetime64(day)) & (days <= np.datetime64(saturday))
    return days + moved.astype("timedelta64[D]"), moved


class LocalTime:
    """Local time of a time zone to UTC and back, for whole arrays, in the years around a plan's."""

    def __init__(self, time_zone: str, first: date, last: date):
        zone = ZoneInfo(time_zone)
        self._first = np.datetime64(first, "D")
        count = (last - first).days + 1
        midnights: list[int] = []
        noons: list[int] = []
        for number in range(count):
            day = first + timedelta(days=number)
            for hour, offsets in ((0, midnights), (12, noons)):
                offset = datetime(day.year, day.month, day.day, hour, tzinfo=zone).utcoffset()
                offsets.append(0 if offset is None else int(offset.total_seconds() // 60))
        self._midnight = np.array(midnights) * MINUTE
        self._begins = days_between(first, last + timedelta(days=1)).astype("datetime64[us]") - self._midnight
        self._noon = np.array(noons) * MINUTE
        self._zone = zone

    def utc(self, days: Array, minutes: Array | float) -> Array:
        """Return the UTC times that are ``minutes`` after local midnight of ``days`` (clocks change about 02:00)."""
        place = (days - self._first).astype(np.int64)
        minutes = np.asarray(minutes, dtype=np.float64)
        microseconds = (minutes * 60.0).astype(np.int64) * 1_000_000
        before_change = minutes < 120
        offset = np.where(before_change, self._midnight[place], self._noon[place])
        return np.asarray(days.astype("datetime64[us]") + microseconds.astype("timedelta64[us]") - offset)

    def clock_start(self, days: Array) -> Array:
        """Return the UTC times from which a working day's minutes count: noon less 12 hours.

        That is midnight, but for the days on which clocks change: there hours after the change are right.
        """
        return self.utc(days, 720.0) - 720 * MINUTE

    def day(self, times: Array) -> Array:
        """Return the local days of UTC ``times``."""
        return np.asarray(self._first + (np.searchsorted(self._begins, times, side="right") - 1))

    def today(self, now: datetime) -> date:
        """Return the local day of ``now``."""
        return now.astimezone(self._zone).date()


def moment(now: datetime) -> np.datetime64:
    """Return ``now`` as datetime64[us] in UTC."""
    return np.datetime64(now.astimezone(UTC).replace(tzinfo=None), "us")
