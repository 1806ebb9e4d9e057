"""The SQL of the churn assets: features in, predictions out. No model and no Dagster belong here."""

from __future__ import annotations

import math
from datetime import date
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from warehouse_assets.churn.training import MONTH, ChurnModel
from warehouse_assets.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

FEATURES_SCHEMA, FEATURES_TABLE = "features", "customer_month"
_NUMERIC_TYPES = frozenset({"int2", "int4", "int8", "numeric", "float4", "float8"})


def read_customer_months(connection: psycopg.Connection, month: date | None = None) -> pd.DataFrame:
    """`features.customer_month`, all of it or one month, ordered by month and customer.

    Numbers are float64, booleans pandas' nullable boolean, dates datetime64, everything else text, whatever is null.

    Raises:
        UserError: the table is not there.
    """
    import pandas as pd

    query = sql.SQL("select * from {table} {where} order by month, customer_id").format(
        table=sql.Identifier(FEATURES_SCHEMA, FEATURES_TABLE),
        where=sql.SQL("where month = %(month)s") if month else sql.SQL(""),
    )
    try:
        cursor = connection.execute(query, {"month": month})
    except psycopg.errors.UndefinedTable as error:
        raise UserError(
            "The table features.customer_month does not exist; build the dbt model customer_month first."
        ) from error
    rows = cursor.fetchall()
    columns: dict[str, Any] = {}
    for position, column in enumerate(cursor.description or ()):
        values = [row[position] for row in rows]
        kind = connection.adapters.types.get(column.type_code)
        name = kind.name if kind else "text"
        if name in _NUMERIC_TYPES:
            columns[column.name] = pd.array(
                [math.nan if value is None else float(value) for value in values], dtype="float64"
            )
        elif name == "bool":
            columns[column.name] = pd.array(values, dtype="boolean")
        elif name in ("date", "timestamp", "timestamptz"):
            columns[column.name] = pd.to_datetime(pd.Series(values, dtype=object), utc=name == "timestamptz")
        else:
            columns[column.name] = pd.Series(values, dtype=object)
    return pd.DataFrame(columns)


def latest_month(connection: psycopg.Connection) -> date | None:
    """The last month in `features.customer_month`; None while it is empty.

    A customer has a row for a month while an agreement runs on its first day, so this month's rows are the active
    customers.
    """
    query = sql.SQL("select max(month) from {table}").format(table=sql.Identifier(FEATURES_SCHEMA, FEATURES_TABLE))
    row = connection.execute(query).fetchone()
    return row[0] if row else None


def write_predictions(
    connection: psycopg.Connection, scored: pd.DataFrame, model_version_id: int, run_id: str | None
) -> int:
    """Replace the predictions of the one month in ``scored`` (as `training.score` returns), in the open transaction.

    Those of later days go too: a row dated too late had moved the data's clock there, and was corrected. Readers see
    the old rows until the commit. Returns the rows written.
    """
    rows: list[dict[str, Any]] = scored.to_dict(orient="records")  # type: ignore[assignment]  # keys are the column names
    connection.execute(
        "delete from ml.churn_prediction where as_of >= %s", (min((row[MONTH].date() for row in rows), default=None),)
    )
    statement = """
        copy ml.churn_prediction (
            customer_id, as_of, model_version_id, churn_probability, churn_score, risk_tier, factors, reasons,
            suggested_action, run_id
        )
        from stdin
    """
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(
                (
                    row["customer_id"],
                    row[MONTH].date(),
                    model_version_id,
                    float(row["churn_probability"]),
                    round(float(row["churn_score"]), 2),
                    row["risk_tier"],
                    Jsonb(row["factors"]),
                    Jsonb(row["reasons"]),
                    row["suggested_action"],
                    run_id,
                )
            )
    return len(rows)


def feature_list(model: ChurnModel) -> list[dict[str, Any]]:
    """The model's features as `ml.model_version.features` keeps them."""
    return [{"name": feature.name, "dtype": feature.dtype} for feature in model.features]
