"""What a run prints at its end. Every figure is read from the warehouse or the run; nothing is computed here."""

import json
from typing import Any

from rich.console import Console
from rich.table import Table

from warehouse_assets.commands.launch import RunOutcome
from warehouse_assets.commands.status import TableStatus, read_checks, read_models, read_tables
from warehouse_assets.commands.status_told import scores_in_words
from warehouse_assets.database.connections import connect
from warehouse_assets.database.databases import Databases
from warehouse_assets.source.profiles.choice import DEFAULT_PROFILE, stored_profile

_SHOWN_CHECKS = 12

_FORECASTS = """
    with latest as (
        select *
        from ml.forecast as f
        where origin_date = (select max(origin_date) from ml.forecast as x where x.series_id = f.series_id)
    ),

    history as (
        select 'day' as grain, metric, ds, y from features.daily_series where level = 'company'
        union all
        select 'month', metric, ds, y from features.monthly_series where level = 'company'
    ),

    ahead as (
        select
            metric,
            grain,
            count(distinct series_id) as series,
            count(distinct target_date) as steps,
            max(target_date) as until,
            sum(forecast) filter (where level = 'company') as company,
            max(origin_date) filter (where level = 'company') as origin_date
        from latest
        group by metric, grain
    )

    select
        metric, grain, series, steps, until, company, before.y,
        case when origin_date < max(origin_date) over (partition by grain) then origin_date end
    from ahead
    cross join lateral (
        select case when count(*) = ahead.steps then sum(y) end as y
        from (
            select y
            from history
            where history.metric = ahead.metric and history.grain = ahead.grain and ds <= ahead.origin_date
            order by ds desc
            limit ahead.steps
        ) as as_many
    ) as before
    order by grain, metric
"""
# a first run that fails early has not made what the forecasts are told beside
_HAS_HISTORY = """
    select to_regclass('features.daily_series') is not null and to_regclass('features.monthly_series') is not null
"""
_CHURN = """
    select
        count(*),
        round(avg(churn_probability)::numeric, 3),
        count(*) filter (where risk_tier in ('high', 'critical'))
    from ml.churn_prediction
    where as_of = (select max(as_of) from ml.churn_prediction)
"""
_MADE = """
    select distinct asset_key from event_logs where run_id = %s and dagster_event_type = 'ASSET_MATERIALIZATION'
"""
# what the churn model's asset last said of itself, but that nothing had changed
_CHURN_STATE = """
    select state -> 'entry_data' ->> 'text'
    from event_logs
    cross join lateral jsonb_path_query(
        event::jsonb,
        '$.dagster_event.event_specific_data.materialization.metadata_entries[*] ? (@.label == "state")'
    ) as state
    where asset_key = '["ml", "churn_model"]'
        and dagster_event_type = 'ASSET_MATERIALIZATION'
        and state -> 'entry_data' ->> 'text' not like 'unchanged%'
    order by id desc
    limit 1
"""
_PLANNED_CHECKS = """
    select count(*) from event_logs where run_id = %s and dagster_event_type = 'ASSET_CHECK_EVALUATION_PLANNED'
"""


def churn_line(customers: int, mean: Any, at_risk: int, *, is_made: bool, why_none: str = "") -> str:
    """What there is of churn predictions; ``is_made`` tells whether this run made them or found nothing to change."""
    if customers:
        earlier = "" if is_made else ", by an earlier run"
        return f"Churn: {customers:,} customers scored, mean probability {mean}, {at_risk:,} at high risk{earlier}"
    return f"Churn: no predictions. {why_none}" if is_made else "Churn: not reached in this run"


def forecast_lines(forecasts: list[tuple[Any, ...]], *, is_made: bool) -> list[str]:
    """What there is of forecasts, a line for each metric and grain; ``is_made`` as for :func:`churn_line`."""
    if not forecasts:
        return [f"Forecast: {'no series to forecast' if is_made else 'not reached in this run'}"]
    earlier = "" if is_made else ", by an earlier run"
    lines = []
    for metric, grain, series, steps, until, company, before, known_until in forecasts:
        line = f"Forecast {metric} by {grain}: {series} series to {until}{earlier}"
        if company is not None:
            line += f"; company {company:,.0f} in {steps} {grain}s"
        if before is not None:
            line += f", {before:,.0f} in the {steps} before"
        if known_until is not None:
            line += f" (its facts end on {known_until})"
        lines.append(line)
    return lines


