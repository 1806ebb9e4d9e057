"""Forecasts written to a real warehouse database: what stands there after one run, a rerun, a later day."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from unittest.mock import Mock

import numpy as np
import pandas as pd
import psycopg
import pytest

from warehouse_assets.errors import UserError
from warehouse_assets.extract.state import mark_changed
from warehouse_assets.forecast.service import (
    LATE_DAYS,
    PAUSE_DAYS,
    forecast_warehouse,
    method_table,
    since_pause,
    without_late_days,
)

DAILY = [("tons/company/company", "tons", "company", "company"), ("lifts/depot/D1", "lifts", "depot", "D1")]


def put(connection: psycopg.Connection, days: int, months: int) -> None:
    """Fill both feature tables with so many days and months from the start of 2024, and say that they moved."""
    rng = np.random.default_rng(1)
    connection.execute("create schema if not exists features")
    for table in ("daily_series", "monthly_series"):
        connection.execute(f"drop table if exists features.{table}")
        connection.execute(
            f"create table features.{table} "
            "(series_id text, metric text, level text, entity_id text, ds date, y double precision)"
        )
    week = np.array([1.0, 1.1, 0.9, 1.0, 1.3, 0.5, 0.0])
    for number, key in enumerate(DAILY):
        for position, day in enumerate(pd.date_range("2024-01-01", periods=400)):
            y = float(100 * (number + 1) * week[day.day_of_week] * rng.lognormal(0, 0.1))
            if position < days:
                connection.execute("insert into features.daily_series values (%s, %s, %s, %s, %s, %s)", (*key, day, y))
    for position, month in enumerate(pd.date_range("2022-01-01", periods=months, freq="MS")):
        row = ("revenue_usd/company/company/month", "revenue_usd", "company", "company", month, 1000.0 + position)
        connection.execute("insert into features.monthly_series values (%s, %s, %s, %s, %s, %s)", row)
    for table in ("daily_series", "monthly_series"):
        mark_changed(connection, table, [])


@pytest.fixture
def connection(warehouse_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(warehouse_url) as opened:
        put(opened, 300, 30)
        yield opened


# Regression: both looked whether anything had changed before either had registered its version.
def test_of_two_runs_at_once_one_forecasts(connection: psycopg.Connection, warehouse_url: str) -> None:
    connection.commit()

    def run(number: int) -> str:
        with psycopg.connect(warehouse_url) as own:
            return forecast_warehouse(own, f"run-{number}").state

    with ThreadPoolExecutor(2) as pool:
        states = sorted(pool.map(run, range(2)))
    assert states == ["day forecast; month forecast", "unchanged"]
    versions = connection.execute("select model, count(*) from ml.model_version group by model").fetchall()
    assert dict(versions) == {"forecast_day": 1, "forecast_month": 1}


def test_forecasts_are_written_registered_and_marked(connection: psycopg.Connection) -> None:
    outcome = forecast_warehouse(connection, "run-1")
    assert outcome.state == "day forecast; month forecast"
    rows = connection.execute(
        "select grain, count(*), count(distinct series_id), min(target_date - origin_date), max(interval_level) "
        "from ml.forecast group by grain order by grain"
    ).fetchall()
    assert rows[0] == ("day", 60, 2, 1, 90)
    assert rows[1][:3] == ("month", 12, 1)
    first = connection.execute("select min(target_date) from ml.forecast where grain = 'month'").fetchone()
    assert str(first[0]) == "2024-07-01"
    nulls = connection.execute("select level, bool_and(entity_id is null) from ml.forecast group by level").fetchall()
    assert dict(nulls) == {"company": True, "depot": False}
    tested = connection.execute(
        "select count(distinct method), bool_or(is_selected), max(coverage) from ml.forecast_backtest"
    ).fetchone()
    assert tested[0] >= 6
    assert tested[1] is True
    assert 0 < tested[2] <= 1
    artifact, metrics, features = connection.execute(
        "select artifact, metrics, features from ml.model_version where model = 'forecast_day' and is_champion"
    ).fetchone()
    kept = json.loads(artifact)
    assert kept["lightgbm"].startswith("tree")
    assert set(kept["weights"]) == {key[0] for key in DAILY}
    assert metrics["mase"] < metrics["mase_seasonal_naive"]
    assert {"name": "phase_7", "dtype": "float64"} in features
    dirty = connection.execute("select count(*) from etl.dirty_day where source_table = 'ml.forecast'").fetchone()
    assert dirty[0] == 30 + 12 - 1  # the days of November 2024 hold one of the twelve months' firsts
    assert "| lightgbm |" in outcome.table


# Regression: one load dated 1996 made a series of decades of zeros, which the models were trained on.
def test_history_before_a_pause_of_years_is_left_out(connection: psycopg.Connection) -> None:
    forecast_warehouse(connection, None)
    with_typo, other = (key[0] for key in DAILY)
    query = "select target_date, forecast from ml.forecast where series_id = %s order by 1"
    before = {name: connection.execute(query, [name]).fetchall() for name in (with_typo, other)}
    for day in pd.date_range("1996-05-06", "2023-12-31"):
        row = (*DAILY[0], day, 12.5 if day.year == 1996 else 0)
        connection.execute("insert into features.daily_series values (%s, %s, %s, %s, %s, %s)", row)
    mark_changed(connection, "daily_series", [])
    assert forecast_warehouse(connection, None).state == "day unchanged; month unchanged"
    assert {name: connection.execute(query, [name]).fetchall() for name in before} == before


@pytest.mark.parametrize(("pause", "first"), [(PAUSE_DAYS, 0), (PAUSE_DAYS + 1, PAUSE_DAYS + 1)])
def test_a_pause_is_longer_than_two_years(pause: int, first: int) -> None:
    days = pd.date_range("2020-01-01", periods=pause + 10)
    series = pd.DataFrame({"series_id": "a", "ds": days, "y": np.where(np.arange(len(days)) % pause == 0, 1.0, 0.0)})
    other = series.assign(series_id="b", y=1.0)
    kept = since_pause(pd.concat([series, other]))
    assert kept[kept["series_id"] == "a"]["ds"].min() == days[first]
    assert len(kept[kept["series_id"] == "b"]) == len(days)


EVERY_DAY, WORKING_DAYS, ONCE_A_MONTH = [1.0] * 28, ([1.0] * 5 + [0.0] * 2) * 4, [1.0] + [0.0] * 27


# The days begin on a Monday.
@pytest.mark.parametrize(
    ("weeks", "known", "idle", "is_late"),
    [
        (EVERY_DAY, 280, 1, True),
        (EVERY_DAY, 280, LATE_DAYS, True),
        (EVERY_DAY, 280, LATE_DAYS + 1, False),
        (EVERY_DAY, 14, 1, False),
        (WORKING_DAYS, 278, 2, False),
        (WORKING_DAYS, 278, 3, True),
        (ONCE_A_MONTH, 281, 27, False),
    ],
)
def test_idle_days_at_the_end_are_late_ones_where_they_are_rare(
    weeks: list[float], known: int, idle: int, is_late: bool
) -> None:
    days = pd.date_range("2024-01-01", periods=known + idle)
    y = np.concatenate([np.resize(weeks, known), np.zeros(idle)])
    late = pd.DataFrame({"series_id": "tons/depot/D1", "metric": "tons", "ds": days, "y": y})
    whole = late.assign(series_id="lifts/depot/D1", metric="lifts", y=1.0)
    closed = late.assign(series_id="lifts/depot/D2", metric="lifts", y=np.where(np.arange(len(days)) < 5, 1.0, 0.0))
    frame, told = without_late_days(pd.concat([late, whole, closed]))
    assert told == ({"tons": days[known - 1]} if is_late else {})
    kept = pd.concat([late.head(known) if is_late else late, whole, closed])
    pd.testing.assert_frame_equal(frame, kept)


# Regression: loads that came a fortnight late were a fortnight without work, and the forecast none for a month.
def test_facts_that_come_late_are_no_days_without_work(connection: psycopg.Connection) -> None:
    forecast_warehouse(connection, None)
    query = (
        "select min(target_date)::text, max(target_date)::text, "
        "sum(forecast) filter (where target_date > '2024-10-26') "
        "from ml.forecast where metric = 'tons' and origin_date = %s"
    )
    _, _, known = connection.execute(query, ["2024-10-26"]).fetchone() or (0, 0, 0)
    connection.execute("update features.daily_series set y = 0 where metric = 'tons' and ds > '2024-10-12'")
    mark_changed(connection, "daily_series", [])
    assert forecast_warehouse(connection, None).state == "tons known until 2024-10-12; day forecast; month unchanged"
    first, last, late = connection.execute(query, ["2024-10-12"]).fetchone() or ("", "", 0)
    assert (first, last) == ("2024-10-13", "2024-11-11")
    assert late == pytest.approx(known * 16 / 30, rel=0.15)
    assert connection.execute(query, ["2024-10-26"]).fetchone() == (None, None, None)


# Regression: means of different origins stood side by side, by which what was published was worse than what was not.
def test_methods_are_compared_where_both_were_scored() -> None:
    scores = [("a", 1, "naive", 3.0), ("a", 2, "naive", 1.0), ("a", 2, "combined", 0.5), ("b", 2, "ets", 9.0)]
    result = Mock(
        selection=pd.DataFrame({"method": ["blend", "naive", "blend"]}),
        backtest=pd.DataFrame(scores, columns=["unique_id", "origin", "method", "mase"]),
    )
    assert method_table("day", result).splitlines() == [
        "| chosen by day | series |",
        "| --- | ---: |",
        "| blend | 2 |",
        "| naive | 1 |",
        "",
        "| backtest by day | mean MASE | published there | forecasts |",
        "| --- | ---: | ---: | ---: |",
        "| combined | 0.500 | 0.500 | 1 |",
        "| naive | 1.000 | 0.500 | 1 |",
    ]


def test_unmoved_inputs_do_nothing_and_unmoved_values_forecast_nothing(connection: psycopg.Connection) -> None:
    forecast_warehouse(connection, None)
    assert forecast_warehouse(connection, None).state == "unchanged"
    mark_changed(connection, "daily_series", [])
    assert forecast_warehouse(connection, None).state == "day unchanged; month unchanged"
    assert connection.execute("select count(*) from ml.model_version").fetchone() == (2,)


def test_a_rerun_replaces_and_a_new_day_adds(connection: psycopg.Connection) -> None:
    forecast_warehouse(connection, None)
    before = connection.execute("select * from ml.forecast_backtest order by 1, 2, 3").fetchall()
    forecast_warehouse(connection, None, force=True)
    assert connection.execute("select count(*) from ml.forecast").fetchone() == (72,)
    after = connection.execute("select * from ml.forecast_backtest order by 1, 2, 3").fetchall()
    assert [row[:8] for row in before] == [row[:8] for row in after]
    put(connection, 301, 30)
    assert forecast_warehouse(connection, None).state == "day forecast; month unchanged"
    origins = connection.execute(
        "select count(distinct origin_date), count(*) from ml.forecast where grain = 'day'"
    ).fetchone()
    assert origins == (2, 120)


def test_a_series_that_ends_before_another_keeps_none_of_its_later_forecasts_and_all_of_the_others(
    connection: psycopg.Connection,
) -> None:
    forecast_warehouse(connection, None)
    put(connection, 301, 30)
    forecast_warehouse(connection, None)
    put(connection, 302, 30)
    connection.execute("delete from features.daily_series where metric = 'lifts' and ds > date '2024-01-01' + 299")
    forecast_warehouse(connection, None)
    origins = connection.execute(
        "select metric, array_agg(distinct origin_date - date '2024-01-01') from ml.forecast "
        "where grain = 'day' group by metric"
    ).fetchall()
    assert dict(origins) == {"tons": [299, 300, 301], "lifts": [299]}


# Regression: the forecast launched alone, without the checks of its input, forecast from a broken row.
@pytest.mark.parametrize("y", [None, 1e13, float("nan"), float("-inf")])
def test_a_row_that_cannot_be_true_leaves_the_forecasts_as_they_were(
    connection: psycopg.Connection, y: float | None
) -> None:
    forecast_warehouse(connection, "run-1")
    before = connection.execute("select * from ml.forecast order by series_id, target_date").fetchall()
    connection.execute(
        "update features.daily_series set y = %s where series_id = 'lifts/depot/D1' and ds = '2024-03-04'", (y,)
    )
    mark_changed(connection, "daily_series", [])
    with pytest.raises(UserError, match=r"daily_series .*series_id=lifts/depot/D1 ds=2024-03-04\); correct"):
        forecast_warehouse(connection, "run-2")
    assert connection.execute("select * from ml.forecast order by series_id, target_date").fetchall() == before != []


def test_no_series_is_an_outcome_and_no_table_a_sentence(connection: psycopg.Connection) -> None:
    connection.execute("truncate features.daily_series, features.monthly_series")
    outcome = forecast_warehouse(connection, None)
    assert outcome.state.startswith("no forecasts by day: features.daily_series has no rows")
    connection.execute("drop table features.daily_series")
    with pytest.raises(UserError, match=r"features\.daily_series does not exist; build the dbt model"):
        forecast_warehouse(connection, None, force=True)
