"""A small company for the tests of extraction, and what its tables look like after a first load."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from warehouse_assets.database.databases import Databases
from warehouse_assets.errors import UserError
from warehouse_assets.extract import incremental
from warehouse_assets.extract.load import extract_system
from warehouse_assets.extract.record import TableLoad
from warehouse_assets.settings import Settings
from warehouse_assets.source.contract import BusinessDate, Column, Contract, Rule, Table
from warehouse_assets.source.profiles import open_profile

TIME_ZONE = "America/Chicago"


def table(
    name: str,
    columns: dict[str, str],
    key: Sequence[str],
    *,
    cursor: str | None = "updated_at",
    day: BusinessDate | None = None,
    policy: str = "reconcile",
    rules: tuple[Rule, ...] = (),
) -> Table:
    """A contract table; a type written with ! is required."""
    return Table(
        system="shop",
        name=name,
        description=f"One row per {name}.",
        columns=tuple(
            Column(column, kind.rstrip("!"), f"{column}.", is_required=kind.endswith("!"))
            for column, kind in columns.items()
        ),
        primary_key=tuple(key),
        cursor=cursor,
        business_date=day,
        delete_policy=policy,  # type: ignore[arg-type]  # one of the two
        rules=rules,
    )


STOPS = table(
    "stops",
    {
        "stop_id": "text!",
        "truck_id": "text",
        "service_date": "date!",
        "status": "text",
        "weight_lb": "numeric(10,2)",
        "extra": "jsonb",
        "updated_at": "timestamptz!",
    },
    ["stop_id"],
    day=BusinessDate(column="service_date"),
    rules=(
        Rule("weight_plausible", "error", expect="weight_lb between 0 and 40000"),
        Rule("status_known", "error", expect="status in ('completed', 'missed')"),
        Rule("weight_known", "warning", expect="weight_lb is not null"),
    ),
)
AGREEMENTS = table(
    "agreements",
    {
        "agreement_id": "text!",
        "start_date": "date!",
        "end_date": "date",
        "rate_usd": "numeric(14,2)",
        "updated_at": "timestamptz!",
    },
    ["agreement_id"],
    day=BusinessDate(start="start_date", end="end_date"),
)
TRUCKS = table(
    "trucks",
    {"truck_id": "text!", "make": "text", "updated_at": "timestamptz!"},
    ["truck_id"],
    day=BusinessDate(through=("stops",), key="truck_id"),
)
TIPS = table(
    "tips",
    {"tip_id": "text!", "site": "text", "tipped_at": "timestamptz", "weight_lb": "integer"},
    ["tip_id"],
    cursor=None,
    day=BusinessDate(column="tipped_at"),
    rules=(
        Rule("repeated_tip", "error", unique=("site", "tipped_at", "weight_lb")),
        Rule("weight_not_negative", "error", expect="weight_lb >= 0"),
    ),
)
EVENTS = table(
    "events",
    {"event_id": "bigint!", "occurred_at": "timestamptz!", "kind": "text"},
    ["event_id"],
    cursor="occurred_at",
    day=BusinessDate(column="occurred_at"),
    policy="keep",
)
PRICES = table(
    "prices",
    {"commodity": "text!", "price_date": "date!", "price_usd": "double precision", "updated_at": "timestamptz!"},
    ["commodity", "price_date"],
    day=BusinessDate(column="price_date"),
)
CONTRACT = Contract({t.name: t for t in (STOPS, AGREEMENTS, TRUCKS, TIPS, EVENTS, PRICES)})


@dataclass
class Company:
    """The company's database and its warehouse, with the steps that tests take."""

    operational: str
    warehouse: str
    settings: Settings
    contract: Contract = CONTRACT

    @property
    def databases(self) -> Databases:
        """The URLs, as extraction takes them."""
        return Databases(self.operational, self.warehouse, self.warehouse, None)

    def source(self, statement: str, *parameters: Any) -> None:
        """Change the source."""
        with psycopg.connect(self.operational, autocommit=True) as connection:
            connection.execute(statement, parameters or None)

    def ask(self, query: str, *parameters: Any) -> list[Any]:
        """Ask the warehouse; rows of one column come as values."""
        with psycopg.connect(self.warehouse, autocommit=True) as connection:
            rows = connection.execute(query, parameters or None).fetchall()
        return [row[0] if len(row) == 1 else row for row in rows]

    def change_warehouse(self, statement: str) -> None:
        """Do to the warehouse what extraction does not."""
        with psycopg.connect(self.warehouse, autocommit=True) as connection:
            connection.execute(statement)

    def make_tables(self, *, keyed: bool = True) -> None:
        """Make the contracted tables in the source."""
        for contracted in self.contract:
            columns = ", ".join(f"{column.name} {column.data_type}" for column in contracted.columns)
            key = f", primary key ({', '.join(contracted.primary_key)})" if keyed else ""
            self.source(f"create table {contracted.name} ({columns}{key})")

    def extract(
        self,
        *tables: str,
        profile: Any = None,
        full_refresh: bool = False,
        tell: Callable[[str], None] = lambda text: None,
    ) -> dict[str, TableLoad]:
        """Extract the tables (all if none is named); return the loads by table."""
        opened = profile or open_profile("default", {}, self.operational, contract=self.contract)
        loads = extract_system(
            self.databases,
            self.settings,
            opened,
            "shop",
            tables=tables or None,
            contract=self.contract,
            full_refresh=full_refresh,
            tell=tell,
        )
        return {load.table: load for load in loads}

    def rows(self, name: str, where: str) -> list[Any]:
        """The contracted columns of a table's rows, in key order; ``where`` is source or raw (live rows)."""
        contracted = self.contract.table(name)
        query = sql.SQL("select {} from {} order by {}").format(
            sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(c)) for c in contracted.column_names),
            sql.SQL("(select * from {} where _deleted_at is null) as live").format(sql.Identifier("raw", name))
            if where == "raw"
            else sql.Identifier("public", name),
            sql.SQL(", ").join(
                sql.SQL('{}::text collate "C" nulls first').format(sql.Identifier(c)) for c in contracted.column_names
            ),
        )
        with psycopg.connect(self.warehouse if where == "raw" else self.operational) as connection:
            return connection.execute(query).fetchall()

    def dirty(self, name: str) -> list[date]:
        """The days of the table's last batch."""
        return self.ask(
            "select business_date from etl.dirty_day where source_table = %s and batch_id = "
            "(select batch_id from etl.table_state where source_table = %s) order by 1",
            name,
            name,
        )

    def quarantined(self, name: str) -> list[Any]:
        """Key and rules of the quarantined rows."""
        key = self.contract.table(name).primary_key[0]
        return self.ask(f"select {key}, rules from quarantine.{name} order by 1, 2")  # noqa: S608  names of ours


