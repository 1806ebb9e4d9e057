"""What the forecast assets do, on an open connection and without Dagster: read, forecast, register, write."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from warehouse_assets.errors import UserError
from warehouse_assets.extract.state import inputs_moved, inputs_seen, mark_changed, record_inputs
from warehouse_assets.forecast import storage
from warehouse_assets.lifecycle import registry

if TYPE_CHECKING:
    import pandas as pd
    import psycopg

    from warehouse_assets.forecast.model import ForecastResult

FORECAST_TABLE, BACKTEST_TABLE = "ml.forecast", "ml.forecast_backtest"
INPUTS = tuple(grain.table for grain in storage.GRAINS)
LEVEL = 90
# No tons, lifts, tickets or dollars of a day or month are more.
LARGEST = 1e12
NAMED_ROWS = 10
# A load dated decades back begins a series of zeros that teach nothing; no seasonal pause lasts two years.
PAUSE_DAYS = 2 * 366
# The last days, idle in all series of a metric, are late ones where that is so rare, given their weekdays in the year
# before; what has stopped for longer than the horizon has stopped.
RARE = 0.05
LATE_DAYS = 30
# A forecast is made of the newest data or is none: the newest version is always the one in service, and the check on
# its backtest says when it is poor.
GUARD = registry.Guard("mase", math.inf, higher_is_better=False)

Log = Callable[[str], None]


@dataclass(frozen=True)
class Outcome:
    """What happened: ``state`` in a word or a sentence, figures and a table in markdown for the metadata."""

    state: str
    figures: dict[str, Any] = field(default_factory=dict)
    backtest_figures: dict[str, Any] = field(default_factory=dict)
    table: str = ""


def forecast_warehouse(
    connection: psycopg.Connection,
    run_id: str | None,
    threads: int = 2,
    force: bool = False,
    log: Log = lambda text: None,
) -> Outcome:
    """Forecast all daily and monthly series of the warehouse when they have changed, in the open transaction.

    Forecasts of earlier origins stay, so that they can be held against what happened. No series at all
    is an outcome, not an error. The rules of the series are asked here too: a run of this asset alone does not pass the
    checks on its input.

    Raises:
        UserError: the series have rows that cannot be true; nothing is written.
    """
    for grain in storage.GRAINS:
        registry.train_alone(connection, f"forecast_{grain.name}")
    if not force and not inputs_moved(connection, FORECAST_TABLE, INPUTS):
        return Outcome("unchanged")
    seen = inputs_seen(connection, INPUTS)
    days: set[Any] = set()
    figures: dict[str, Any] = {}
    backtest_figures: dict[str, Any] = {}
    tables: list[str] = []
    states: list[str] = []
    for grain in storage.GRAINS:
        series = storage.read_series(connection, grain.table)
        require_sound(series, grain.table)
        series = since_pause(series)
        if grain.freq == "D":
            series, late = without_late_days(series)
            states += [f"{metric} known until {day:%Y-%m-%d}" for metric, day in late.items()]
        if series.empty:
            states.append(f"no forecasts by {grain.name}: features.{grain.table} has no rows")
            continue
        fingerprint = storage.data_hash(series)
        champion = registry.champion(connection, f"forecast_{grain.name}")
        if not force and champion and champion.parameters.get("data_hash") == fingerprint:
            states.append(f"{grain.name} unchanged")
            continue
        result = _forecast(series, grain, threads)
        log(f"{grain.name}: {len(result.selection)} series in {result.seconds:.1f} s")
        version = registry.register(connection, _candidate(grain, series, result, fingerprint, run_id), GUARD).version
        rows, touched = storage.write_forecasts(connection, grain, series, result, version.model_version_id, run_id)
        tested = storage.write_backtest(connection, grain, result, run_id)
        days |= touched
        figures |= _figures(grain, result, rows)
        backtest_figures |= {f"rows by {grain.name}": tested}
        tables.append(method_table(grain.name, result))
        states.append(f"{grain.name} forecast")
    if days:
        for table, moved, told in ((FORECAST_TABLE, days, figures), (BACKTEST_TABLE, (), backtest_figures)):
            rows = storage.table_rows(connection, table)
            mark_changed(connection, table, moved, rows=rows)
            told["dagster/row_count"] = rows
    record_inputs(connection, FORECAST_TABLE, INPUTS, seen)
    return Outcome("; ".join(states), figures, backtest_figures, "\n\n".join(tables))


def require_sound(series: pd.DataFrame, table: str) -> None:
    """Raise UserError, naming the rows, where a value is missing or beyond ``LARGEST``; the engine refuses the rest."""
    broken = series[~(series["y"].abs() <= LARGEST)]
    if not broken.empty:
        named = [f"series_id={row.series_id} ds={row.ds:%Y-%m-%d}" for row in broken.head(NAMED_ROWS).itertuples()]
        more = " …" if len(broken) > NAMED_ROWS else ""
        raise UserError(
            f"features.{table} has rows that cannot be true ({'; '.join(named)}{more}); "
            f"correct their source or rebuild the dbt model {table}."
        )


def since_pause(series: pd.DataFrame) -> pd.DataFrame:
    """The rows of each series since its last ``PAUSE_DAYS`` without a fact, such as those after a date mistyped."""
    import pandas as pd

    facts = series[series["y"] != 0].sort_values(["series_id", "ds"])
    is_resumed = facts.groupby("series_id")["ds"].diff() > pd.Timedelta(days=PAUSE_DAYS)
    resumed = facts[is_resumed].groupby("series_id")["ds"].max()
    return series[~(series["ds"] < resumed.reindex(series["series_id"]).to_numpy())]


def without_late_days(series: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, pd.Timestamp]]:
    """Daily series without the last days that the facts of their metric have not reached yet, though other tables have.

    Loads that arrive a week late would else be a week without work, and a forecast of none.

    Returns the series, and by metric the last day with a fact where days after it were left out.
    """
    late: dict[str, pd.Timestamp] = {}
    has_fact = (series["y"] != 0).groupby([series["metric"], series["ds"]]).any()
    for metric, days in has_fact.groupby(level=0):
        facts = days.droplevel(0).sort_index()
        if not facts.any():
            continue
        last = facts[facts].index.max()
        ended, before = facts[facts.index > last], facts[facts.index <= last].tail(366)
        # Laplace's rule: how often such a weekday was idle, were the next one to be drawn
        idle = (~before).groupby(before.index.day_of_week).agg(lambda day: (day.sum() + 1) / (len(day) + 2))
        if 0 < len(ended) <= LATE_DAYS and idle.reindex(ended.index.day_of_week, fill_value=0.5).prod() < RARE:
            late[str(metric)] = last
    return series[~(series["ds"] > series["metric"].map(late).astype("datetime64[ns]"))], late


def _forecast(series: pd.DataFrame, grain: storage.Grain, threads: int) -> ForecastResult:
    """Call the engine on the warehouse's frame."""
    from warehouse_assets.forecast.model import forecast

    history = series.rename(columns={"series_id": "unique_id"})[["unique_id", "ds", "y"]]
    metrics = dict(zip(series["series_id"], series["metric"], strict=True))
    return forecast(history, grain.horizon, grain.freq, LEVEL, groups=metrics, threads=threads)


