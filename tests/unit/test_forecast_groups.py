"""Groups of series that behave alike get the candidate that serves them, not the one that serves all."""

import numpy as np

from warehouse_assets.forecast.combine import fit_weights

ORIGINS, HORIZON = 4, 12


def candidates(many: int, few: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two candidates: the first is right for the many series, the second for the few; errors are noisy."""
    rng = np.random.default_rng(3)
    series = many + few
    actual = rng.normal(100, 5, (ORIGINS, series, HORIZON))
    small, large = (rng.normal(0, size, actual.shape) for size in (1.0, 6.0))
    right = np.arange(series)[None, :, None] < many
    first, second = actual + np.where(right, small, large), actual + np.where(right, large, small)
    return np.stack([first, second]), actual, np.ones(series)


def test_a_small_group_gets_its_own_candidate() -> None:
    forecasts, actual, scale = candidates(40, 5)
    groups = np.array([0] * 40 + [1] * 5)
    weights = fit_weights(["first", "second"], forecasts, actual, scale, groups)
    assert (weights.by_series[:40, 0] > 0.9).all()
    assert (weights.by_series[40:, 1] > 0.9).all()


def test_a_group_of_noise_stays_with_the_others() -> None:
    rng = np.random.default_rng(4)
    actual = rng.normal(100, 5, (ORIGINS, 45, HORIZON))
    forecasts = np.stack([actual + rng.normal(0, 1, actual.shape), actual + rng.normal(0, 3, actual.shape)])
    weights = fit_weights(["good", "bad"], forecasts, actual, np.ones(45), np.array([0] * 40 + [1] * 5))
    assert (weights.by_series[:, 0] >= 0.5).all()
