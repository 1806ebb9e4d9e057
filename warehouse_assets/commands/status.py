"""What the warehouse holds, read from its control tables and Dagster's; how it is told stands in ``status_told``."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from textwrap import shorten
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from warehouse_assets.database.connections import connect
from warehouse_assets.database.databases import needs_embedded, resolve
from warehouse_assets.database.migrate import current
from warehouse_assets.database.place import data_link, explain
from warehouse_assets.operate.failed_runs import tick_sentence
from warehouse_assets.settings import Settings
from warehouse_assets.transform.project import load_manifest, manifest_path

_REASON_LETTERS = 120
_COUNTED_BYTES = 16 * 2**20


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
    """The last result of one asset check; ``reason`` is one short clause, empty where the check gives none."""

    check: str
    passed: bool
    severity: str
    at: datetime
    reason: str = ""


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
class LastRun:
    """The run of a job that ended last."""

    job: str
    run_id: str
    is_success: bool
    ended_at: datetime
    is_cancelled: bool = False


@dataclass(frozen=True)
class FailedTick:
    """A sensor or schedule whose last tick failed, with the reason; ``kind`` says which of them it is."""

    name: str
    kind: str
    failed_at: datetime
    sentence: str


@dataclass(frozen=True)
class WarehouseStatus:
    """Everything ``warehouse status`` shows."""

    tables: list[TableStatus] = field(default_factory=list)
    checks: list[CheckStatus] = field(default_factory=list)
    models: list[ModelStatus] = field(default_factory=list)
    last_runs: list[LastRun] = field(default_factory=list)
    run_failures: list[RunFailure] = field(default_factory=list)
    failed_ticks: list[FailedTick] = field(default_factory=list)

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
            ) + greatest(c.reltuples, 0) as estimated_rows,
            least(
                case when c.relkind = 'r' then c.reltuples end,
                (
                    select min(p.reltuples)
                    from pg_inherits i join pg_class p on p.oid = i.inhrelid
                    where i.inhparent = c.oid
                )
            ) < 0 as is_never_analysed
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
            case when r.bytes > %s and not r.is_never_analysed then r.estimated_rows end
        )::bigint,
        r.bytes::bigint,
        coalesce(
            t.changed_at,
            t.extracted_at,
            b.built_at,
            case when r.name = 'ml.model_version' then (select max(created_at) from ml.model_version) end
        ),
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


_LAST_RUNS = """
    select distinct on (pipeline_name)
        pipeline_name, run_id, status = 'SUCCESS', to_timestamp(end_time), status = 'CANCELED'
    from runs
    where end_time is not null
    order by pipeline_name, end_time desc
"""

_LAST_TICKS = """
    select distinct on (selector_id) status, type, timestamp at time zone 'utc', tick_body
    from job_ticks
    where status in ('SUCCESS', 'SKIPPED', 'FAILURE')
    order by selector_id, id desc
"""

_RUN_FAILURES = """
    select run_id, job, failed_at, sentence
    from etl.run_failure
    where failed_at > now() - interval '7 days'
    order by failed_at desc
    limit 20
"""


def read_tables(connection: psycopg.Connection) -> list[TableStatus]:
    """Every table of the warehouse; rows are PostgreSQL's estimate where a large table has no count of its own."""
    return [
        TableStatus(name, _count(connection, name) if rows is None else rows, *others)
        for name, rows, *others in connection.execute(_TABLES, [_COUNTED_BYTES]).fetchall()
    ]


def _count(connection: psycopg.Connection, table: str) -> int:
    query = sql.SQL("select count(*) from {}").format(sql.Identifier(*table.split(".", 1)))
    ((rows,),) = connection.execute(query).fetchall()
    return int(rows)


def read_models(connection: psycopg.Connection) -> list[ModelStatus]:
    """The champion of every model."""
    return [ModelStatus(*row) for row in connection.execute(_MODELS)]


