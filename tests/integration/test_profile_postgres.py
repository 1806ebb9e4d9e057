"""A stranger's PostgreSQL: other table names, other types, half of the tables; described, checked and extracted."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from warehouse_assets.database.databases import Databases
from warehouse_assets.database.embedded import EmbeddedServer
from warehouse_assets.errors import UserError
from warehouse_assets.extract.load import extract_system
from warehouse_assets.settings import Settings
from warehouse_assets.source.contract import Contract, Rule, load_contract
from warehouse_assets.source.profiles import PostgresProfile, open_profile
from warehouse_assets.source.profiles.check import check_profile
from warehouse_assets.source.profiles.mapping import describe, map_table, require_conditions
from warehouse_assets.source.profiles.report import ProfileReport

STRANGER = """
create schema acme;
set search_path to acme;
create type account_class as enum ('RES', 'COM');
create domain pounds as numeric check (value > -1);
create table account (
    id uuid primary key default gen_random_uuid(),
    no bigint not null unique,
    title varchar(80),
    class account_class not null,
    opened timestamp not null,
    autopay smallint,
    terms varchar(10),
    changed timestamp not null
);
insert into account (no, title, class, opened, autopay, terms, changed) values
    (1, 'Ann', 'RES', '2024-01-10 09:00', 1, '30', '2024-03-05 10:00'),
    (2, 'Bob & Sons', 'COM', '2024-07-10 09:00', 0, ' ', '2024-07-05 10:00'),
    (3, null, 'RES', '2024-02-10 09:00', null, null, '2024-03-06 10:00');
create table bill (
    bill_no bigint primary key,
    account_no bigint not null references account (no),
    issued date not null,
    due timestamptz,
    net money not null,
    tax_cents integer not null,
    changed timestamptz not null default '2024-04-01 12:00+00'
);
insert into bill (bill_no, account_no, issued, due, net, tax_cents) values
    (1001, 1, '2024-03-01', '2024-04-01 03:00+00', '100.10', 825),
    (1002, 2, '2024-03-01', null, '50.00', 413);
create table scale_ticket (
    ticket char(8) primary key,
    site varchar(20),
    crossed timestamp not null,
    net_lb pounds,
    extras json
);
insert into scale_ticket values
    ('T1', 'NORTH', '2024-03-05 23:30', 12000.5, '{"axles": 3}'),
    ('T2', 'NORTH', '2024-03-06 00:30', null, null),
    ('T3', 'SOUTH', '2024-03-06 01:00', 99000, null);
create table web_hit (hit_id bigint generated always as identity, visit text, at text, payload text);
insert into web_hit (visit, at, payload) values
    ('v1', '2024-03-05 10:00:00', '{"a": 1}'),
    ('v1', '2024-03-05T10:00:00Z', null), ('v2', '2024-03-05 10:00+02', '[]');