def checks_line(outcome: RunOutcome, planned: int) -> str:
    """How the checks ended. A run that succeeds makes all ``planned`` ones but those that wait for another run."""
    passed, warned, failed = outcome.checks_passed, len(outcome.checks_warned), len(outcome.checks_failed)
    line = f"Checks: {passed} passed, {warned} warned, {failed} failed"
    waiting = planned - passed - warned - failed
    if not outcome.is_success or waiting <= 0:
        return line
    return f"{line}, {waiting} waiting for a run of `everything` (the run's log in the UI says for which model)"


def next_step(is_success: bool, is_simulated: bool) -> str:
    """What to do after a run, by what the warehouse is filled from."""
    if not is_success:
        return "Next: mend what is named above and run again; what was finished is kept."
    again = (
        "`warehouse simulate --days 1` and `warehouse run` for the next day"
        if is_simulated
        else "`warehouse run` again when your source has new data"
    )
    look = '`warehouse sql "select * from marts.customer_current limit 5"`'
    return f"Next: `warehouse ui` shows the graph on http://127.0.0.1:3000 · {look} · {again}"


def _rows_shown(tables: list[TableStatus]) -> Table:
    """Rows and bytes: of raw and quarantine in all, of marts and features by table."""
    shown = Table(title="Rows per warehouse", title_justify="left")
    shown.add_column("table")
    shown.add_column("rows", justify="right")
    shown.add_column("MiB", justify="right")
    for schema in ("raw", "quarantine"):
        of_schema = [table for table in tables if table.table.startswith(f"{schema}.")]
        shown.add_row(
            f"{schema} ({len(of_schema)} tables)",
            f"{sum(table.rows for table in of_schema):,}",
            f"{sum(table.bytes for table in of_schema) / 2**20:,.0f}",
        )
    for table in tables:
        if table.table.startswith(("marts.", "features.")):
            shown.add_row(table.table, f"{table.rows:,}", f"{table.bytes / 2**20:,.0f}")
    return shown


def print_summary(console: Console, databases: Databases, outcome: RunOutcome, seconds: float) -> None:
    """Print rows per warehouse, scores, forecasts, checks, seconds and what to do next."""
    with connect(databases.warehouse, application_name="warehouse run") as connection:
        tables, models = read_tables(connection), read_models(connection)
        ((has_history,),) = connection.execute(_HAS_HISTORY).fetchall()
        forecasts = connection.execute(_FORECASTS).fetchall() if has_history else []
        (churn,) = connection.execute(_CHURN).fetchall()
        profile = stored_profile(connection)
    with connect(databases.dagster, application_name="warehouse run") as connection:
        made = {"/".join(json.loads(key)) for (key,) in connection.execute(_MADE, [outcome.run_id])}
        churn_state = connection.execute(_CHURN_STATE).fetchone()
        ((planned,),) = connection.execute(_PLANNED_CHECKS, [outcome.run_id]).fetchall()
    reasons = {check.check: check.reason for check in read_checks(databases.dagster)}

    console.print(_rows_shown(tables))
    for model in models:
        console.print(f"Model {model.model} version {model.version}: {scores_in_words(model.metrics)}", highlight=False)
    why_none = churn_state[0] if churn_state else ""
    console.print(churn_line(*churn, is_made="ml/churn_prediction" in made, why_none=why_none), highlight=False)
    for line in forecast_lines(forecasts, is_made="ml/forecast" in made):
        console.print(line, highlight=False)

    for note in outcome.notes:
        console.print(f"Note: {note}", highlight=False)
    console.print(checks_line(outcome, planned), highlight=False)
    for name in [*outcome.checks_failed, *outcome.checks_warned][:_SHOWN_CHECKS]:
        result = "FAILED" if name in outcome.checks_failed else "warned"
        reason = f": {reasons[name]}" if reasons.get(name) else ""
        console.print(f"  {result}  {name}{reason}", highlight=False)
    for failure in outcome.failures:
        console.print(f"FAILED  {failure}", highlight=False)
    console.print(
        f"Run {outcome.run_id} {'succeeded' if outcome.is_success else 'failed'} after {seconds:.1f} s",
        highlight=False,
    )
    is_simulated = databases.planted is not None and profile is not None and profile[0] == DEFAULT_PROFILE
    console.print(next_step(outcome.is_success, is_simulated), highlight=False)