def read_checks(dagster_url: str, manifest: Path | None = None) -> list[CheckStatus]:
    """The last result of every asset check, without those of dbt tests and sources that are not in ``manifest``."""
    rows = _read_dagster(dagster_url, "asset_check_executions", _CHECKS)
    is_known = _known_checks(manifest)
    checks = []
    for asset_key, check_name, evaluation, at in rows:
        event = json.loads(evaluation)["dagster_event"]["event_specific_data"] if evaluation else {}
        path = json.loads(asset_key)
        if not is_known(path, check_name, "unique_id" in (event.get("metadata") or {})):
            continue
        checks.append(
            CheckStatus(
                check=f"{'/'.join(path)}: {check_name}",
                passed=bool(event.get("passed", event.get("success", False))),
                severity=str((event.get("severity") or {}).get("__enum__", "")).rpartition(".")[2],
                at=at,
                reason=_reason(event),
            )
        )
    return checks


def read_last_runs(dagster_url: str) -> list[LastRun]:
    """The run of every job that ended last; assets chosen in the UI are a job to Dagster, too."""
    runs = [LastRun(*row) for row in _read_dagster(dagster_url, "runs", _LAST_RUNS)]
    return sorted(runs, key=lambda run: run.ended_at, reverse=True)


def read_failed_ticks(dagster_url: str) -> list[FailedTick]:
    """The sensors and schedules whose last tick failed: an unreachable source starts no run that could fail."""
    failed = []
    for status, kind, at, body in _read_dagster(dagster_url, "job_ticks", _LAST_TICKS):
        if status == "FAILURE":
            stored = json.loads(body)
            failed.append(FailedTick(stored["job_name"], kind.lower(), at, tick_sentence(stored)))
    return sorted(failed, key=lambda tick: tick.failed_at, reverse=True)


def _read_dagster(url: str, table: LiteralString, query: LiteralString) -> list[tuple[Any, ...]]:
    """The rows of a query over a table of Dagster's storage; none where the storage was not made yet."""
    with connect(url, application_name="warehouse status") as connection:
        exists = connection.execute("select to_regclass(%s)", [table]).fetchone()
        if exists is None or exists[0] is None:
            return []
        return connection.execute(query).fetchall()


def _known_checks(manifest: Path | None) -> Callable[[list[str], str, bool], bool]:
    """Whether the project still has a check, by asset key, name and whether dbt ran it."""
    if manifest is None or not manifest.exists():
        return lambda path, name, is_dbt: True
    project = load_manifest(manifest)
    tests = {node["name"] for node in project["nodes"].values() if node["resource_type"] == "test"}
    sources = {source["name"] for source in project["sources"].values()}

    def is_known(path: list[str], name: str, is_dbt: bool) -> bool:
        return name in tests if is_dbt else path[0] != "raw" or path[-1] in sources

    return is_known


def _reason(event: Mapping[str, Any]) -> str:
    """What a check said of its result, else how many rows broke it."""
    rows = (event.get("metadata") or {}).get("dagster_dbt/failed_row_count", {}).get("value")
    said = event.get("description") or (f"{rows:,} failing row{'s' * (rows != 1)}" if rows else "")
    return shorten(said, _REASON_LETTERS, placeholder=" …")


def _is_new(home: Path) -> bool:
    """Whether no embedded server was made in this home."""
    try:
        data_link(home).lstat()
    except FileNotFoundError:
        return True
    except OSError as error:
        raise explain(error, home) from error
    return False


def read_status(settings: Settings) -> WarehouseStatus:
    """Read the status of tables, checks and models; it is empty before the first run, and no server is made for it.

    Raises:
        UserError: a database or the home cannot be used.
    """
    if needs_embedded(settings) and _is_new(settings.home):
        return WarehouseStatus()
    databases = resolve(settings)
    with connect(databases.warehouse, application_name="warehouse status") as connection:
        if current(connection) is None:
            return WarehouseStatus()
        tables, models = read_tables(connection), read_models(connection)
        failures = [RunFailure(*row) for row in connection.execute(_RUN_FAILURES)]
    checks = read_checks(databases.dagster, manifest_path(settings))
    last_runs, failed_ticks = read_last_runs(databases.dagster), read_failed_ticks(databases.dagster)
    return WarehouseStatus(tables, checks, models, last_runs, failures, failed_ticks)
