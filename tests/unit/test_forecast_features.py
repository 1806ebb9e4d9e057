"""What the boosted model sees: nothing after the origin, and the calendar of a series' own weeks."""

import numpy as np
import pandas as pd
import pytest

from warehouse_assets.forecast import boosting
from warehouse_assets.forecast.frequency import FREQUENCIES, Floats
from warehouse_assets.forecast.panel import Panel, build_panel

# A frequency and a horizon of one longest season and a step.
HORIZONS = [("h", 169), ("D", 365), ("W", 53), ("MS", 13)]


def seen(panel: Panel, values: Floats, origin: int, ahead: np.ndarray) -> tuple[Floats, tuple[str, ...]]:
    """Features of the first series from one origin."""
    row = np.zeros(len(ahead), dtype=np.int64)
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


def _same(left: Floats, right: Floats) -> bool:
    return bool(np.array_equal(left, right, equal_nan=True))
