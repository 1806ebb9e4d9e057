"""A simulated company with its warehouse, for the tests of the dbt project. Tests do not belong here.

dbt runs inside this process: starting it once instead of once a build saves 3 s each time.
"""

import json
import os
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from warehouse_assets.database.databases import Databases
from warehouse_assets.database.embedded import EmbeddedServer
from warehouse_assets.extract.load import extract_system
from warehouse_assets.settings import DBT_PROJECT_DIR, Settings
from warehouse_assets.source.contract import Column, Table, load_contract
from warehouse_assets.source.profiles import open_profile
from warehouse_assets.source.simulator import simulate_company
from warehouse_assets.transform.project import dbt_environment

TIME_ZONE = "America/Chicago"
AS_OF = datetime(2025, 6, 20, 20, tzinfo=UTC)


@contextmanager
def environment(changes: Mapping[str, str]) -> Iterator[None]:
    """Set variables of this process for a while."""
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@dataclass
class DbtCompany:
    """Operational database, warehouse and dbt's working folder; ``dbt`` builds, ``extract`` brings raw up to date."""

    operational: str
    warehouse: str
    folder: Path
    project: Path = DBT_PROJECT_DIR
    full_build_above_ratio: float = 100
    chance: random.Random = field(default_factory=lambda: random.Random(5))  # noqa: S311  a repeatable history

    @property
    def settings(self) -> Settings:
        """Settings of a home without a server of its own."""
        return Settings(home=self.folder, threads=2, time_zone=TIME_ZONE)

    def query(self, text: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows of a query on the warehouse; changes are committed."""
        with psycopg.connect(self.warehouse) as connection:
            cursor = connection.execute(text, values or None)  # type: ignore[arg-type]  # text of the test itself
            return cursor.fetchall() if cursor.description else []

    def source(self, text: str, *values: Any) -> None:
        """Change the operational database; foreign keys do not stop orphans from being made."""
        with psycopg.connect(self.operational) as connection:
            connection.execute("set session_replication_role = replica")
            connection.execute(text, values or None)  # type: ignore[arg-type]  # text of the test itself

    def extract(self, *systems: str) -> None:
        """Extract the tables of some systems, or all; deletes are looked for."""
        databases = Databases(self.operational, self.warehouse, self.warehouse, None)
        profile = open_profile("default", {}, self.operational)
        self.query("update etl.table_state set reconciled_at = null")
        for system in systems or load_contract().systems:
            extract_system(databases, self.settings, profile, system)

    def environment(self, **more: str) -> dict[str, str]:
        """The variables dbt reads; as in a run, it writes no manifest and no results."""
        return dbt_environment(self.settings, self.warehouse) | {"DBT_WRITE_JSON": "false"} | more

    def arguments(self, *arguments: str) -> list[str]:
        """A dbt command with this company's folders; days are replaced however many they are."""
        project = ["--project-dir", str(self.project), "--profiles-dir", str(self.project)]
        project += ["--vars", f"{{full_build_above_ratio: {self.full_build_above_ratio}}}"]
        return [*arguments, *project, "--target-path", str(self.folder), "--log-path", str(self.folder), "--quiet"]

    def dbt(self, *arguments: str, **more: str) -> dict[str, str]:
        """Run dbt; return the message of each node by name.

        Raises:
            AssertionError: a node failed; the message is dbt's.
        """
        messages, failed = self.try_dbt(*arguments, **more)
        assert not failed, failed
        return messages

    def try_dbt(self, *arguments: str, **more: str) -> tuple[dict[str, str], dict[str, str]]:
        """Run dbt; return the messages of the nodes that went well and of those that failed, by name."""
        from dbt.cli.main import dbtRunner

        with environment(self.environment(**more)):
            outcome = dbtRunner().invoke(self.arguments(*arguments))
        if outcome.exception is not None:
            raise outcome.exception
        good: dict[str, str] = {}
        bad: dict[str, str] = {}
        for result in getattr(outcome.result, "results", ()):
            if result.node.resource_type == "operation":
                continue  # the hook
            wrong = str(result.status) in ("error", "fail", "runtime error")
            (bad if wrong else good)[result.node.name] = str(result.message)
        return good, bad

    def manifest(self) -> dict[str, Any]:
        """The project as dbt parses it."""
        self.dbt("parse", DBT_WRITE_JSON="true")
        content: dict[str, Any] = json.loads((self.folder / "manifest.json").read_text())
        return content

    def tables(self) -> dict[str, str]:
        """The tables that dbt built, model name → schema."""
        rows = self.query(
            """
            select model, nspname
            from etl.model_build
            inner join pg_class on relname = model and relkind in ('r', 'p') and not relispartition
            inner join pg_namespace on pg_namespace.oid = relnamespace
            where nspname in ('intermediate', 'features', 'marts')
            """
        )
        return dict(rows)

    def keep(self, models: Mapping[str, str]) -> None:
        """Copy tables to schema kept."""
        self.query("drop schema if exists kept cascade; create schema kept")
        for model, schema in models.items():
            copy = sql.SQL("create table kept.{} as table {}")
            with psycopg.connect(self.warehouse) as connection:
                connection.execute(copy.format(sql.Identifier(model), sql.Identifier(schema, model)))

    def differences(self, models: Mapping[str, str]) -> dict[str, Any]:
        """What tables have and their kept copies have not, and the other way round: model → rows of an example."""
        found: dict[str, Any] = {}
        with psycopg.connect(self.warehouse) as connection:
            for model, schema in models.items():
                one_way = sql.SQL(
                    "(select {side} as side, to_jsonb(a) as row from {one} as a "
                    "except all select {side}, to_jsonb(b) from {other} as b)"
                )
                now, kept = sql.Identifier(schema, model), sql.Identifier("kept", model)
                digest = sql.SQL("select count(*), sum(hashtextextended(a::text, 0)) from {} as a")
                if (
                    connection.execute(digest.format(now)).fetchone()
                    == connection.execute(digest.format(kept)).fetchone()
                ):
                    continue  # alike, a second sooner than by comparing rows
                compared = sql.SQL("select * from ({} union all {}) as difference order by row::text limit 4").format(
                    one_way.format(side=sql.Literal("now"), one=now, other=kept),
                    one_way.format(side=sql.Literal("kept"), one=kept, other=now),
                )
                rows = connection.execute(compared).fetchall()
                if rows:
                    found[model] = rows
        return found

    # -- history ---------------------------------------------------------------------------------------

    def change_anything(self, changes: int) -> None:
        """Change, delete and insert rows of random tables, old and new ones, references and days included."""
        tables = [table for table in load_contract() if table.cursor == "updated_at"]
        for _ in range(changes):
            table = self.chance.choice(tables)
            self.chance.choice([self._update, self._update, self._update, self._delete, self._insert])(table)

    def _some_rows(self, table: Table, most: int) -> sql.Composed:
        keys = sql.SQL(", ").join(map(sql.Identifier, table.primary_key))
        return sql.SQL(
            "({keys}) in (select {keys} from {table} order by hashtext(concat({keys}, {salt})) limit {n})"
        ).format(
            keys=keys,
            table=sql.Identifier(table.name),
            salt=sql.Literal(str(self.chance.random())),
            n=sql.Literal(self.chance.randint(1, most)),
        )

    def _value(self, table: Table, column: Column) -> sql.Composable:
        """A new value for a column, as SQL over the row's old one."""
        name = sql.Identifier(column.name)
        if not column.is_required and self.chance.random() < 0.15:
            return sql.SQL("null")
        if column.references:
            target = load_contract().table(column.references)
            return sql.SQL("(select {} from {} order by hashtext({}::text || {}) limit 1)").format(
                sql.Identifier(target.primary_key[0]), sql.Identifier(target.name),
                sql.Identifier(target.primary_key[0]), sql.Literal(str(self.chance.random())),
            )  # fmt: skip
        days = sql.Literal(self.chance.choice([-400, -31, -7, -1, 1, 2, 35]))
        match column.data_type.split("(")[0]:
            case "date":
                return sql.SQL("{} + {}").format(name, days)
            case "timestamptz":
                return sql.SQL("{} + {} * interval '7 hours'").format(name, days)
            case "boolean":
                return sql.SQL("not coalesce({}, false)").format(name)
            case "numeric" | "double precision":
                factor = sql.Literal(self.chance.choice([0, 0.5, 0.9, 1.3]))
                return sql.SQL("round(({} * {})::numeric, 2)").format(name, factor)
            case "integer":
                return sql.SQL("{} + {}").format(name, sql.Literal(self.chance.choice([-1, 1, 3])))
            case "text":
                return sql.SQL(
                    "(select other.{name} from {table} as other order by hashtext(other::text || {salt}) limit 1)"
                ).format(name=name, table=sql.Identifier(table.name), salt=sql.Literal(str(self.chance.random())))
        return name

    def _execute(self, statement: sql.Composed) -> None:
        with psycopg.connect(self.operational) as connection:
            connection.execute("set session_replication_role = replica")
            try:
                connection.execute(statement)
            except (psycopg.errors.UniqueViolation, psycopg.errors.NotNullViolation, psycopg.errors.CheckViolation):
                connection.rollback()  # the source refuses some changes; the history goes on without them

    def _update(self, table: Table) -> None:
        columns = [column for column in table.columns if column.name not in (*table.primary_key, "updated_at")]
        chosen = self.chance.sample(columns, min(len(columns), self.chance.randint(1, 2)))
        values = [sql.SQL("{} = {}").format(sql.Identifier(c.name), self._value(table, c)) for c in chosen]
        self._execute(
            sql.SQL("update {} set {}, updated_at = clock_timestamp() where {}").format(
                sql.Identifier(table.name), sql.SQL(", ").join(values), self._some_rows(table, 5)
            )
        )

    def _delete(self, table: Table) -> None:
        if table.delete_policy == "reconcile":
            name = sql.Identifier(table.name)
            many = sql.SQL("(select count(*) > 9 from {})").format(name)  # an emptied source is refused, rightly
            self._execute(sql.SQL("delete from {} where {} and {}").format(name, self._some_rows(table, 3), many))

    def _insert(self, table: Table) -> None:
        """Copy rows under new keys, with two columns changed."""
        key = table.columns[[column.name for column in table.columns].index(table.primary_key[0])]
        if key.data_type != "text" or key.references:
            return
        changed = self.chance.sample([c.name for c in table.columns if c.name not in table.primary_key], 2)
        salt = sql.Literal(f"-{self.chance.randint(0, 10**9)}")
        values = []
        for column in table.columns:
            if column.name == key.name:
                values.append(sql.SQL("{} || {}").format(sql.Identifier(column.name), salt))
            elif column.name == "updated_at":
                values.append(sql.SQL("clock_timestamp()"))
            elif column.name in changed:
                values.append(sql.SQL("{}").format(self._value(table, column)))
            else:
                values.append(sql.SQL("{}").format(sql.Identifier(column.name)))
        self._execute(
            sql.SQL("insert into {table} ({columns}) select {values} from {table} where {some}").format(
                table=sql.Identifier(table.name),
                columns=sql.SQL(", ").join(sql.Identifier(name) for name in table.column_names),
                values=sql.SQL(", ").join(values),
                some=self._some_rows(table, 3),
            )
        )

    def forecast_anything(self, rows: int) -> None:
        """Write forecasts as the forecast assets do: with the days they touch, in one batch."""
        for _ in range(rows):
            metric = self.chance.choice(["tons", "lifts", "tickets", "revenue_usd", "cost_usd"])
            back, ahead = self.chance.randint(0, 20), self.chance.randint(1, 30)
            self.query(
                """
                with depot as (
                    select depot_id from raw.depots order by hashtext(depot_id || %(salt)s) limit 1
                ),
                batch as (select nextval('etl.batch_id') as batch_id),
                clock as (select max(latest_day) - %(back)s::integer as day from etl.table_state),
                written as (
                    insert into ml.forecast (
                        series_id, metric, grain, level, entity_id, target_date, origin_date, forecast, method
                    )
                    select
                        %(metric)s || '/depot/' || depot_id, %(metric)s, 'day', 'depot', depot_id,
                        clock.day + %(ahead)s::integer, clock.day, %(value)s, 'naive'
                    from depot, clock
                    on conflict (series_id, origin_date, target_date) do update set forecast = excluded.forecast
                    returning target_date
                ),
                touched as (
                    insert into etl.dirty_day (source_table, batch_id, business_date)
                    select 'ml.forecast', batch_id, target_date from written, batch
                )
                insert into etl.table_state (source_table, profile, batch_id, changed_batch_id)
                select 'ml.forecast', 'models', batch_id, batch_id from batch
                on conflict (source_table) do update
                set batch_id = excluded.batch_id, changed_batch_id = excluded.changed_batch_id
                """.replace("%(salt)s", f"'{self.chance.random()}'")
                .replace("%(metric)s", f"'{metric}'")
                .replace("%(back)s", str(back))
                .replace("%(ahead)s", str(ahead))
                .replace("%(value)s", str(self.chance.randint(1, 900)))
            )


@contextmanager
def simulated(server: EmbeddedServer, template: str, name: str, folder: Path, **overrides: Any) -> Iterator[DbtCompany]:
    """A company with an empty warehouse, in databases called after ``name``, dropped at the end."""
    names = (f"{name}_operational", f"{name}_warehouse")
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        for database, source in zip(names, ("template1", template), strict=True):
            connection.execute(
                sql.SQL("create database {} template {}").format(sql.Identifier(database), sql.Identifier(source))
            )
    made = DbtCompany(server.url(names[0]), server.url(names[1]), folder)
    simulate_company(made.operational, None, "small", seed=3, as_of=AS_OF, overrides=overrides)
    yield made
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        for database in names:
            connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(database)))