@pytest.fixture(name="company")
def company_fixture(operational_url: str, warehouse_url: str, tmp_path: Path) -> Company:
    made = Company(operational_url, warehouse_url, Settings(home=tmp_path, time_zone=TIME_ZONE, threads=2))
    made.make_tables()
    return made


@pytest.fixture(name="by_cursor")
def by_cursor_fixture(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let small tables be read by their cursor, as large ones are."""
    monkeypatch.setattr(incremental, "WHOLE_ROWS", -1)


def add_stops(company: Company, number: int, start: int = 0, **columns: Any) -> None:
    """Add stops S<start> … on consecutive days from 2024-03-01, ten a day, with consecutive minutes as cursor."""
    company.source(
        "insert into stops select 'S' || i, 'T' || i %% 3, date '2024-03-01' + i / 10, 'completed', 100 + i, "
        "jsonb_build_object('n', i), timestamptz '2024-03-01 12:00Z' + i * interval '1 minute' "
        "from generate_series(%s::integer, %s::integer) as i",
        start,
        start + number - 1,
    )


def test_a_first_load_copies_every_row_and_says_what_it_did(company: Company) -> None:
    add_stops(company, 95)
    load = company.extract("stops")["stops"]
    assert company.rows("stops", "raw") == company.rows("stops", "source")
    assert (load.status, load.rows_extracted, load.rows_inserted, load.rows_rejected) == ("succeeded", 95, 95, 0)
    assert company.dirty("stops") == [date(2024, 3, day) for day in range(1, 11)]
    state = company.ask(
        "select batch_id, changed_batch_id, watermark, rows_raw, rows_quarantined, latest_day, profile "
        "from etl.table_state"
    )
    assert state == [(load.batch_id, load.batch_id, "2024-03-01 13:34:00+00", 95, 0, date(2024, 3, 10), "default")]
    log = company.ask(
        "select status, rows_extracted, rows_inserted, rows_updated, rows_unchanged, rows_rejected, bytes > 0, error "
        "from etl.job_log"
    )
    assert log == [("succeeded", 95, 95, 0, 0, 0, True, None)]


def test_raw_has_key_indexes_and_system_columns(company: Company) -> None:
    add_stops(company, 3)
    company.extract()
    assert company.ask(
        "select pg_get_constraintdef(oid) from pg_constraint where conrelid = 'raw.prices'::regclass and contype = 'p'"
    ) == ["PRIMARY KEY (commodity, price_date)"]
    assert company.ask(
        "select collation_name from information_schema.columns "
        "where table_schema = 'raw' and table_name = 'stops' and column_name = 'stop_id'"
    ) == ["C"]
    indexes = company.ask("select indexdef from pg_indexes where schemaname = 'raw' and tablename = 'tips' order by 1")
    assert any("brin" in index and "America/Chicago" in index for index in indexes)
    assert any("hash_record_extended" in index for index in indexes)
    assert company.ask("select count(*) from raw.stops where _batch_id is null or _extracted_at is null") == [0]
    assert company.ask("select obj_description('raw.stops'::regclass)") == ["One row per stops."]


@pytest.mark.parametrize("again", [False, True])
def test_rows_that_break_rules_are_quarantined_with_every_rule_or_flagged(company: Company, again: bool) -> None:
    if again:  # the same through the merge instead of the first load
        add_stops(company, 1, start=500)
        company.extract("stops")
    add_stops(company, 4)
    company.source("update stops set weight_lb = 80697, status = 'lost' where stop_id = 'S1'")
    company.source("update stops set weight_lb = null where stop_id = 'S2'")
    company.source("update stops set status = null where stop_id = 'S3'")
    load = company.extract("stops")["stops"]
    assert company.quarantined("stops") == [("S1", ["weight_plausible", "status_known"])]
    assert company.ask("select rule, row ->> 'weight_lb', row -> 'extra' from quarantine.stops") == [
        ("weight_plausible", "80697.00", {"n": 1})
    ]
    assert company.ask("select _flags from raw.stops where stop_id = 'S2'") == [["weight_known"]]
    assert company.ask("select count(*) from raw.stops where _flags is null and stop_id <> 'S2'") == [2 + again]
    assert load.rows_extracted == load.rows_inserted + load.rows_updated + load.rows_unchanged + load.rows_rejected
    assert (load.rows_raw, load.rows_quarantined) == (3 + again, 1)


@pytest.mark.parametrize("again", [False, True])
def test_numbers_that_are_none_are_quarantined(company: Company, again: bool) -> None:
    company.source("insert into prices values ('tin', '2024-03-01', 2.5, now()), ('zinc', '2024-03-01', null, now())")
    if again:  # the same through the merge instead of the first load
        company.extract("prices")
        company.extract("stops")
    add_stops(company, 2)
    company.source("update stops set weight_lb = 'NaN' where stop_id = 'S1'")
    for commodity in ("NaN", "Infinity", "-Infinity"):
        company.source("insert into prices values (%s, '2024-03-02', %s::float8, now())", commodity, commodity)
    loads = company.extract("stops", "prices")
    assert company.quarantined("stops") == [("S1", ["weight_lb_finite", "weight_plausible"])]
    assert company.quarantined("prices") == [
        ("-Infinity", ["price_usd_finite"]),
        ("Infinity", ["price_usd_finite"]),
        ("NaN", ["price_usd_finite"]),
    ]
    assert company.ask("select row ->> 'price_usd' from quarantine.prices where commodity = 'NaN'") == ["NaN"]
    assert company.ask("select commodity from raw.prices order by 1") == ["tin", "zinc"]
    assert (loads["prices"].rows_raw, loads["prices"].rows_quarantined) == (2, 3)
    company.source("update prices set price_usd = 1, updated_at = now() where commodity = 'NaN'")
    company.extract("prices")
    assert company.ask("select commodity from raw.prices order by 1") == ["NaN", "tin", "zinc"]


# Regression: one ticket resolved at infinity failed the operational warehouse, and with it every run.
def test_times_that_no_calendar_has_are_quarantined(company: Company) -> None:
    times = {"A": "infinity", "B": "-infinity", "C": "0044-03-15 BC", "D": "10000-01-01", "E": "9999-12-31"}
    for stop, time in (times | {"F": "0001-01-01"}).items():
        company.source("insert into stops values (%s, 'T', '2024-03-01', null, 1, null, %s)", stop, time)
        company.source("insert into agreements values (%s, '2024-03-01', %s, 1, '2024-03-01')", stop, time)
    company.extract("stops", "agreements")
    assert company.quarantined("stops") == [(stop, ["updated_at_finite"]) for stop in "ABCD"]
    assert company.quarantined("agreements") == []  # an end may be open


def test_columns_may_have_names_that_sql_knows(company: Company) -> None:
    words = table("words", {"user": "text!", "order": "numeric(5,1)!", "Limit": "double precision"}, ["user"],
                  cursor=None)  # fmt: skip
    company = replace(company, contract=Contract({"words": words}))
    company.source('create table words ("user" text, "order" numeric(5,1), "Limit" double precision)')
    company.source("insert into words values ('A', 1, 1), (null, 1, 1), ('B', 'NaN', 1), ('C', null, 'NaN')")
    company.extract("words")
    assert company.ask('select "user" from raw.words') == ["A"]
    assert company.ask("select rules from quarantine.words order by rules") == [
        ["order_finite"],
        ["order_required", "Limit_finite"],
        ["user_required"],
    ]


def test_a_key_that_comes_twice_keeps_its_latest_row(operational_url: str, warehouse_url: str, tmp_path: Path) -> None:
    company = Company(operational_url, warehouse_url, Settings(home=tmp_path, time_zone=TIME_ZONE))
    company.make_tables(keyed=False)
    add_stops(company, 3)
    company.source("insert into stops select * from stops where stop_id = 'S1'")
    company.source(
        "insert into stops select stop_id, truck_id, service_date, 'missed', 7, extra, updated_at + interval '1 day' "
        "from stops where stop_id = 'S2'"
    )
    for _ in range(2):
        load = company.extract("stops")["stops"]
        assert company.ask("select status from raw.stops order by stop_id") == ["completed", "completed", "missed"]
        assert company.quarantined("stops") == [("S1", ["duplicate_key"]), ("S2", ["duplicate_key"])]
        assert (load.rows_extracted, load.rows_raw, load.rows_quarantined) == (5, 3, 2)
    assert load.status == "unchanged"


def test_an_empty_table_is_made_once_and_then_left_alone(company: Company) -> None:
    first = company.extract("agreements")["agreements"]
    assert (first.status, first.rows_raw) == ("succeeded", 0)
    assert company.ask("select changed_batch_id from etl.table_state") == [None]
    again = company.extract("agreements")["agreements"]
    assert (again.status, again.batch_id) == ("unchanged", None)


def test_a_table_the_profile_lacks_is_empty(company: Company, tmp_path: Path) -> None:
    folder = tmp_path / "half"
    folder.mkdir()
    (folder / "profile.yml").write_text("kind: postgres\n", encoding="utf-8")
    (folder / "trucks.sql").write_text("select truck_id, make, updated_at from trucks", encoding="utf-8")
    profile = open_profile(str(folder), {}, company.operational, contract=CONTRACT)
    company.source("insert into trucks values ('T1', 'Mack', now())")
    loads = company.extract(profile=profile)
    assert loads["trucks"].rows_raw == 1
    assert {name for name, load in loads.items() if load.rows_raw == 0} == set(CONTRACT.tables) - {"trucks"}
    assert company.ask("select count(*) from raw.stops") == [0]
    assert {load.status for load in company.extract(profile=profile).values()} == {"unchanged"}


def test_a_stranger_with_other_names_and_types(company: Company, tmp_path: Path) -> None:
    company.source(
        "create schema theirs; create table theirs.halts (id uuid primary key, lorry bigint, on_day timestamp, "
        "state varchar(20), pounds real, changed timestamp); insert into theirs.halts values "
        "('6ecd8c99-4036-403d-bf84-cf8400f67836', 17, '2024-05-05 23:30', 'completed', 12.5, '2024-05-06 01:00')"
    )
    folder = tmp_path / "theirs"
    folder.mkdir()
    (folder / "profile.yml").write_text("kind: postgres\n", encoding="utf-8")
    (folder / "stops.sql").write_text(
        "select id as stop_id, lorry as truck_id, on_day as service_date, state as status, pounds as weight_lb, "
        "changed as updated_at from theirs.halts",
        encoding="utf-8",
    )
    profile = open_profile(str(folder), {}, company.operational, contract=CONTRACT)
    assert company.extract("stops", profile=profile)["stops"].rows_raw == 1
    assert company.ask(
        "select stop_id, truck_id, service_date, weight_lb::text, extra, updated_at::text from raw.stops"
    ) == [("6ecd8c99-4036-403d-bf84-cf8400f67836", "17", date(2024, 5, 5), "12.50", None, "2024-05-06 06:00:00+00")]


def test_only_select_is_asked_of_the_source(company: Company, make_role: Callable[[str, str], str]) -> None:
    add_stops(company, 5)
    reader = make_role(company.operational, "grant select on all tables in schema public to {}")
    restricted = Company(reader, company.warehouse, company.settings)
    assert restricted.extract("stops")["stops"].rows_raw == 5
    stranger = Company(make_role(company.operational, ""), company.warehouse, company.settings)
    with pytest.raises(UserError, match=r"trucks.*may not read.*grant"):
        stranger.extract("trucks")


@pytest.fixture
def make_role() -> Any:
    """A function ``(url, grant) -> url`` that makes a login with nothing but the grant."""
    import secrets
    from urllib.parse import urlsplit, urlunsplit

    made: list[tuple[str, str]] = []

    def make(url: str, grant: str) -> str:
        name, password = f"role_{secrets.token_hex(4)}", secrets.token_hex(8)
        with psycopg.connect(url, autocommit=True) as connection:
            role = sql.Identifier(name)
            connection.execute(sql.SQL("create role {} login password {}").format(role, sql.Literal(password)))
            if grant:
                connection.execute(sql.SQL(grant).format(role))
        made.append((url, name))
        parts = urlsplit(url)
        return urlunsplit(parts._replace(netloc=f"{name}:{password}@{parts.hostname}:{parts.port}"))

    yield make
    for url, name in made:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(sql.SQL("drop owned by {0}; drop role {0}").format(sql.Identifier(name)))
