"""What the boosted model sees: nothing after the origin, and the calendar of a series' own weeks."""

import numpy as np
import pandas as pd
import pytest

from warehouse_assets.forecast import boosting
from warehouse_assets.forecast.frequency import FREQUENCIES, Floats
from warehouse_assets.forecast.panel import Panel, build_panel

# A frequency and a horizon of one longest season and a step.
HORIZONS = [("h", 169), ("D", 365), ("W", 53), ("MS", 13)]


def seen(
    panel: Panel, values: Floats, origin: int, ahead: np.ndarray, series: int = 0
) -> tuple[Floats, tuple[str, ...]]:
    """Features of one series from one origin."""
    row = np.full(len(ahead), series)
    past = boosting.History.of(values)
    matrix, names, _, _ = boosting.features(panel, past, row, np.full(len(ahead), origin), ahead)
    return matrix, names


@pytest.mark.parametrize(("freq", "horizon"), HORIZONS)
def test_no_feature_of_any_step_ahead_knows_a_value_after_the_origin(freq: str, horizon: int) -> None:
    # Regression: the mean around the same phase a season ago reached past the origin at the season's last steps.
    rng = np.random.default_rng(4)
    length = 3 * horizon
    frame = pd.DataFrame({"unique_id": "x", "ds": range(length), "y": rng.gamma(3.0, 10.0, length)})
    panel = build_panel(frame, FREQUENCIES[freq], horizon, None)
    origin = length - horizon - 1
    changed = panel.values.copy()
    changed[:, origin + 1 :] = -1e6 * rng.random(horizon)
    ahead = np.arange(1, horizon + 1)
    before, names = seen(panel, panel.values, origin, ahead)
    after, _ = seen(panel, changed, origin, ahead)
    different = [name for name, old, new in zip(names, before.T, after.T, strict=True) if not _same(old, new)]
    assert different == []
    changed[:, origin] += 1.0
    assert not _same(before, seen(panel, changed, origin, ahead)[0])


# The weekday that dates the weeks, and by date: whether the week that ends then holds a holiday, and working days.
WEEKS = [
    ("W-WED", {"2024-12-18": (0, 5), "2024-12-25": (1, 4), "2025-01-01": (1, 4), "2025-01-08": (0, 5)}),
    ("W-THU", {"2024-12-19": (0, 5), "2024-12-26": (1, 4), "2025-01-02": (1, 4), "2025-01-09": (0, 5)}),
    ("W-SUN", {"2024-12-22": (0, 5), "2024-12-29": (1, 4), "2025-01-05": (1, 4), "2025-01-12": (0, 5)}),
    ("W-TUE", {"2024-12-24": (0, 5), "2024-12-31": (1, 4), "2025-01-07": (1, 4), "2025-01-14": (0, 5)}),
]


def test_holidays_and_working_days_are_those_of_each_series_own_weeks() -> None:
    # Regression: all weeks were taken to end on a Thursday.
    ends = {freq: pd.date_range(end=next(iter(weeks)), periods=60, freq=freq)[:-1] for freq, weeks in WEEKS}
    frame = pd.concat(pd.DataFrame({"unique_id": freq, "ds": dates, "y": 1.0}) for freq, dates in ends.items())
    panel = build_panel(frame, FREQUENCIES["W"], 4, "US")
    ahead = np.arange(1, 5)
    for freq, weeks in WEEKS:
        series = panel.ids.index(freq)
        matrix, names = seen(panel, panel.values, panel.values.shape[1] - 1, ahead, series)
        assert [str(date)[:10] for date in panel.dates(series, 1, 4)] == list(weeks)
        found = matrix[:, [names.index("is_holiday"), names.index("working_days")]]
        np.testing.assert_array_equal(found, list(weeks.values()), err_msg=freq)


def _same(left: Floats, right: Floats) -> bool:
    return bool(np.array_equal(left, right, equal_nan=True))
