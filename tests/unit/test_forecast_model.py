"""The forecast engine as a whole: laws that hold for any history, and accuracy on series of known make."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from warehouse_assets.errors import UserError
from warehouse_assets.forecast.model import ForecastResult, forecast
from warehouse_assets.forecast.prophet_candidate import PAST_ORIGINS

KEYS = ["unique_id", "ds"]


def weekly_pattern(count: int, days: int, seed: int = 0, noise: float = 0.1) -> pd.DataFrame:
    """Daily series with a weekday pattern, closed on Sundays, of different sizes."""
    rng = np.random.default_rng(seed)
    dates = pd.date_range("2024-01-01", periods=days)
    pattern = np.array([1.0, 1.1, 0.9, 1.0, 1.3, 0.5, 0.0])[dates.day_of_week]
    parts = []
    for number in range(count):
        y = 10.0 * 3**number * pattern * np.exp(noise * rng.normal(size=days))
        parts.append(pd.DataFrame({"unique_id": f"R-{number}", "ds": dates, "y": y}))
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def history() -> pd.DataFrame:
    return weekly_pattern(6, 200)


@pytest.fixture(scope="module")
def result(history: pd.DataFrame) -> ForecastResult:
    return forecast(history, 14, "D", 90, prophet_series=0)


def test_every_series_has_the_steps_after_its_own_last_date(history: pd.DataFrame, result: ForecastResult) -> None:
    expected = pd.date_range("2024-01-01", periods=214)[200:]
    for name, own in result.forecasts.groupby("unique_id"):
        assert list(own["ds"]) == list(expected), name
    assert set(result.forecasts["unique_id"]) == set(history["unique_id"])
    assert result.forecasts[["yhat", "yhat_lower", "yhat_upper"]].notna().all(axis=None)


def test_a_weekday_pattern_is_found(result: ForecastResult) -> None:
    sundays = result.forecasts["ds"].dt.day_of_week == 6
    size = result.forecasts["unique_id"].map(lambda name: 10.0 * 3 ** int(name[2:]))
    relative = result.forecasts["yhat"] / size
    assert relative[sundays].max() < 0.1
    assert relative[result.forecasts["ds"].dt.day_of_week == 4].between(1.05, 1.55).all()


def test_the_combined_forecast_beats_seasonal_naive_and_covers(result: ForecastResult) -> None:
    mean = result.backtest.groupby("method")["mase"].mean()
    assert mean["combined"] < 0.85 * mean["seasonal_naive"]
    coverage = result.backtest.loc[result.backtest["method"] == "combined", "coverage"].mean()
    assert 0.8 <= coverage <= 1.0


def test_new_data_is_covered_as_claimed() -> None:
    whole = weekly_pattern(40, 230, seed=3, noise=0.2)
    last = whole["ds"].max() - pd.Timedelta(days=14)
    made = forecast(whole[whole["ds"] <= last], 14, "D", 90, prophet_series=0).forecasts
    both = made.merge(whole, on=KEYS)
    both = both[both["y"] > 0]
    inside = both["y"].between(both["yhat_lower"], both["yhat_upper"]).mean()
    assert 0.85 <= inside <= 0.96, inside


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(factor=st.floats(-5, 5), shift=st.floats(-1000, 1000), seed=st.integers(0, 99))
def test_no_forecast_at_an_origin_knows_what_came_after(
    history: pd.DataFrame, result: ForecastResult, factor: float, shift: float, seed: int
) -> None:
    origins = sorted(result.backtest_forecasts()["origin"].unique())
    origin = origins[1 + seed % (len(origins) - 1)]  # at the oldest one nothing is combined
    after = history["ds"] > origin
    rng = np.random.default_rng(seed)
    changed = history.copy()
    changed.loc[after, "y"] = factor * changed.loc[after, "y"] + shift * rng.normal(size=int(after.sum()))
    again = forecast(changed, 14, "D", 90, prophet_series=0).backtest_forecasts()
    names = [*KEYS, "origin", "method", "yhat"]
    old = result.backtest_forecasts().loc[result.backtest_forecasts()["origin"] <= origin, names]
    new = again.loc[again["origin"] <= origin, names]
    pd.testing.assert_frame_equal(old.reset_index(drop=True), new.reset_index(drop=True), check_exact=True)
    assert "lightgbm" in set(old["method"])
    assert "combined" in set(old["method"])


def test_the_leak_test_would_see_a_change_before_the_origin(history: pd.DataFrame, result: ForecastResult) -> None:
    origin = result.backtest_forecasts()["origin"].max()
    changed = history.copy()
    changed.loc[changed["ds"] == origin, "y"] *= 1.5
    again = forecast(changed, 14, "D", 90, prophet_series=0).backtest_forecasts()
    assert not np.allclose(again["yhat"], result.backtest_forecasts()["yhat"])


def test_row_order_is_irrelevant_and_a_seed_repeats(history: pd.DataFrame, result: ForecastResult) -> None:
    shuffled = forecast(history.sample(frac=1.0, random_state=1), 14, "D", 90, prophet_series=0)
    pd.testing.assert_frame_equal(shuffled.forecasts, result.forecasts, check_exact=True)
    pd.testing.assert_frame_equal(shuffled.backtest, result.backtest, check_exact=True)
    other = forecast(history, 14, "D", 90, prophet_series=0, seed=8)
    assert other.lightgbm_text != result.lightgbm_text


@pytest.mark.parametrize(("narrow", "wide"), [(50, 80), (80, 90), (90, 95), (95, 99)])
def test_a_higher_level_holds_the_lower_one(history: pd.DataFrame, narrow: int, wide: int) -> None:
    small = forecast(history, 5, "D", narrow, prophet_series=0).forecasts
    large = forecast(history, 5, "D", wide, prophet_series=0).forecasts
    assert (large["yhat_lower"] <= small["yhat_lower"] + 1e-9).all()
    assert (large["yhat_upper"] >= small["yhat_upper"] - 1e-9).all()
    assert (large["yhat_upper"] > small["yhat_upper"]).any()
    np.testing.assert_allclose(large["yhat"], small["yhat"])


def odd_series() -> pd.DataFrame:
    """Beside ordinary series: every kind that leaves little to learn from."""
    dates = pd.date_range("2024-01-01", periods=120)
    rng = np.random.default_rng(5)
    kinds = {
        "constant": pd.Series(7.0, dates),
        "all zero": pd.Series(0.0, dates),
        "negative": pd.Series(rng.normal(-50, 5, 120), dates),
        "crosses zero": pd.Series(rng.normal(0, 5, 120), dates),
        "single": pd.Series([42.0], dates[-1:]),
        "two": pd.Series([3.0, 5.0], dates[-2:]),
        "five": pd.Series([3.0, 5.0, 4.0, 6.0, 5.0], dates[-5:]),
        "gappy": pd.Series(rng.poisson(4, 120).astype(float), dates).sample(40, random_state=1),
        "rare": pd.Series((rng.random(120) < 0.05).astype(float), dates),
        "null only": pd.Series(np.nan, dates[-3:]),
        "ends early": pd.Series(rng.poisson(9, 60).astype(float), dates[:60]),
        "ordinary": pd.Series(20 + 5 * np.sin(np.arange(120) * 2 * np.pi / 7) + rng.normal(0, 1, 120), dates),
    }
    return pd.concat(
        [pd.DataFrame({"unique_id": name, "ds": own.index, "y": own.to_numpy()}) for name, own in kinds.items()]
    )


def test_no_series_is_left_without_a_forecast() -> None:
    history = odd_series()
    made = forecast(history, 10, "D", 90, prophet_series=0)
    table = made.forecasts.set_index("unique_id")
    assert (made.forecasts.groupby("unique_id").size() == 10).all()
    assert set(table.index) == set(history["unique_id"])
    numbers = made.forecasts[["yhat_lower", "yhat", "yhat_upper"]].to_numpy()
    assert np.isfinite(numbers).all()
    assert (np.diff(numbers, axis=1) >= 0).all()
    np.testing.assert_allclose(table.loc["constant", ["yhat", "yhat_lower", "yhat_upper"]], 7.0)
    np.testing.assert_allclose(table.loc["all zero", ["yhat", "yhat_lower", "yhat_upper"]], 0.0)
    np.testing.assert_allclose(table.loc["single", "yhat"], 42.0)
    assert (table.loc["single", "yhat_upper"] > 42.0).all()
    assert (table.loc["negative", "yhat"] < -30).all()
    assert table.loc["ends early", "ds"].min() == pd.Timestamp("2024-03-01")
    for name in ("gappy", "rare", "two", "five", "ends early"):
        assert (table.loc[name, "yhat_lower"] >= 0).all(), name
    said = made.selection.set_index("unique_id")["fallback"]
    for name in ("constant", "all zero", "single", "two", "five", "null only"):
        assert isinstance(said[name], str), name
    assert pd.isna(said["ordinary"])


@pytest.mark.parametrize("values", [[5.0], [5.0, 6.0], [0.0] * 40, [3.0] * 40, list(range(9)), list(range(30))])
def test_a_lone_series_of_any_length_is_forecast(values: list[float]) -> None:
    history = pd.DataFrame({"unique_id": "x", "ds": range(len(values)), "y": values})
    for freq in ("D", "W", "MS", "h"):
        made = forecast(history, 6, freq, 90).forecasts
        assert list(made["ds"]) == list(range(len(values), len(values) + 6))
        assert np.isfinite(made[["yhat", "yhat_lower", "yhat_upper"]].to_numpy()).all()


@pytest.mark.parametrize(
    ("length", "freq", "season"),
    [(18, "MS", 12), (10, "D", 7), (36, "h", 24), (80, "W", 52)],
)
def test_a_season_seen_once_is_used(length: int, freq: str, season: int) -> None:
    # Regression: between one season and two, every origin lay where none was known, and the last value was repeated.
    rng, horizon = np.random.default_rng(2), season // 2
    step = np.arange(length + horizon)
    wave = 100 * np.exp(0.5 * np.sin(2 * np.pi * step / season))
    noise = np.exp(0.05 * rng.normal(size=(8, len(step))))
    dates = pd.date_range("2024-01-01", periods=len(step), freq={"W": "7D"}.get(freq, freq))
    history = pd.concat(
        pd.DataFrame({"unique_id": f"s{row}", "ds": dates[:length], "y": (wave * noise[row])[:length]})
        for row in range(8)
    )
    made = forecast(history, horizon, freq, prophet_series=0).forecasts["yhat"].to_numpy().reshape(8, horizon)
    error = np.abs(made - wave[length:]).mean()
    assert error < 0.6 * np.abs(wave[length - 1] - wave[length:]).mean()
    assert error < 2.5 * np.abs((wave * noise)[:, length - season : length - season + horizon] - wave[length:]).mean()


def test_counts_stay_at_or_above_zero_and_clips_are_counted() -> None:
    rng = np.random.default_rng(2)
    dates = pd.date_range("2024-01-01", periods=150)
    history = pd.concat(
        pd.DataFrame({"unique_id": f"T{n}", "ds": dates, "y": rng.poisson(0.7, 150).astype(float)}) for n in range(4)
    )
    made = forecast(history, 10, "D", 95, prophet_series=0)
    assert (made.forecasts[["yhat", "yhat_lower"]].to_numpy() >= 0).all()
    assert made.clipped >= int((made.forecasts["yhat_lower"] == 0).sum()) > 0


# A date, the frequency, and the two dates expected next.
GRIDS = [
    (["2024-01-31", "2024-02-29", "2024-03-31"], "MS", ["2024-04-30", "2024-05-31"]),
    (["2024-01-01", "2024-02-01", "2024-03-01"], "MS", ["2024-04-01", "2024-05-01"]),
    (["2024-01-03", "2024-01-10", "2024-01-24"], "W", ["2024-01-31", "2024-02-07"]),
    (["2024-02-27", "2024-02-28", "2024-02-29"], "D", ["2024-03-01", "2024-03-02"]),
    (["2024-01-01 22:00", "2024-01-01 23:00", "2024-01-02 00:00"], "h", ["2024-01-02 01:00", "2024-01-02 02:00"]),
]


@pytest.mark.parametrize(("given_dates", "freq", "expected"), GRIDS)
def test_dates_go_on_as_they_came(given_dates: list[str], freq: str, expected: list[str]) -> None:
    history = pd.DataFrame({"unique_id": "x", "ds": pd.to_datetime(given_dates), "y": [1.0, 2.0, 3.0]})
    made = forecast(history, 2, freq, 90).forecasts
    assert list(made["ds"]) == list(pd.to_datetime(expected))


def test_a_duplicate_names_series_and_date() -> None:
    history = weekly_pattern(2, 20)
    with pytest.raises(UserError, match=r"'R-1' has two rows for 2024-01-05"):
        forecast(pd.concat([history, history.iloc[[24]]]), 3, "D")


# What is changed in a good history, and what the sentence must say.
REFUSED = [
    (lambda h: h.drop(columns="y"), {}, "lacks the column 'y'"),
    (lambda h: h.iloc[:0], {}, "holds no row"),
    (lambda h: h.assign(y=np.nan), {}, "No row of the history has a y"),
    (lambda h: h.assign(y=np.inf), {}, "infinite y"),
    (lambda h: h, {"horizon": 0}, "horizon is 0"),
    (lambda h: h, {"freq": "Q"}, "'Q' is not known"),
    (lambda h: h, {"level": 0.9}, "level is 0.9"),
    (lambda h: h, {"freq": "W"}, "off its W grid"),
    (lambda h: h, {"freq": "MS"}, "on several days of the month"),
    (lambda h: h, {"horizon": 10_001}, "ask for 1 to 10,000 steps"),
    (lambda h: h, {"country": "Atlantis"}, "country 'Atlantis'"),
    (lambda h: h, {"fill": "guess"}, "'guess' is not known"),
]


@pytest.mark.parametrize(("change", "arguments", "sentence"), REFUSED)
def test_what_cannot_be_forecast_is_refused_in_a_sentence(change, arguments, sentence) -> None:  # type: ignore[no-untyped-def]  # a table of cases
    with pytest.raises(UserError, match=sentence):
        forecast(change(weekly_pattern(1, 20)), **({"horizon": 3, "freq": "D"} | arguments))


def test_prophet_is_a_candidate_on_daily_series_and_is_kept_as_json() -> None:
    history = weekly_pattern(3, 240)
    made = forecast(history, 7, "D", 90, prophet_series=None, origins=3)
    assert {"prophet", "combined"} <= set(made.backtest["method"])
    assert made.parameters["prophet_fits"] == 3 * 4
    from prophet.serialize import model_from_json

    for text in made.prophet_json.values():
        assert model_from_json(text).params["k"] is not None


def test_prophet_wins_where_only_it_knows_better() -> None:
    from warehouse_assets.forecast.combine import fit_weights

    rng = np.random.default_rng(0)
    actual = rng.normal(100, 10, (6, 3, 8))
    good, bad = actual + rng.normal(0, 1, actual.shape), actual + rng.normal(0, 9, actual.shape)
    # Regression: tried at its three origins of six, it could not be chosen.
    tried = np.arange(6)[:, None, None] < PAST_ORIGINS
    prophet = np.where((np.arange(3)[None, :, None] == 1) & tried, actual, np.nan)
    weights = fit_weights(["good", "bad", "prophet"], np.stack([good, bad, prophet]), actual, np.full(3, 10.0))
    assert weights.label[1] in ("prophet", "blend+prophet")
    assert "prophet" not in weights.label[0] + weights.label[2]
    np.testing.assert_allclose(weights.by_series.sum(axis=1), 1.0)


def test_the_boosted_model_is_text_that_forecasts_again(history: pd.DataFrame, result: ForecastResult) -> None:
    import lightgbm

    assert result.lightgbm_text is not None
    booster = lightgbm.Booster(model_str=result.lightgbm_text)
    assert booster.feature_name() == result.parameters["lightgbm_features"]
    assert abs(sum(result.weights.values()) - 1.0) < 1e-9


# Regression: weights were learned a whole horizon back alone, and for as long after a shift the old level was forecast.
@pytest.mark.parametrize("days_since", [8, 15, 22])
def test_a_level_that_has_shifted_is_followed_before_a_horizon_has_passed(days_since: int) -> None:
    rng = np.random.default_rng(5)
    day = np.arange(250 + days_since + 28)
    made = {f"s{n}": np.where(day < 250, 100, 160) + 15 * (day % 7 < 5) + rng.normal(0, 4, len(day)) for n in range(4)}
    dates = pd.date_range("2023-01-02", periods=len(day))
    known = pd.concat([pd.DataFrame({"unique_id": n, "ds": dates, "y": y}).iloc[:-28] for n, y in made.items()])
    found = forecast(known, 28, "D", prophet_series=0).forecasts
    error = np.abs(found["yhat"].to_numpy() - np.concatenate([y[-28:] for y in made.values()])).mean()
    assert error < 10  # the shift is 60; the week before, copied, errs by 4 to 5
