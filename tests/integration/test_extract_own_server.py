"""Extraction between servers of the user's own: PostgreSQL 16 on either side, a warehouse user without privileges."""

import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from psycopg import sql
from test_extract_company import TIME_ZONE, Company, add_stops, by_cursor_fixture  # noqa: F401  fixture

from warehouse_assets.database.embedded import EmbeddedServer
from warehouse_assets.database.migrate import migrate
from warehouse_assets.settings import Settings


@pytest.fixture(name="own")
def own_fixture(
    request: pytest.FixtureRequest,
    server: EmbeddedServer,
    postgres16: EmbeddedServer,
    make_database: Callable[..., str],
    tmp_path: Path,
) -> Company:
    """A company whose source, warehouse or both are on PostgreSQL 16."""
    source, warehouse = (server if version == 18 else postgres16 for version in request.param)
    target = make_database(warehouse)
    migrate(target)
    company = Company(make_database(source), target, Settings(home=tmp_path, time_zone=TIME_ZONE, threads=2))
    company.make_tables()
    return company


def live_through_changes(company: Company) -> None:
    """Load, change in every way, load again; raw and source are alike each time."""
    add_stops(company, 100)
    company.source("insert into tips values ('1', 'A', '2024-03-02', 5), ('2', 'A', '2024-03-02', 5)")
    company.source("insert into agreements values ('A', '2024-03-01', null, 1, '2024-03-01')")
    company.source("insert into trucks select 'T' || i, 'Mack', now() from generate_series(0, 2) as i")
    company.extract()
    assert company.rows("stops", "raw") == company.rows("stops", "source")
    company.source("update stops set weight_lb = 7, updated_at = now() where stop_id in ('S7', 'S55')")
    company.source("update stops set status = 'lost', updated_at = now() where stop_id = 'S8'")
    company.source("delete from stops where stop_id = 'S9'; delete from tips where tip_id = '1'")
    company.source("update agreements set end_date = '2024-04-01', updated_at = now()")
    company.source("update trucks set make = 'Volvo', updated_at = now() where truck_id = 'T1'")
    loads = company.extract()
    stops = loads["stops"]
    assert (stops.rows_updated, stops.rows_rejected, stops.rows_deleted, stops.rows_raw) == (2, 1, 1, 98)
    assert (loads["tips"].rows_inserted, loads["tips"].rows_deleted, loads["tips"].rows_quarantined) == (1, 1, 0)
    assert loads["trucks"].dirty_days == 10
    for name in ("tips", "agreements", "trucks"):
        assert company.rows(name, "raw") == company.rows(name, "source")
    assert {load.status for load in company.extract().values()} == {"unchanged"}


@pytest.mark.parametrize("own", [(16, 18), (18, 16), (16, 16)], indirect=True, ids=str)
def test_postgresql_16_on_either_side(own: Company, by_cursor: None) -> None:
    live_through_changes(own)


@pytest.mark.parametrize("own", [(18, 16)], indirect=True, ids=str)
def test_the_warehouse_user_need_not_be_a_superuser(own: Company, postgres16: EmbeddedServer) -> None:
    database = urlsplit(own.warehouse).path.lstrip("/")
    with psycopg.connect(postgres16.url("postgres"), autocommit=True) as connection:
        connection.execute("create role loader login password 'loader-9'")
        connection.execute(sql.SQL("alter database {} owner to loader").format(sql.Identifier(database)))
    try:
        with psycopg.connect(own.warehouse, autocommit=True) as connection:
            connection.execute("drop schema raw, quarantine, etl, ml cascade")
        split = urlsplit(own.warehouse)
        plain = urlunsplit(split._replace(netloc=f"loader:loader-9@{split.hostname}:{split.port}"))
        migrate(plain)
        live_through_changes(Company(own.operational, plain, own.settings))
    finally:
        with psycopg.connect(own.warehouse, autocommit=True) as connection:
            # a session drops its temporary tables after its client has gone
            while connection.execute("select from pg_stat_activity where usename = 'loader'").fetchone():
                time.sleep(0.05)
            connection.execute("reassign owned by loader to current_user; drop owned by loader")
            connection.execute(sql.SQL("alter database {} owner to current_user").format(sql.Identifier(database)))
            connection.execute("drop role loader")
