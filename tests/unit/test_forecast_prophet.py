"""Where Prophet is tried: chosen from what the newer origins, whose scores it may change, do not show."""

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from warehouse_assets.forecast import prophet_candidate
from warehouse_assets.forecast.backtest import Backtest, run_backtest
from warehouse_assets.forecast.frequency import FREQUENCIES, Floats
from warehouse_assets.forecast.model import no_progress
from warehouse_assets.forecast.panel import Panel, build_panel

HORIZON, SERIES, TRIED = 10, 8, 4


@pytest.fixture(scope="module")
def panel() -> Panel:
    rng = np.random.default_rng(6)
    dates = pd.date_range("2024-01-01", periods=240)
    parts = [pd.DataFrame({"unique_id": f"S{n}", "ds": dates, "y": rng.gamma(5.0, 4.0, 240)}) for n in range(SERIES)]
    return build_panel(pd.concat(parts), FREQUENCIES["D"], HORIZON, None)


@pytest.fixture(scope="module")
def backtest(panel: Panel) -> Backtest:
    return run_backtest(panel, HORIZON, 5, 7, 1, no_progress)


def tried(monkeypatch: pytest.MonkeyPatch, panel: Panel, backtest: Backtest, actual: Floats) -> NDArray[np.bool_]:
    """Return (origins, series) where a Prophet that always says 20 is tried and kept, had ``actual`` happened."""
    monkeypatch.setattr(prophet_candidate, "fit_prophet", lambda *_: (np.full(HORIZON, 20.0), "{}"))
    happened = Backtest(backtest.cuts, backtest.forecasts, actual, backtest.scale, backtest.deviation, None)
    reference = backtest.forecasts["seasonal_median"]
    trials = prophet_candidate.try_prophet(
        panel, happened, reference, TRIED, HORIZON, None, float("inf"), 1, no_progress
    )
    return ~np.isnan(trials.forecasts).any(axis=2)


def test_what_happened_after_the_newer_origins_does_not_choose_where_prophet_is_tried(
    monkeypatch: pytest.MonkeyPatch, panel: Panel, backtest: Backtest
) -> None:
    # Regression: the newest past origin decided, so that its own score knew where Prophet did well.
    before = tried(monkeypatch, panel, backtest, backtest.actual)
    assert 0 < before[0].sum() < SERIES
    assert (before[:4] == before[0]).all()
    assert not before[4:].any()
    rng = np.random.default_rng(1)
    for newer in (1, 2):
        changed = backtest.actual.copy()
        changed[newer] = rng.gamma(5.0, 40.0, changed[newer].shape)
        np.testing.assert_array_equal(tried(monkeypatch, panel, backtest, changed), before)


def test_a_prophet_that_failed_at_the_oldest_origin_is_not_tried_on(
    monkeypatch: pytest.MonkeyPatch, panel: Panel, backtest: Backtest
) -> None:
    right, wrong = backtest.actual.copy(), backtest.actual.copy()
    right[3] = 20.0
    wrong[3] = backtest.forecasts["seasonal_median"][3]
    assert tried(monkeypatch, panel, backtest, right)[:4].sum() == 4 * TRIED
    assert not tried(monkeypatch, panel, backtest, wrong).any()


def test_origins_that_overlap_hide_what_was_not_yet_known(
    monkeypatch: pytest.MonkeyPatch, panel: Panel, backtest: Backtest
) -> None:
    cuts = [240, 230, 228, 226, 224, 222]
    close = Backtest(cuts, backtest.forecasts, backtest.actual, backtest.scale, backtest.deviation, None)
    before = tried(monkeypatch, panel, close, backtest.actual)
    assert before.any()
    # As if the calendar regression and Prophet were far off where they were chosen, and right elsewhere.
    changed = backtest.actual.copy()
    elsewhere = backtest.forecasts["calendar_regression"]
    for origin, known in ((3, 2), (4, 4), (5, 6)):
        changed[origin, :, known:] = np.where(before[0][:, None], 500.0, elsewhere[origin, :, known:])
    np.testing.assert_array_equal(tried(monkeypatch, panel, close, changed), before)
