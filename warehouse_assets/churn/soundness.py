"""What a sound row of `features.customer_month` is, as one table of rules, for Great Expectations and for SQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from warehouse_assets.churn.storage import FEATURES_SCHEMA, FEATURES_TABLE
from warehouse_assets.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

KEY = ("customer_id", "month")
NAMED_ROWS = 10

# Column → lowest and highest value that can be true; null is allowed. Ratios of change have no upper end.
RANGES: dict[str, tuple[float | None, float | None]] = {
    "tenure_months": (0, 1200),
    "mrr_usd": (0, None),
    "overdue_usd": (0, None),
    "overdue_ratio": (0, None),
    "days_past_due_max": (0, None),
    "missed_pickup_ratio_90d": (0, 1),
    "satisfaction_avg_180d": (1, 5),
    "nps_last": (0, 10),
    "discount_ratio": (0, 1),
    "tons_90d": (0, None),
    "lifts_90d": (0, None),
    "missed_pickups_90d": (0, None),
    "complaints_90d": (0, None),
    "portal_sessions_90d": (0, None),
    "mrr_change_90d_ratio": (-1, None),
    "tons_change_90d_ratio": (-1, None),
    "portal_sessions_change_90d_ratio": (-1, None),
}


def feature_expectations(columns: Sequence[str]) -> list[Any]:
    """Great Expectations for a frame of customer-months with these columns: keys, ranges."""
    import great_expectations.expectations as gxe

    rules: list[Any] = [
        gxe.ExpectColumnValuesToNotBeNull(column="customer_id"),
        gxe.ExpectColumnValuesToNotBeNull(column="month"),
        gxe.ExpectCompoundColumnsToBeUnique(column_list=["customer_id", "month"]),
    ]
    return rules + [
        gxe.ExpectColumnValuesToBeBetween(column=column, min_value=low, max_value=high)
        for column, (low, high) in RANGES.items()
        if column in columns
    ]


def unsound_rows(connection: psycopg.Connection) -> list[str]:
    """The first rows of `features.customer_month` with a null key, a key that stands twice or a value out of range.

    The same rules as `feature_expectations`, in one pass of the database; columns that the table lacks are passed over.
    """
    table = sql.Identifier(FEATURES_SCHEMA, FEATURES_TABLE)
    try:
        cursor = connection.execute(sql.SQL("select * from {table} limit 0").format(table=table))
    except psycopg.errors.UndefinedTable as error:
        raise UserError(
            "The table features.customer_month does not exist; build the dbt model customer_month first."
        ) from error
    present = {column.name for column in cursor.description or ()}
    broken: list[sql.Composable] = [sql.SQL("month is null"), sql.SQL("customer_id is null"), sql.SQL("copies > 1")]
    for column, (low, high) in RANGES.items():
        for limit, comparison in ((low, sql.SQL("<")), (high, sql.SQL(">"))):
            if limit is not None and column in present:
                broken.append(sql.SQL(" ").join([sql.Identifier(column), comparison, sql.Literal(limit)]))
    query = sql.SQL("""
        select distinct customer_id, month
        from (select *, count(*) over (partition by customer_id, month) as copies from {table}) as counted
        where {broken}
        order by month desc, customer_id
        limit {limit}
    """).format(broken=sql.SQL(" or ").join(broken), table=table, limit=sql.Literal(NAMED_ROWS))
    return [f"customer_id={customer} month={month}" for customer, month in connection.execute(query)]


def require_sound(connection: psycopg.Connection) -> None:
    """Raise UserError, naming the rows, if any row of `features.customer_month` is not sound."""
    if rows := unsound_rows(connection):
        raise UserError(
            f"features.customer_month has rows that cannot be true ({'; '.join(rows)}"
            f"{' …' if len(rows) == NAMED_ROWS else ''}); correct their source or rebuild the dbt model customer_month."
        )
