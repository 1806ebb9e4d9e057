"""What the warehouse holds, read from its own control tables and Dagster's: `warehouse status` and the summary."""

import json
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

import psycopg
from rich.console import Console
from rich.table import Table

from warehouse_assets.database.connections import Databases, connect


@dataclass(frozen=True)
class TableStatus:
    """One table: ``bytes`` with its indexes, ``updated_at`` when it last changed, ``batch_id`` for raw tables."""

    table: str
    rows: int
    bytes: int
    updated_at: datetime | None
    batch_id: int | None


@dataclass(frozen=True)
class CheckStatus:
    """The last result of one asset check."""

    check: str
    passed: bool
    severity: str
    at: datetime


@dataclass(frozen=True)
class ModelStatus:
    """The champion of one kind of model."""

    model: str
    version: int
    algorithm: str
    created_at: datetime
    metrics: dict[str, Any]


@dataclass(frozen=True)
class RunFailure:
    """A failed run with its reason."""

    run_id: str
    job: str
    failed_at: datetime
    sentence: str


@dataclass(frozen=True)
class WarehouseStatus:
    """Everything ``warehouse status`` shows."""

    tables: list[TableStatus] = field(default_factory=list)
    checks: list[CheckStatus] = field(default_factory=list)
    models: list[ModelStatus] = field(default_factory=list)
    run_failures: list[RunFailure] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """The status as plain values for JSON."""
        return asdict(self)


_TABLES = """
    with relation as (
        select
            n.nspname || '.' || c.relname as name,
            n.nspname as schema_name,
            c.relname,
            c.oid,
            coalesce(
                (select sum(pg_total_relation_size(i.inhrelid)) from pg_inherits i where i.inhparent = c.oid),
                0
            ) + pg_total_relation_size(c.oid) as bytes,
            coalesce(
                (
                    select sum(greatest(p.reltuples, 0))
                    from pg_inherits i join pg_class p on p.oid = i.inhrelid
                    where i.inhparent = c.oid
                ),
                0
            ) + greatest(c.reltuples, 0) as estimated_rows
        from pg_class c
        join pg_namespace n on n.oid = c.relnamespace
        where n.nspname in ('raw', 'quarantine', 'intermediate', 'features', 'marts', 'ml')
        and c.relkind in ('r', 'p')
        and not c.relispartition
    )
    select
        r.name,
        coalesce(
            case when r.schema_name = 'raw' then t.rows_raw end,
            case when r.schema_name = 'quarantine' then t.rows_quarantined end,
            b.rows,
            r.estimated_rows
        )::bigint,
        r.bytes::bigint,
        coalesce(t.changed_at, t.extracted_at, b.built_at),
        t.changed_batch_id
    from relation r
    left join etl.table_state t
        on t.source_table = case when r.schema_name in ('raw', 'quarantine') then r.relname else r.name end
    left join etl.model_build b on b.model = r.relname and r.schema_name in ('intermediate', 'features', 'marts')
    order by
        array_position(array['raw', 'quarantine', 'intermediate', 'features', 'marts', 'ml'], r.schema_name),
        r.name
"""

_CHECKS = """
    select distinct on (asset_key, check_name)
        asset_key, check_name, evaluation_event, create_timestamp at time zone 'utc'
    from asset_check_executions
    where execution_status in ('SUCCEEDED', 'FAILED')
    order by asset_key, check_name, id desc
"""

_MODELS = """
    select model, version, algorithm, created_at, metrics
    from ml.model_version
    where is_champion
    order by model
"""


_RUN_FAILURES = """
    select run_id, job, failed_at, sentence
    from etl.run_failure
    where failed_at > now() - interval '7 days'
    order by failed_at desc
    limit 20
"""


def read_tables(connection: psycopg.Connection) -> list[TableStatus]:
    """Every table of the warehouse; rows are exact where a build or batch counted them, else estimates."""
    return [TableStatus(*row) for row in connection.execute(_TABLES)]


def read_models(connection: psycopg.Connection) -> list[ModelStatus]:
    """The champion of every model."""
    return [ModelStatus(*row) for row in connection.execute(_MODELS)]


def read_checks(dagster_url: str) -> list[CheckStatus]:
    """The last result of every asset check that ever ran."""
    with connect(dagster_url, application_name="warehouse status") as connection:
        exists = connection.execute("select to_regclass('asset_check_executions')").fetchone()
        if exists is None or exists[0] is None:
            return []
        rows = connection.execute(_CHECKS).fetchall()
    checks = []
    for asset_key, check_name, evaluation, at in rows:
        event = json.loads(evaluation)["dagster_event"]["event_specific_data"] if evaluation else {}
        checks.append(
            CheckStatus(
                check=f"{'/'.join(json.loads(asset_key))}: {check_name}",
                passed=bool(event.get("passed", event.get("success", False))),
                severity=str((event.get("severity") or {}).get("__enum__", "")).rpartition(".")[2],
                at=at,
            )
        )
    return checks


def read_status(databases: Databases) -> WarehouseStatus:
    """Read the status of tables, checks and models."""
    with connect(databases.warehouse, application_name="warehouse status") as connection:
        tables, models = read_tables(connection), read_models(connection)
        failures = [RunFailure(*row) for row in connection.execute(_RUN_FAILURES)]
    return WarehouseStatus(tables, read_checks(databases.dagster), models, failures)


def _age(moment: datetime | None) -> str:
    if moment is None:
        return "never"
    minutes = (datetime.now(UTC) - moment).total_seconds() / 60
    if minutes < 90:
        return f"{minutes:.0f} min"
    return f"{minutes / 60:.0f} h" if minutes < 72 * 60 else f"{minutes / 1440:.0f} d"


def print_status(console: Console, status: WarehouseStatus) -> None:
    """Print the status as three tables, then the failed runs of the last seven days."""
    tables = Table(title="Tables", title_justify="left")
    tables.add_column("table")
    for heading in ("rows", "MiB", "age", "batch"):
        tables.add_column(heading, justify="right")
    for table in status.tables:
        batch = "" if table.batch_id is None else str(table.batch_id)
        tables.add_row(table.table, f"{table.rows:,}", f"{table.bytes / 2**20:,.1f}", _age(table.updated_at), batch)
    console.print(tables)

    checks = Table(title="Checks", title_justify="left")
    checks.add_column("result")
    checks.add_column("check", overflow="fold")
    checks.add_column("age", justify="right")
    for check in sorted(status.checks, key=lambda each: (each.passed, each.check)):
        result = "passed" if check.passed else ("warned" if check.severity == "WARN" else "FAILED")
        checks.add_row(result, check.check, _age(check.at))
    console.print(checks)

    models = Table(title="Models", title_justify="left")
    for heading in ("model", "version", "algorithm", "scores", "trained"):
        models.add_column(heading, overflow="fold")
    for model in status.models:
        scores = ", ".join(f"{name} {value:.3f}" for name, value in model.metrics.items() if isinstance(value, float))
        models.add_row(model.model, str(model.version), model.algorithm, scores, _age(model.created_at))
    console.print(models)

    for failure in status.run_failures:
        console.print(f"Failed run {failure.run_id} ({failure.job}, {_age(failure.failed_at)} ago): {failure.sentence}")
