"""Accuracy on M4's 359 weekly series, 13 weeks ahead, beside the methods one would otherwise use.

Reads ../shared/data/forecast (as published, wide); downloads nothing. Prints MASE and sMAPE by M4's definitions (mean
over series; the MASE scale is the naive change over the training data, M4's seasonal period for weeks being 1) and
the coverage of 90% intervals. Checks itself: Naive must come out at the published 9.161 / 2.777.

Run with ``.venv/bin/python -m benchmarks.forecast_m4 [--series N] [--with-arima] [--with-prophet N]``. ARIMA takes
about 5 minutes for all series, Prophet 1 to 2.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from warehouse_assets.forecast.model import forecast
from warehouse_assets.forecast.prophet_candidate import quiet_prophet
from warehouse_assets.forecast.scoring import covered, mase_scale, smape

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "forecast"
HORIZON, SEASON, LEVEL = 13, 52, 90
PUBLISHED_NAIVE = (9.161, 2.777)
Arrays = list[np.ndarray]


def read(most: int | None) -> tuple[list[str], Arrays, np.ndarray]:
    """Return names, histories and the (series, 13) future; ``most`` series evenly spread, or all."""
    train = pd.read_csv(DATA / "m4_weekly_train.csv.gz")
    test = pd.read_csv(DATA / "m4_weekly_test.csv.gz")
    keep = np.arange(len(train)) if most is None else np.linspace(0, len(train) - 1, most).astype(int)
    rows = train.iloc[keep, 1:].to_numpy(float)
    return list(train.iloc[keep, 0]), [row[~np.isnan(row)] for row in rows], test.iloc[keep, 1:].to_numpy(float)


def report(
    name: str, made: np.ndarray, future: np.ndarray, scale: np.ndarray, seconds: float, inside: str = ""
) -> float:
    """Print one line and return the MASE."""
    mase = float((np.abs(made - future).mean(axis=1) / scale).mean())
    print(f"{name:42} {mase:7.3f} {smape(future, made).mean():8.3f} {inside:>10} {seconds:9.1f}", flush=True)
    return mase


def each(histories: Arrays, one: Callable[[np.ndarray], np.ndarray]) -> tuple[np.ndarray, float]:
    """Forecast series by series; return the forecasts and the seconds."""
    began = time.perf_counter()
    return np.stack([one(history) for history in histories]), time.perf_counter() - began


def prophet_alone(histories: Arrays, future: np.ndarray, scale: np.ndarray) -> None:
    """Fit Prophet as it comes, 90% intervals, on weekly dates."""
    prophet_class, _ = quiet_prophet()
    began = time.perf_counter()
    made, inside = [], []
    for history, truth in zip(histories, future, strict=True):
        dates = pd.date_range(end="2016-12-25", periods=len(history), freq="W")
        model = prophet_class(interval_width=LEVEL / 100)
        model.fit(pd.DataFrame({"ds": dates, "y": history}))
        ahead = pd.DataFrame({"ds": pd.date_range(dates[-1], periods=HORIZON + 1, freq="W")[1:]})
        table = model.predict(ahead)
        made.append(table["yhat"].to_numpy())
        inside.append(covered(truth, table["yhat_lower"].to_numpy(), table["yhat_upper"].to_numpy()).mean())
    seconds = time.perf_counter() - began
    report(f"Prophet alone ({len(made)} series)", np.stack(made), future, scale, seconds, f"{np.mean(inside):.3f}")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", type=int, default=None, help="so many series, evenly spread (default: all)")
    parser.add_argument("--with-arima", action="store_true", help="AutoARIMA, and the mean of ETS, Theta and ARIMA")
    parser.add_argument("--with-prophet", type=int, default=0, metavar="N", help="Prophet on N series (359: all)")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    if not (DATA / "m4_weekly_train.csv.gz").exists():
        print(f"The M4 data are not at {DATA}; nothing was measured.")
        return
    names, histories, future = read(arguments.series)
    longest = max(map(len, histories))
    aligned = np.stack([np.r_[np.full(longest - len(row), np.nan), row] for row in histories])
    scale = mase_scale(aligned, 1)
    print(f"{'method':42} {'MASE':>7} {'sMAPE':>8} {'coverage':>10} {'seconds':>9}")
    naive, seconds = each(histories, lambda row: np.repeat(row[-1], HORIZON))
    own = report("Naive", naive, future, scale, seconds)
    if arguments.series is None:
        found = (float(smape(future, naive).mean()), own)
        assert np.allclose(found, PUBLISHED_NAIVE, atol=6e-4), f"the scorer is wrong: Naive {found}, {PUBLISHED_NAIVE}"
    season, seconds = each(histories, lambda row: row[-SEASON : len(row) - SEASON + HORIZON])
    report("Seasonal naive (52 weeks)", season, future, scale, seconds)

    from statsforecast.models import AutoARIMA, AutoETS, Theta

    made = {}
    models = {"ETS (statsforecast AutoETS)": AutoETS(model="ZZN"), "Theta (statsforecast)": Theta(season_length=1)}
    if arguments.with_arima:
        models["ARIMA (statsforecast AutoARIMA)"] = AutoARIMA(season_length=1)
    for name, model in models.items():
        made[name], seconds = each(histories, lambda row, m=model: m.forecast(y=row, h=HORIZON)["mean"])
        report(name, made[name], future, scale, seconds)
    report(f"Mean of these {len(made)}", np.mean(list(made.values()), axis=0), future, scale, 0.0)
    if arguments.with_prophet:
        some = np.linspace(0, len(names) - 1, min(arguments.with_prophet, len(names))).astype(int)
        prophet_alone([histories[row] for row in some], future[some], scale[some])

    lengths = [len(row) for row in histories]
    long = pd.DataFrame(
        {
            "unique_id": np.repeat(names, lengths),
            "ds": np.concatenate([np.arange(1, size + 1) for size in lengths]),
            "y": np.concatenate(histories),
        }
    )
    began = time.perf_counter()
    result = forecast(long, HORIZON, "W", LEVEL, threads=arguments.threads)
    seconds = time.perf_counter() - began
    table = result.forecasts.set_index("unique_id").loc[names]
    values = {column: table[column].to_numpy().reshape(-1, HORIZON) for column in ("yhat", "yhat_lower", "yhat_upper")}
    without = int(np.isnan(values["yhat"]).any(axis=1).sum())
    inside = covered(future, values["yhat_lower"], values["yhat_upper"]).mean()
    ours = report("warehouse forecast", values["yhat"], future, scale, seconds, f"{inside:.3f}")
    print(f"series without a forecast: {without}; MASE relative to Naive: {ours / own:.3f}")


if __name__ == "__main__":
    main()
