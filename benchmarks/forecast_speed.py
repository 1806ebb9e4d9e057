"""45 daily series over 24 months: our backtest and forecast against a plain loop of Prophet over the same origins.

The series are simulated (weekday pattern, yearly wave, growth, holidays, noise; a third of them counts). Our run tries
every candidate, its few Prophet fits included. The loop fits Prophet for every series and origin, by default on 5
series, scaled up; ``--whole`` runs all. Imports and first calls are in neither. Also timed: our run in a fresh process,
imports included, and a dozen monthly series twelve months ahead. Both print their accuracy on the 30 days held back.

Run with ``.venv/bin/python -m benchmarks.forecast_speed [--whole] [--threads N]``.
"""

import argparse
import subprocess
import sys
import time

import numpy as np
import pandas as pd

from warehouse_assets.forecast.frequency import holiday_days
from warehouse_assets.forecast.model import ForecastResult, forecast
from warehouse_assets.forecast.prophet_candidate import quiet_prophet

SERIES, DAYS, HORIZON = 45, 731, 30
MONTHLY_SERIES, MONTHS, MONTHLY_HORIZON = 12, 48, 12


def daily_series(count: int = SERIES, days: int = DAYS, seed: int = 11) -> pd.DataFrame:
    """Simulate daily series, long: unique_id, ds, y."""
    rng = np.random.default_rng(seed)
    dates = pd.date_range("2023-01-01", periods=days)
    closed = np.isin(dates.to_numpy().astype("datetime64[D]").astype(np.int64), holiday_days("US", 2022, 2026))
    parts = []
    for number in range(count):
        week = np.r_[1 + 0.15 * rng.normal(size=5), 0.4 * rng.random(), 0.05]
        year = 0.12 * np.cos(2 * np.pi * (dates.day_of_year.to_numpy() - 200 + 10 * rng.normal()) / 365.25)
        growth = 1 + 0.1 * np.arange(days) / 365 * rng.normal(1, 0.5)
        wander = np.exp(0.12 * rng.normal(size=days) + np.cumsum(0.01 * rng.normal(size=days)))
        catch_up = np.where(np.r_[False, closed[:-1]], 1.25, 1.0)
        y = np.exp(rng.normal(4, 1.2)) * week[dates.day_of_week] * (1 + year) * growth * wander * catch_up
        y = np.where(closed, 0.15 * y, y)
        y = rng.poisson(np.maximum(y / 10, 0.2)).astype(float) if number % 3 == 0 else y
        parts.append(pd.DataFrame({"unique_id": f"S{number:02d}", "ds": dates, "y": y}))
    return pd.concat(parts, ignore_index=True)


def monthly_series(seed: int = 12) -> pd.DataFrame:
    """Simulate monthly series, long."""
    rng = np.random.default_rng(seed)
    dates = pd.date_range("2020-01-01", periods=MONTHS, freq="MS")
    parts = []
    for number in range(MONTHLY_SERIES):
        wave = 1 + 0.1 * np.cos(2 * np.pi * (np.arange(MONTHS) - 6) / 12)
        y = 1e5 * (1 + number) * wave * 1.005 ** np.arange(MONTHS) * np.exp(0.05 * rng.normal(size=MONTHS))
        parts.append(pd.DataFrame({"unique_id": f"M{number:02d}", "ds": dates, "y": y}))
    return pd.concat(parts, ignore_index=True)


def prophet_loop(history: pd.DataFrame, origins: list[pd.Timestamp]) -> tuple[pd.DataFrame, float]:
    """Fit Prophet for every series and origin in turn; return the last origin's forecasts and the seconds."""
    prophet_class, _ = quiet_prophet()
    began = time.perf_counter()
    parts = []
    for name, own in history.groupby("unique_id"):
        for origin in origins:
            model = prophet_class(interval_width=0.9)
            model.add_country_holidays("US")
            model.fit(own.loc[own["ds"] <= origin, ["ds", "y"]])
            ahead = pd.DataFrame({"ds": pd.date_range(origin, periods=HORIZON + 1)[1:]})
            table = model.predict(ahead)[["ds", "yhat", "yhat_lower", "yhat_upper"]]
        parts.append(table.assign(unique_id=name))
    return pd.concat(parts), time.perf_counter() - began


def accuracy(made: pd.DataFrame, history: pd.DataFrame, future: pd.DataFrame) -> str:
    """Return MASE (weekly season) and coverage on the held-back days, as text."""
    both = made.merge(future, on=["unique_id", "ds"])
    scale = history.groupby("unique_id")["y"].apply(lambda y: np.abs(y.to_numpy()[7:] - y.to_numpy()[:-7]).mean())
    error = (both["yhat"] - both["y"]).abs() / both["unique_id"].map(scale)
    inside = both["y"].between(both["yhat_lower"], both["yhat_upper"]).mean()
    return f"MASE {error.mean():.3f}, 90% intervals cover {inside:.3f}"


def held_back() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the daily history and the 30 days after it."""
    whole = daily_series(days=DAYS + HORIZON)
    last = whole["ds"].max() - pd.Timedelta(days=HORIZON)
    return whole[whole["ds"] <= last], whole[whole["ds"] > last]


def our_run(threads: int) -> tuple[ForecastResult, ForecastResult]:
    """Forecast the daily and the monthly series."""
    daily = forecast(held_back()[0], HORIZON, "D", 90, threads=threads)
    return daily, forecast(monthly_series(), MONTHLY_HORIZON, "MS", 90, threads=threads)


def main() -> None:
    """Print both, and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--whole", action="store_true", help="fit Prophet to all 45 series")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--ours-only", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.ours_only:
        our_run(arguments.threads)
        return
    command = [sys.executable, "-m", "benchmarks.forecast_speed", "--ours-only", "--threads", str(arguments.threads)]
    began = time.perf_counter()
    subprocess.run(command, check=True)
    process = time.perf_counter() - began
    our_run(arguments.threads)  # imports and whatever else is done once are in neither time
    daily, monthly = our_run(arguments.threads)
    history, future = held_back()
    print(f"ours, fresh process, daily and monthly, imports included: {process:.1f} s")
    print(f"ours, {SERIES} daily series, {daily.parameters['origins']} origins and the forecast: {daily.seconds:.1f} s")
    print(f"  of which Prophet: {daily.parameters['prophet_fits']} fits, {daily.parameters['prophet_seconds']} s")
    print(f"ours, {MONTHLY_SERIES} monthly series: {monthly.seconds:.1f} s")
    print(f"  {accuracy(daily.forecasts, history, future)}")
    origins = sorted({*daily.backtest["origin"], history["ds"].max()})
    names = sorted(set(history["unique_id"]))
    some = names if arguments.whole else names[:: len(names) // 5]
    part = history[history["unique_id"].isin(some)]
    made, seconds = prophet_loop(part, origins)
    scaled = seconds * len(names) / len(some)
    print(f"Prophet, {len(some)} series at {len(origins)} origins: {seconds:.1f} s; for {len(names)}: {scaled:.1f} s")
    ours = accuracy(daily.forecasts, part, future[future["unique_id"].isin(some)])
    print(f"  {accuracy(made, part, future)} (ours on these: {ours})")
    print(f"ratio: {scaled / daily.seconds:.1f}")


if __name__ == "__main__":
    main()