def _candidate(
    grain: storage.Grain, series: pd.DataFrame, result: ForecastResult, fingerprint: str, run_id: str | None
) -> registry.Candidate:
    """Return what is registered of a run: all fitted parts in one text, the weights, the backtest's figures."""
    names = result.parameters["lightgbm_features"] or []
    return registry.Candidate(
        model=f"forecast_{grain.name}",
        algorithm="blend of lightgbm, smoothing, regression, naive and prophet by backtest",
        artifact=storage.artifact_of(result),
        features=[{"name": name, "dtype": "float64"} for name in names],
        parameters={
            **{key: value for key, value in result.parameters.items() if key != "lightgbm_features"},
            "weights": result.weights,
            "data_hash": fingerprint,
        },
        metrics=summary_figures(result),
        data_from=series["ds"].min().date(),
        data_to=series["ds"].max().date(),
        run_id=run_id,
    )


def summary_figures(result: ForecastResult) -> dict[str, Any]:
    """Return the figures of a run over all series: MASE (combined and seasonal naive), coverage, counts."""
    chosen = result.selection
    return {
        "mase": float(chosen["mase"].mean()),
        "mase_median": float(chosen["mase"].median()),
        "mase_seasonal_naive": float(chosen["mase_seasonal_naive"].mean()),
        "coverage": float(chosen["coverage"].mean()),
        "series": len(chosen),
        "fallbacks": int(chosen["fallback"].notna().sum()),
        "clipped": result.clipped,
        "seconds": round(result.seconds, 2),
    }


def _figures(grain: storage.Grain, result: ForecastResult, rows: int) -> dict[str, Any]:
    """Return a grain's figures for the metadata, NaN left out."""
    named = {"rows": rows, **summary_figures(result)}
    return {
        f"{key} by {grain.name}": value
        for key, value in named.items()
        if not (isinstance(value, float) and math.isnan(value))
    }


def method_table(grain: str, result: ForecastResult) -> str:
    """Return two markdown tables: how many series each method was chosen for, and how methods did in the backtest.

    A method's mean is over the series and origins where it and what would have been published were both scored, and
    stands beside the latter's mean there.
    """
    lines = [f"| chosen by {grain} | series |", "| --- | ---: |"]
    chosen = result.selection["method"].value_counts().sort_index()
    lines += [f"| {method} | {count} |" for method, count in chosen.items()]
    scores = result.backtest.pivot_table(index=["unique_id", "origin"], columns="method", values="mase")
    if storage.SELECTED not in scores:
        return "\n".join(lines)
    published = scores[storage.SELECTED]
    lines += ["", f"| backtest by {grain} | mean MASE | published there | forecasts |", "| --- | ---: | ---: | ---: |"]
    for method in scores.columns:
        both = scores[method].notna() & published.notna()
        if both.any():
            own, beside = scores[method][both].mean(), published[both].mean()
            lines.append(f"| {method} | {own:.3f} | {beside:.3f} | {int(both.sum()):,} |")
    return "\n".join(lines)
