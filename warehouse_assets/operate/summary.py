"""What a run prints at its end. Every figure is read from the warehouse or the run; nothing is computed here."""

from rich.console import Console
from rich.table import Table

from warehouse_assets.database.connections import Databases, connect
from warehouse_assets.operate.launch import RunOutcome
from warehouse_assets.operate.status import read_models, read_tables

_SHOWN_CHECKS = 12

_FORECASTS = """
    select metric, grain, count(distinct series_id), count(*), max(target_date)
    from ml.forecast f
    where origin_date = (select max(origin_date) from ml.forecast x where x.series_id = f.series_id)
    group by metric, grain
    order by grain, metric
"""
_CHURN = """
    select
        count(*),
        round(avg(churn_probability)::numeric, 3),
        count(*) filter (where risk_tier in ('high', 'critical'))
    from ml.churn_prediction
    where as_of = (select max(as_of) from ml.churn_prediction)
"""


def print_summary(console: Console, databases: Databases, outcome: RunOutcome, seconds: float) -> None:
    """Print rows per warehouse, scores, forecasts, checks, seconds and what to do next."""
    with connect(databases.warehouse, application_name="warehouse run") as connection:
        tables, models = read_tables(connection), read_models(connection)
        forecasts = connection.execute(_FORECASTS).fetchall()
        churn = connection.execute(_CHURN).fetchone()

    rows = Table(title="Rows per warehouse", title_justify="left")
    rows.add_column("table")
    rows.add_column("rows", justify="right")
    rows.add_column("MiB", justify="right")
    for schema in ("raw", "quarantine"):
        of_schema = [table for table in tables if table.table.startswith(f"{schema}.")]
        rows.add_row(
            f"{schema} ({len(of_schema)} tables)",
            f"{sum(table.rows for table in of_schema):,}",
            f"{sum(table.bytes for table in of_schema) / 2**20:,.0f}",
        )
    for table in tables:
        if table.table.startswith(("marts.", "features.")):
            rows.add_row(table.table, f"{table.rows:,}", f"{table.bytes / 2**20:,.0f}")
    console.print(rows)

    for model in models:
        scores = ", ".join(f"{name} {value:.3f}" for name, value in model.metrics.items() if isinstance(value, float))
        console.print(f"Model {model.model} version {model.version}: {scores}", highlight=False)
    if churn and churn[0]:
        console.print(
            f"Churn: {churn[0]:,} customers scored, mean probability {churn[1]}, {churn[2]:,} at high risk",
            highlight=False,
        )
    else:
        console.print("Churn: no predictions (the asset ml/churn_model says why)", highlight=False)
    for metric, grain, series, points, until in forecasts:
        console.print(f"Forecast {metric} by {grain}: {series} series, {points:,} points to {until}", highlight=False)
    if not forecasts:
        console.print("Forecast: no series to forecast", highlight=False)

    console.print(
        f"Checks: {outcome.checks_passed} passed, {len(outcome.checks_warned)} warned, "
        f"{len(outcome.checks_failed)} failed",
        highlight=False,
    )
    for name in [*outcome.checks_failed, *outcome.checks_warned][:_SHOWN_CHECKS]:
        console.print(f"  {'FAILED' if name in outcome.checks_failed else 'warned'}  {name}", highlight=False)
    for failure in outcome.failures:
        console.print(f"FAILED  {failure}", highlight=False)
    console.print(
        f"Run {outcome.run_id} {'succeeded' if outcome.is_success else 'failed'} after {seconds:.1f} s",
        highlight=False,
    )
    if outcome.is_success:
        console.print(
            "Next: `make ui` shows the graph on http://127.0.0.1:3000 · "
            '`warehouse sql "select * from marts.customer_current limit 5"` · '
            "`warehouse simulate --days 1` and `warehouse run` for the next day",
            highlight=False,
        )
    else:
        console.print("Next: mend what is named above and run again; what was finished is kept.", highlight=False)
