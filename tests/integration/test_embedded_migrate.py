"""Migrations against real servers: idempotent, safe when raced, with least rights, on PostgreSQL 16 too."""

import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from psycopg import sql

from warehouse_assets.database import migrate as migrations
from warehouse_assets.database.connections import connect
from warehouse_assets.database.embedded import EmbeddedServer
from warehouse_assets.errors import UserError
from warehouse_assets.extract.state import inputs_moved
from warehouse_assets.quality.memory import has_held

MakeDatabase = Callable[..., str]


def tables(url: str) -> set[str]:
    with connect(url, application_name="test") as connection:
        query = "select schemaname || '.' || tablename from pg_tables where schemaname in ('etl', 'ml')"
        return {name for (name,) in connection.execute(query)}


def test_second_call_changes_nothing_and_is_quick(operational_url: str) -> None:
    assert migrations.migrate(operational_url) is True
    before = tables(operational_url)
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        assert migrations.migrate(operational_url) is False
        seconds.append(time.perf_counter() - started)
    assert tables(operational_url) == before
    assert min(seconds) < 0.3


def test_nothing_to_do_does_not_import_alembic(warehouse_url: str) -> None:
    code = (
        "import sys; from warehouse_assets.database.migrate import migrate; "
        "assert not migrate(sys.argv[1]); assert 'alembic' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, warehouse_url], check=True)


def test_ten_callers_at_once(operational_url: str) -> None:
    with ThreadPoolExecutor(10) as pool:
        applied = list(pool.map(migrations.migrate, [operational_url] * 10))
    assert sum(applied) == 1
    with connect(operational_url, application_name="test") as connection:
        assert connection.execute("select version_num from etl.alembic_version").fetchall() == [(migrations.head(),)]


def test_a_failing_migration_leaves_nothing(operational_url: str) -> None:
    with connect(operational_url, application_name="test", autocommit=True) as connection:
        connection.execute("create schema ml; create table ml.forecast_backtest (odd int)")
    with pytest.raises(psycopg.errors.DuplicateTable):
        migrations.migrate(operational_url)
    assert tables(operational_url) == {"ml.forecast_backtest"}
    with connect(operational_url, application_name="test", autocommit=True) as connection:
        connection.execute("drop table ml.forecast_backtest")
    assert migrations.migrate(operational_url) is True


def test_what_a_home_of_before_0006_knows_stays_known(operational_url: str) -> None:
    with connect(operational_url, application_name="test", autocommit=True) as connection:
        for file in sorted((migrations.MIGRATIONS / "versions").glob("000[1-5]_*.sql")):
            connection.execute(file.read_bytes())
        connection.execute(
            """
            create table etl.alembic_version (version_num varchar(32) primary key);
            insert into etl.alembic_version values ('0005');
            insert into etl.model_build (model, checksum, built_at)
            values ('customer_month', 'x', '2024-03-01 12:00:00.123456+00'), ('route_run', 'x', '2024-03-01 12:00+00');
            insert into etl.model_state (model, source_table, batch_id) values
            ('customer_month', 'dbt:code', 11), ('customer_month', 'dbt:sql', 12), ('customer_month', 'invoices', 3),
            ('route_run', 'dbt:code', 13), ('features.customer_month: sound', 'fingerprint', 14),
            ('ml.churn_prediction', 'ml.churn_model', 4),
            ('ml.churn_prediction', 'customer_month', 1709294400123456),
            ('ml.churn_model', 'customer_month', 1709294400123455)
            """
        )
    assert migrations.migrate(operational_url) is True
    with connect(operational_url, application_name="test") as connection:
        versions = connection.execute("select model, code_version, sql_version from etl.model_build order by model")
        assert versions.fetchall() == [("customer_month", 11, 12), ("route_run", 13, None)]
        assert has_held(connection, "features.customer_month: sound", 14)
        scored_from, trained_from = ["customer_month", "ml.churn_model"], ["customer_month"]
        state = connection.execute("select source_table, batch_id from etl.model_state where model = 'customer_month'")
        assert state.fetchall() == [("invoices", 3)]
        connection.execute(
            "insert into etl.table_state (source_table, profile, batch_id, changed_batch_id) "
            "values ('ml.churn_model', 'models', 4, 4)"
        )
        assert not inputs_moved(connection, "ml.churn_prediction", scored_from)
        assert inputs_moved(connection, "ml.churn_model", trained_from)  # it had seen an earlier build


def test_every_table_and_column_is_described(warehouse_url: str) -> None:
    query = """
        select c.oid::regclass || coalesce('.' || a.attname, '')
        from pg_class as c
        left join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        where c.relnamespace in ('etl'::regnamespace, 'ml'::regnamespace)
            and c.relkind in ('r', 'p')
            and c.relname <> 'alembic_version'
            and (obj_description(c.oid, 'pg_class') is null or col_description(c.oid, a.attnum) is null)
    """
    with connect(warehouse_url, application_name="test") as connection:
        assert connection.execute(query).fetchall() == []


def as_user(server: EmbeddedServer, url: str, *grants: str) -> str:
    """Make a login without any rights but ``grants`` and return the URL with that user."""
    database = url.rsplit("/", 1)[1]
    user = f"user_{database}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL("create role {} login password 'plain'").format(sql.Identifier(user)))
        for grant in grants:
            connection.execute(grant.format(user=user, database=database).encode())
    port = server.url("x").rsplit(":", 1)[1].split("/")[0]
    return f"postgresql://{user}:plain@127.0.0.1:{port}/{database}"


def drop_user(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        user = sql.Identifier(f"user_{url.rsplit('/', 1)[1]}")
        connection.execute(sql.SQL("drop owned by {} cascade").format(user))
        connection.execute(sql.SQL("drop role {}").format(user))


@pytest.mark.parametrize(
    "grants",
    [
        ("grant create on database {database} to {user}",),
        tuple(f"create schema {schema} authorization {{user}}" for schema in ("raw", "quarantine", "etl", "ml")),
    ],
    ids=["create on database", "schemas made beforehand"],
)
def test_an_ordinary_user_is_enough(server: EmbeddedServer, operational_url: str, grants: tuple[str, ...]) -> None:
    url = as_user(server, operational_url, *grants)
    try:
        assert migrations.migrate(url) is True
    finally:
        drop_user(operational_url)


def test_missing_rights_are_one_sentence(server: EmbeddedServer, operational_url: str) -> None:
    url = as_user(server, operational_url)
    try:
        with pytest.raises(UserError, match=r"may not make the warehouse's schemas .* run `grant create on database"):
            migrations.migrate(url)
    finally:
        drop_user(operational_url)


def test_a_newer_database_is_refused(warehouse_url: str) -> None:
    with connect(warehouse_url, application_name="test", autocommit=True) as connection:
        connection.execute("update etl.alembic_version set version_num = '9999'")
    with pytest.raises(UserError, match="install the newer version"):
        migrations.migrate(warehouse_url)


def test_on_postgresql_16(postgres16: EmbeddedServer, make_database: MakeDatabase, warehouse_url: str) -> None:
    url = make_database(postgres16)
    assert migrations.migrate(url) is True
    assert tables(url) == tables(warehouse_url)
