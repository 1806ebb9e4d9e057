"""The SQL of the forecast assets: series in, forecasts and backtests out. No model and no Dagster belong here."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from warehouse_assets.database.copy import copy_frame
from warehouse_assets.errors import UserError

if TYPE_CHECKING:
    from datetime import date

    import pandas as pd

    from warehouse_assets.forecast.model import ForecastResult

SELECTED = "combined"
"""The method of the backtest that is what would have been published."""


@dataclass(frozen=True)
class Grain:
    """One kind of series the warehouse forecasts.

    Attributes:
        name: as in ml.forecast.grain.
        table: table of the features schema, and the dbt model's name.
        freq: the engine's frequency.
        horizon: steps ahead.
    """

    name: str
    table: str
    freq: str
    horizon: int


GRAINS = (Grain("day", "daily_series", "D", 30), Grain("month", "monthly_series", "MS", 12))


def read_series(connection: psycopg.Connection, table: str) -> pd.DataFrame:
    """`features.<table>`: series_id, metric, level, entity_id, ds (datetime64), y (float), by series and date.

    Raises:
        UserError: the table is not there.
    """
    import pandas as pd

    query = sql.SQL("select series_id, metric, level, entity_id, ds, y from {} order by series_id, ds").format(
        sql.Identifier("features", table)
    )
    try:
        rows = connection.execute(query).fetchall()
    except psycopg.errors.UndefinedTable as error:
        raise UserError(f"The table features.{table} does not exist; build the dbt model {table} first.") from error
    frame = pd.DataFrame(rows, columns=["series_id", "metric", "level", "entity_id", "ds", "y"])
    return frame.assign(ds=pd.to_datetime(frame["ds"]), y=frame["y"].astype(float))


def data_hash(frame: pd.DataFrame) -> str:
    """Return a fingerprint of the series, the same for the same rows."""
    import pandas as pd

    rows = pd.util.hash_pandas_object(frame[["series_id", "ds", "y"]], index=False).to_numpy()
    return hashlib.sha256(rows.tobytes()).hexdigest()[:32]


def artifact_of(result: ForecastResult) -> str:
    """Return all fitted parts as one JSON text: LightGBM's own text, Prophet's JSON by series, weights by series."""
    weights = dict(zip(result.selection["unique_id"], map(json.loads, result.selection["weights"]), strict=True))
    return json.dumps({"lightgbm": result.lightgbm_text, "prophet": result.prophet_json, "weights": weights})


def write_forecasts(
    connection: psycopg.Connection,
    grain: Grain,
    series: pd.DataFrame,
    result: ForecastResult,
    model_version_id: int,
    run_id: str | None,
) -> tuple[int, set[date]]:
    """Replace the forecasts made at each series' origin or later, in the open transaction; those of earlier ones stay.

    Of a series that is gone, those go that were made at any of these origins or later.

    Returns the rows written and every target date that was there before or is there now.
    """
    origins = series.groupby("series_id")["ds"].max()
    frame = _forecast_rows(grain, series, origins, result).assign(model_version_id=model_version_id, run_id=run_id)
    made = origins.dt.date
    replaced = connection.execute(
        """
        delete from ml.forecast as present
        where
            grain = %(grain)s
            and origin_date >= %(first)s
            and origin_date >= coalesce(
                (
                    select made.origin_date
                    from unnest(%(series)s::text[], %(origins)s::date[]) as made (series_id, origin_date)
                    where made.series_id = present.series_id
                ),
                %(first)s
            )
        returning target_date
        """,
        {"grain": grain.name, "first": made.min(), "series": list(made.index), "origins": list(made)},
    ).fetchall()
    types = dict.fromkeys(frame.columns, "text") | {
        "target_date": "date",
        "origin_date": "date",
        "forecast": "double precision",
        "forecast_lower": "double precision",
        "forecast_upper": "double precision",
        "interval_level": "integer",
        "model_version_id": "bigint",
    }
    copy_frame(frame, connection, sql.Identifier("ml", "forecast"), types)
    return len(frame), {row[0] for row in replaced} | set(frame["target_date"])


def _forecast_rows(
    grain: Grain, series: pd.DataFrame, origins: pd.Series[pd.Timestamp], result: ForecastResult
) -> pd.DataFrame:
    """Return the rows of `ml.forecast` as far as the forecast itself tells them."""
    import pandas as pd

    names = series.drop_duplicates("series_id").set_index("series_id")[["metric", "level", "entity_id"]]
    frame = result.forecasts.join(names, on="unique_id")
    return pd.DataFrame(
        {
            "series_id": frame["unique_id"],
            "metric": frame["metric"],
            "grain": grain.name,
            "level": frame["level"],
            "entity_id": frame["entity_id"].where(frame["level"] != "company", None),
            "target_date": frame["ds"].dt.date,
            "origin_date": frame["unique_id"].map(origins).dt.date,
            "forecast": frame["yhat"],
            "forecast_lower": frame["yhat_lower"],
            "forecast_upper": frame["yhat_upper"],
            "interval_level": int(result.parameters["level"]),
            "method": frame["method"],
        }
    )


def write_backtest(connection: psycopg.Connection, grain: Grain, result: ForecastResult, run_id: str | None) -> int:
    """Replace the backtest rows of the same series and origins, in the open transaction; return the rows written."""
    scores = result.backtest
    frame = scores.rename(columns={"unique_id": "series_id", "origin": "origin_date"}).assign(
        origin_date=scores["origin"].dt.date if len(scores) else scores["origin"],
        horizon=grain.horizon,
        is_selected=scores["method"] == SELECTED,
        run_id=run_id,
    )
    connection.execute(
        "delete from ml.forecast_backtest where series_id = any(%s) and origin_date = any(%s)",
        (sorted(set(frame["series_id"])), sorted(set(frame["origin_date"]))),
    )
    types = {
        "series_id": "text",
        "origin_date": "date",
        "method": "text",
        "horizon": "integer",
        "mase": "double precision",
        "mae": "double precision",
        "smape": "double precision",
        "coverage": "double precision",
        "is_selected": "boolean",
        "run_id": "text",
    }
    if len(frame):
        copy_frame(frame, connection, sql.Identifier("ml", "forecast_backtest"), types)
    return len(frame)


def table_rows(connection: psycopg.Connection, table: str) -> int:
    """Count the rows of a table, such as ``ml.forecast``."""
    query = sql.SQL("select count(*) from {}").format(sql.Identifier(*table.split(".")))
    row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0
