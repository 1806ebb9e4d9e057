"""Asset checks of the raw tables, from the contract: one query for all tables of a system, one more for rules.

Rules on single rows are applied while loading; here is what only the loaded table can show.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import psycopg
from dagster import AssetCheckKey, AssetCheckResult, AssetCheckSeverity, AssetCheckSpec, AssetKey
from psycopg import sql

from warehouse_assets.extract import ddl, names
from warehouse_assets.extract.days import business_day
from warehouse_assets.extract.record import TableLoad
from warehouse_assets.source.contract import Contract, Table

MATCHES_SOURCE = "matches_source"
FRESH_AND_FULL = "fresh_and_full"

#: Tables whose rows train or feed a model: broken ones stop what follows.
MODEL_TABLES = frozenset({
    "customers", "service_agreements", "service_agreement_prices", "service_tickets", "surveys", "invoices",
    "invoice_lines", "payments", "expenses", "routes", "route_runs", "route_stops", "loads", "vehicles",
    "service_orders", "portal_sessions", "portal_events",
})  # fmt: skip
#: Tables that grow every working day; fresh while their latest business day is at most this far behind the latest of
#: all of them. Three days bridge a weekend.
DAILY_TABLES = frozenset({
    "loads", "portal_events", "portal_sessions", "route_runs", "route_stops", "shifts", "vehicle_telemetry", "weather",
})  # fmt: skip
FRESH_WITHIN = timedelta(days=3)
#: Share of a table's rows in quarantine above which the source, not the row, is suspect.
QUARANTINE_SHARE = 0.05
#: Tables up to this many rows are searched whole for rows that break a rule; of larger ones this many latest days,
#: which hold what features look back on and what has come since.
SEARCHED_ROWS = 5_000_000
SEARCHED_DAYS = 180
_SHOWN = 5


def asset_key(table: str) -> AssetKey:
    """The asset key of a raw table."""
    return AssetKey(["raw", table])


def check_specs(tables: Sequence[Table]) -> list[AssetCheckSpec]:
    """The checks of the tables: ``matches_source`` (an error; stops models) and ``fresh_and_full`` (a warning)."""
    specs = []
    for table in tables:
        feeds_models = table.name in MODEL_TABLES
        specs.append(
            AssetCheckSpec(
                MATCHES_SOURCE,
                asset=asset_key(table.name),
                blocking=feeds_models,
                description=(
                    "Contracted columns, types and key are there, and every source row read is in raw or in quarantine"
                    + ("; no row of raw breaks a rule of severity error." if feeds_models else ".")
                ),
            )
        )
        specs.append(
            AssetCheckSpec(
                FRESH_AND_FULL,
                asset=asset_key(table.name),
                description=(
                    f"A table that grows daily is at most {FRESH_WITHIN.days} days behind the others, none has lost "
                    f"half of its rows in a week, and at most {QUARANTINE_SHARE:.0%} of them are in quarantine."
                ),
            )
        )
    return specs


def evaluate(
    connection: psycopg.Connection,
    contract: Contract,
    loads: Mapping[str, TableLoad],
    selected: Collection[AssetCheckKey],
    time_zone: str,
) -> Iterator[AssetCheckResult]:
    """Evaluate the selected checks of the loaded tables.

    Args:
        connection: a connection to the warehouse.
        contract: the contract.
        loads: what the extraction just did, by table.
        selected: the checks asked for.
        time_zone: the company's, in which business days are told.
    """
    newest = _newest_day(connection)
    most = _most_rows(connection, list(loads))
    for name, load in loads.items():
        key = asset_key(name)
        table = contract.table(name)
        if AssetCheckKey(key, MATCHES_SOURCE) in selected:
            problems, shown = _unlike_source(connection, table, load, time_zone)
            yield AssetCheckResult(
                passed=not problems,
                asset_key=key,
                check_name=MATCHES_SOURCE,
                severity=AssetCheckSeverity.ERROR,
                description="; ".join(problems) or None,
                metadata={
                    "rows_extracted": load.rows_extracted,
                    "rows_raw": load.rows_raw,
                    "rows_quarantined": load.rows_quarantined,
                    **shown,
                },
            )
        if AssetCheckKey(key, FRESH_AND_FULL) in selected:
            problems = _stale_or_lost(load, newest, most.get(name))
            yield AssetCheckResult(
                passed=not problems,
                asset_key=key,
                check_name=FRESH_AND_FULL,
                severity=AssetCheckSeverity.WARN,
                description="; ".join(problems) or None,
                metadata={
                    "rows_raw": load.rows_raw,
                    "rows_quarantined": load.rows_quarantined,
                    **({"latest_day": str(load.latest_day)} if load.latest_day else {}),
                },
            )


def unread(loads: Iterable[TableLoad], selected: Collection[AssetCheckKey]) -> Iterator[AssetCheckResult]:
    """Say of each table that could not be extracted that it does not match its source, and why."""
    for load in loads:
        key = asset_key(load.table)
        if load.status == "failed" and AssetCheckKey(key, MATCHES_SOURCE) in selected:
            yield AssetCheckResult(
                passed=False,
                asset_key=key,
                check_name=MATCHES_SOURCE,
                severity=AssetCheckSeverity.ERROR,
                description=load.error,
            )


def _newest_day(connection: psycopg.Connection) -> date | None:
    """The latest business day of any table that grows daily."""
    row = connection.execute(
        "select max(latest_day) from etl.table_state where source_table = any(%s)", (list(DAILY_TABLES),)
    ).fetchone()
    return row[0] if row else None


def _most_rows(connection: psycopg.Connection, tables: list[str]) -> dict[str, int]:
    """The most rows each table had in the last week, reckoned back through the job log."""
    rows = connection.execute(
        """
        with moves as (
            select source_table, rows_inserted - rows_deleted as gained, job_log_id
            from etl.job_log
            where source_table = any(%(tables)s)
                and status = 'succeeded'
                and finished_at > now() - interval '7 days'
        ),

        since as (
            select source_table, sum(gained) over (partition by source_table order by job_log_id desc) as gained
            from moves
        )

        select state.source_table, state.rows_raw - least(min(since.gained), 0)
        from etl.table_state as state
        left join since on since.source_table = state.source_table
        where state.source_table = any(%(tables)s)
        group by state.source_table, state.rows_raw
        """,
        {"tables": tables},
    )
    return {name: int(count) for name, count in rows}


def _unlike_source(
    connection: psycopg.Connection, table: Table, load: TableLoad, time_zone: str
) -> tuple[list[str], dict[str, Any]]:
    problems = ddl.differences(connection, table)
    settled = load.rows_inserted + load.rows_updated + load.rows_unchanged + load.rows_rejected
    if load.rows_extracted != settled:
        problems.append(f"{load.rows_extracted} rows were read, {settled} are accounted for")
    if problems:
        return problems, {}
    broken = broken_rows(connection, table, load, time_zone)
    if broken:
        problems.append(f"rows of raw.{table.name} break rules: " + "; ".join(broken))
    return problems, {"failing_rows": "; ".join(broken)} if broken else {}


def broken_rows(connection: psycopg.Connection, table: Table, load: TableLoad, time_zone: str) -> list[str]:
    """Up to five live rows of raw that break an error rule, as "rule (key)"; such a row did not come by extraction."""
    rules = [rule for rule in table.all_rules if rule.severity == "error" and rule.expect is not None]
    if not rules or table.name not in MODEL_TABLES:
        return []
    first_rule = sql.SQL("case {} end").format(
        sql.SQL(" ").join(
            sql.SQL("when ({}) is false then {}").format(sql.SQL(rule.expect or "true"), sql.Literal(rule.name))
            for rule in rules
        )
    )
    rows = connection.execute(
        sql.SQL("select {}, concat_ws(', ', {}) from {} where _deleted_at is null and {} and ({}) limit {}").format(
            first_rule,
            names.columns(table.primary_key),
            names.raw(table.name),
            _searched(table, load, time_zone),
            sql.SQL(" or ").join(sql.SQL("({}) is false").format(sql.SQL(rule.expect or "true")) for rule in rules),
            _SHOWN,
        )
    )
    return [f"{rule} ({key})" for rule, key in rows]


def _searched(table: Table, load: TableLoad, time_zone: str) -> sql.Composable:
    """The condition on the rows to search; all where the table is small or has no day of its own."""
    spec = table.business_date
    if load.rows_raw <= SEARCHED_ROWS or load.latest_day is None or spec is None or spec.column is None:
        return sql.SQL("true")
    return sql.SQL("{} > {}").format(
        business_day(table, spec.column, time_zone), sql.Literal(load.latest_day - timedelta(days=SEARCHED_DAYS))
    )


def _stale_or_lost(load: TableLoad, newest: date | None, most: int | None) -> list[str]:
    problems = []
    latest = load.latest_day if load.table in DAILY_TABLES else None
    if latest is not None and newest is not None and newest - latest > FRESH_WITHIN:
        problems.append(f"its latest day is {latest}, that of the other daily tables {newest}")
    if most and load.rows_raw < most / 2:
        problems.append(f"it had {most} rows within the last week and has {load.rows_raw}")
    if load.rows_quarantined > QUARANTINE_SHARE * (load.rows_raw + load.rows_quarantined):
        problems.append(f"{load.rows_quarantined} of its rows are in quarantine, {load.rows_raw} in raw")
    return problems
