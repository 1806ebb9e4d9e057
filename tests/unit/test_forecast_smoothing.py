"""Exponential smoothing of many series at once: what it says of one does not depend on the others."""

import numpy as np
import pytest

from warehouse_assets.forecast import smoothing


def test_series_are_smoothed_alike_whatever_stands_beside_them(monkeypatch: pytest.MonkeyPatch) -> None:
    # Regression: where all series of one block began after the oldest origin, the run ended with KeyError: 'ets'.
    values = np.cumsum(np.random.default_rng(0).normal(size=(3, 60)), axis=1)
    values[2, :50] = np.nan  # begins after the origin at 40
    lengths = np.array([60, 60, 10])
    together = smoothing.smooth(values, lengths, 7, [60, 40], 5)
    monkeypatch.setattr(smoothing, "BLOCK_CELLS", 1)
    alone = smoothing.smooth(values, lengths, 7, [60, 40], 5)
    for whole, parts in zip(together, alone, strict=True):
        for name in whole:
            np.testing.assert_allclose(parts[name], whole[name], err_msg=name)
    assert np.isnan(alone[1]["ets"][2]).all()
    assert np.isfinite(alone[0]["ets"]).all()


@pytest.mark.parametrize("years", [2, 3])
def test_a_short_seasonal_series_is_not_surer_than_its_noise_allows(years: int) -> None:
    # Regression: of two years the seasonal pattern is their own mean, and what is left beside it half the noise.
    months = 12 * years
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(200, months + 12))
    series = 100.0 + 20.0 * np.sin(np.arange(months + 12) * np.pi / 6.0) + noise
    (made,) = smoothing.smooth(series[:, :months], np.full(200, months), 12, [months], 12)
    error = series[:, months:] - made["ets"]
    assert 0.85 < np.sqrt(np.mean(made["ets_deviation"] ** 2)) / np.sqrt(np.mean(error**2)) < 1.25