"""

SELECTS = {
    "customers": """
        -- one row per account
        select
            no as customer_id, title as name, opened as created_at, changed as updated_at, terms as payment_terms_days,
            case class when 'RES' then 'residential' else 'commercial' end as customer_type,
            autopay as is_autopay, id as account_number
        from acme.account;  -- the whole of it
    """,
    "invoices": """
        select
            bill_no as invoice_id, account_no as customer_id, issued as invoice_date, due as due_date,
            net as subtotal_usd, tax_cents / 100.0 as tax_usd, net::numeric + tax_cents / 100.0 as total_usd,
            changed as updated_at
        from acme.bill
        where issued >= {since}::date
    """,
    "loads": """
        with tickets as (select * from acme.scale_ticket)
        select
            ticket as load_id, site as disposal_site_id, crossed as tipped_at, crossed as service_date,
            net_lb as weight_lb
        from tickets
    """,
    "disposal_sites": "select distinct site as disposal_site_id, initcap(site) as name from acme.scale_ticket",
    "portal_events": """
        select hit_id as portal_event_id, visit as portal_session_id, 'page_view' as event_type, at as occurred_at,
            payload as properties
        from acme.web_hit
    """,
}


@pytest.fixture
def stranger(postgres16: EmbeddedServer, make_database: Callable[..., str]) -> str:
    url = make_database(postgres16)
    with psycopg.connect(url) as connection:
        connection.execute(STRANGER)
    return url


@pytest.fixture
def source(stranger: str) -> Iterator[psycopg.Connection]:
    with contextlib.closing(psycopg.connect(stranger, autocommit=True)) as connection:
        connection.execute("set time zone 'UTC'")
        yield connection


@pytest.fixture
def open_acme(tmp_path: Path, stranger: str) -> Callable[..., PostgresProfile]:
    def write(selects: dict[str, str] = SELECTS, **settings: str) -> PostgresProfile:
        folder = tmp_path / "acme"
        folder.mkdir(exist_ok=True)
        (folder / "profile.yml").write_text(
            "kind: postgres\ntime_zone: America/Chicago\nsettings:\n  since:\n    default: 2000-01-01\n"
        )
        for name, select in selects.items():
            (folder / f"{name}.sql").write_text(select)
        profile = open_profile(str(folder), settings, stranger)
        assert isinstance(profile, PostgresProfile)
        return profile

    return write


def rows_of(profile: PostgresProfile, source: psycopg.Connection, table: str) -> list[dict[str, Any]]:
    contract = load_contract().table(table)
    mapped = map_table(profile, contract, describe(source, profile, table))
    cursor = source.execute(mapped.query)
    assert [column.name for column in cursor.description or ()] == list(contract.column_names)
    return [dict(zip(contract.column_names, row, strict=True)) for row in cursor.fetchall()]


def test_other_types_become_the_contract_s(
    open_acme: Callable[..., PostgresProfile], source: psycopg.Connection
) -> None:
    profile = open_acme()
    assert profile.tables == ("invoices", "customers", "disposal_sites", "loads", "portal_events")
    ann, bob, _ = sorted(rows_of(profile, source, "customers"), key=lambda row: str(row["customer_id"]))
    assert (ann["customer_id"], ann["is_autopay"], bob["is_autopay"]) == ("1", True, False)
    assert (ann["payment_terms_days"], bob["payment_terms_days"]) == (30, None)
    assert len(ann["account_number"]) == 36
    assert ann["created_at"] == datetime(2024, 1, 10, 15, tzinfo=UTC)  # 09:00 in Chicago in winter
    assert bob["created_at"] == datetime(2024, 7, 10, 14, tzinfo=UTC)  # and in summer
    assert ann["email"] is None
    bill = rows_of(profile, source, "invoices")[0]
    assert bill["subtotal_usd"] == Decimal("100.10")
    assert bill["tax_usd"] == Decimal("8.25")
    assert bill["due_date"] == date(2024, 3, 31)  # 03:00 UTC on 1 April is still March in Chicago
    load = rows_of(profile, source, "loads")[0]
    assert load["load_id"] == "T1"
    assert (load["service_date"], load["weight_lb"]) == (date(2024, 3, 5), Decimal("12000.50"))
    assert load["updated_at"] == datetime(2024, 3, 5, 6, tzinfo=UTC)  # filled: midnight of the business day
    events = rows_of(profile, source, "portal_events")
    assert [event["occurred_at"].hour for event in events] == [16, 10, 8]
    assert [event["properties"] for event in events] == [{"a": 1}, None, []]


# Regression: the zone of a time given as text was dropped, so an evening's event counted for the day after.
def test_a_time_with_a_zone_given_as_text_for_a_date_becomes_the_day_it_is_there(
    open_acme: Callable[..., PostgresProfile], source: psycopg.Connection
) -> None:
    texts = "('2024-03-06T02:30:00Z'), ('2024-03-05 23:30:00-06'), ('2024-03-05 23:30'), ('2024-03-05')"
    select = f"select day as load_id, day as service_date from (values {texts}) as tickets (day)"  # noqa: S608  # test's own
    days = [row["service_date"] for row in rows_of(open_acme({"loads": select}), source, "loads")]
    assert days == [date(2024, 3, 5)] * 4


def test_a_cursor_is_known_only_where_the_select_gives_it(
    open_acme: Callable[..., PostgresProfile], source: psycopg.Connection
) -> None:
    profile = open_acme()
    contract = load_contract()
    mapped = {
        name: map_table(profile, contract.table(name), describe(source, profile, name)) for name in profile.tables
    }
    assert {name for name, table in mapped.items() if table.has_cursor} == {"customers", "invoices"}


def test_settings_reach_the_select_as_values(
    open_acme: Callable[..., PostgresProfile], source: psycopg.Connection
) -> None:
    assert rows_of(open_acme(since="2025-01-01"), source, "invoices") == []
    with pytest.raises(UserError, match="invalid input syntax for type date"):  # a value, and no date
        rows_of(open_acme(since="2025-01-01'; drop table acme.bill; --"), source, "invoices")
    assert len(rows_of(open_acme(), source, "invoices")) == 2


@pytest.mark.parametrize(
    ("select", "sentence"),
    [
        # loads.sql                                                    what the reader is told
        ("select ticket as load_id from acme.scale_ticket", "lacks the required column service_date of table loads"),
        ("select 1 as load_id, crossed as service_dat from acme.scale_ticket", r"\(did you mean 'service_dat'\?\)"),
        (
            "select * from acme.scale_tickets",
            r'loads.sql: relation "acme.scale_tickets" does not exist in the source database; correct the name\.$',
        ),
        ("select tiket from acme.scale_ticket", r'loads.sql: column "tiket" does not exist'),
        (
            "select ticket as load_id from acme.scale_ticket where {until}::date < now()",
            r"refused by the source database \(syntax .*\); \{until\} in it is no setting of profile.yml; correct it",
        ),
        ("select ticket as load_id frm acme.scale_ticket", "refused by the source database .*syntax error"),
        ("select 1 as a); drop table acme.bill; select (1", "refused by the source database"),
        (
            "select ticket as load_id, crossed as service_date, extras as weight_lb from acme.scale_ticket",
            r"gives loads.weight_lb as json, which does not become numeric\(12,2\); convert it in the SELECT",
        ),
    ],
)
def test_a_select_that_cannot_fill_the_table_ends_in_one_sentence(
    open_acme: Callable[..., PostgresProfile], source: psycopg.Connection, select: str, sentence: str
) -> None:
    profile = open_acme({"loads": select})
    with pytest.raises(UserError, match=sentence) as error:
        map_table(profile, load_contract().table("loads"), describe(source, profile, "loads"))
    assert "\n" not in str(error.value)
    assert source.execute("select count(*) from acme.bill").fetchone() == (2,)


def test_a_source_that_may_not_be_read_is_told(
    open_acme: Callable[..., PostgresProfile], source: psycopg.Connection
) -> None:
    source.execute("drop role if exists profile_test_reader")
    source.execute("create role profile_test_reader")
    source.execute("grant usage on schema acme to profile_test_reader")
    source.execute("set role profile_test_reader")
    with pytest.raises(UserError, match=r"loads\.sql may not read the source .*grant its user select"):
        describe(source, open_acme(), "loads")


def states(report: ProfileReport, table: str) -> dict[str, str]:
    found = next(item for item in report.tables if item.name == table)
    return {column.name: column.state for column in found.columns}


def test_check_tells_every_column(open_acme: Callable[..., PostgresProfile], source: psycopg.Connection) -> None:
    selects = SELECTS | {
        "loads": "select ticket as load_id, crossed as service_date, site as weight_lb, net_lb from acme.scale_ticket",
        "routes": "select 'R' as route_id, json '{}' as service_weekday",
        "drivers": "select no as driver_id from acme.nobody",
        "vehicles": "select no as make from acme.account",
    }
    report = check_profile(open_acme(selects), load_contract(), source)
    assert {table.name for table in report.tables if table.blocks} == {"loads", "routes", "drivers", "vehicles"}
    loads = states(report, "loads")
    assert (loads["load_id"], loads["weight_lb"], loads["net_lb"]) == ("mapped", "wrong type", "extra")
    weight = next(c for t in report.tables if t.name == "loads" for c in t.columns if c.name == "weight_lb")
    assert "NORTH" in weight.note
    assert states(report, "routes")["service_weekday"] == "wrong type"
    assert states(report, "vehicles")["vehicle_id"] == "missing required"
    assert states(report, "customers")["email"] == "missing"
    assert states(report, "loads")["updated_at"] == "filled"
    assert 'relation "acme.nobody" does not exist' in next(str(t.error) for t in report.tables if t.name == "drivers")


def test_check_names_a_rule_that_is_no_sql(
    open_acme: Callable[..., PostgresProfile], source: psycopg.Connection
) -> None:
    tables = load_contract().tables
    rules = (*tables["loads"].rules, Rule("weighed", "error", expect="wait_lb > 0"))
    contract = Contract({**tables, "loads": replace(tables["loads"], rules=rules)})
    report = check_profile(open_acme(), contract, source)
    assert {table.name: table.error for table in report.tables if table.blocks} == {
        "loads": 'Rule weighed of table loads is no SQL condition over its columns (column "wait_lb" does not exist); '
        "correct its `expect` in the sources YAML of operations."
    }


def test_a_column_given_twice_is_named(open_acme: Callable[..., PostgresProfile], source: psycopg.Connection) -> None:
    selects = SELECTS | {"routes": "select 'R' as route_id, 'S' as route_id"}
    with pytest.raises(UserError, match=r"routes\.sql.* gives column 'route_id' twice"):
        describe(source, open_acme(selects), "routes")


def test_every_rule_of_the_contract_is_sql(source: psycopg.Connection) -> None:
    for table in load_contract():
        require_conditions(source, table)


def test_check_of_the_default_profile_wants_every_column(source: psycopg.Connection) -> None:
    source.execute("create table public.routes (route_id text primary key, depot_id text, updated_at timestamptz)")
    report = check_profile(open_profile("default", {}), load_contract(), source)
    assert all(table.blocks for table in report.tables)
    assert states(report, "routes")["route_name"] == "missing required"


def test_the_stranger_s_rows_reach_raw_and_quarantine(
    open_acme: Callable[..., PostgresProfile],
    stranger: str,
    source: psycopg.Connection,
    warehouse_url: str,
    tmp_path: Path,
) -> None:
    databases = Databases(stranger, warehouse_url, warehouse_url, None)
    settings = Settings(home=tmp_path)

    def extract() -> dict[str, Any]:
        return {
            load.table: load
            for system in load_contract().systems
            for load in extract_system(databases, settings, open_acme(), system)
        }

    loads = extract()
    assert len(loads) == len(load_contract().tables)
    assert {name for name, load in loads.items() if load.rows_raw} == {
        "customers", "invoices", "loads", "disposal_sites", "portal_events"
    }  # fmt: skip
    assert (loads["loads"].rows_raw, loads["loads"].rows_quarantined) == (2, 1)
    with psycopg.connect(warehouse_url, autocommit=True) as warehouse:
        assert warehouse.execute("select rules, row ->> 'load_id' from quarantine.loads").fetchall() == [
            (["weight_plausible"], "T3")
        ]
        assert all(load.status == "unchanged" for load in extract().values())
        source.execute("update acme.scale_ticket set net_lb = 9000 where ticket = 'T3'")
        source.execute("delete from acme.scale_ticket where ticket = 'T1'")
        source.execute("update acme.bill set tax_cents = 900, changed = '2024-05-01' where bill_no = 1001")
        again = extract()
        assert {name for name, load in again.items() if load.status == "succeeded"} == {"loads", "invoices"}
        assert warehouse.execute(
            "select load_id, weight_lb, _deleted_at is null from raw.loads order by load_id"
        ).fetchall() == [
            ("T1", Decimal("12000.50"), False), ("T2", None, True), ("T3", Decimal("9000.00"), True)
        ]  # fmt: skip
        assert warehouse.execute("select count(*) from quarantine.loads").fetchone() == (0,)
