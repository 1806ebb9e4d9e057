"""Sources and values that cannot be used: one sentence with the remedy, nothing half-written, healed by the next."""

import os
import re
import secrets
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from psycopg import sql
from test_extract_company import STOPS, Company, add_stops, company_fixture  # noqa: F401  fixture

from warehouse_assets.database.connections import connect_to_source
from warehouse_assets.database.embedded import EmbeddedServer
from warehouse_assets.errors import UserError
from warehouse_assets.extract.load import ExtractionError
from warehouse_assets.extract.source import open_snapshot
from warehouse_assets.source.contract import Contract, Rule
from warehouse_assets.source.profiles import open_profile


def with_url(company: Company, **parts: str) -> Company:
    """The company with another URL of its source."""
    split = urlsplit(company.operational)
    netloc = f"{parts.get('user', split.username)}:{parts.get('password', split.password)}@"
    netloc += f"{split.hostname}:{parts.get('port', split.port)}"
    return Company(urlunsplit(split._replace(netloc=netloc)), company.warehouse, company.settings)


def state(company: Company) -> list[object]:
    return company.ask("select source_table, batch_id, watermark, rows_raw from etl.table_state order by 1")


@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        # what has happened to the source                             what the user is told
        (
            "alter table stops drop column weight_lb",
            r"Table stops of the source database .* lacks column 'weight_lb'.*add it there, or write a SELECT",
        ),
        (
            "alter table stops alter column weight_lb type text",
            r"Column 'weight_lb' of table stops .* has type text, the contract wants numeric\(10,2\): change it back",
        ),
        (
            "alter table stops alter column service_date type timestamptz",
            r"Column 'service_date' of table stops .* has type timestamp with time zone, the contract wants date",
        ),
        ("alter table stops rename to halts", r"stops.*relation .*stops.* does not exist.*correct the name"),
        ("alter table stops alter column weight_lb type numeric; update stops set weight_lb = 1e12",
         r"stops as it stands gives stops\.weight_lb a value that does not become numeric\(10,2\) \(numeric field "
         r"overflow\); convert it in a SELECT, or correct it in the source\."),
        ("alter table stops drop constraint stops_pkey; update stops set stop_id = "
         "(select string_agg(md5(i::text), '') from generate_series(1, 400) as i) where stop_id = 'S3'",
         r"stops.*too large for PostgreSQL \(index row .*shorten it\."),
    ],
    ids=["missing column", "changed type", "changed to a time", "missing table", "too large", "key too long"],
)  # fmt: skip
@pytest.mark.parametrize("loaded", [False, True], ids=["first load", "later load"])
def test_a_source_that_breaks_the_contract_loads_nothing_of_the_table(
    company: Company, statement: str, sentence: str, loaded: bool
) -> None:
    add_stops(company, 20)
    company.source("insert into trucks values ('T1', 'Mack', now())")
    if loaded:
        company.extract()
    before = state(company)
    company.source(statement)
    company.source("insert into trucks values ('T2', 'Mack', now())")
    with pytest.raises(ExtractionError, match=sentence) as raised:
        company.extract()
    assert not raised.value.is_transient
    assert company.ask("select count(*) from raw.trucks") == [1 + 1]  # the other tables were extracted
    assert [row for row in state(company) if row[0] == "stops"] == [row for row in before if row[0] == "stops"]
    if loaded:
        assert company.ask("select count(*) from raw.stops where _deleted_at is null") == [20]
    failed = company.ask("select source_table, error from etl.job_log where status = 'failed'")
    assert [table for table, _ in failed] == ["stops"]
    assert failed[0][1] in str(raised.value)


# Regression: the sentence went on with the line of the statement, "LINE 1: select ... ^".
# Regression: a traceback, no table of the system extracted, and where no lock_timeout was set a run without an end.
def test_a_locked_source_table_fails_alone_and_heals(company: Company) -> None:
    add_stops(company, 5)
    company.source("insert into trucks values ('T1', 'Mack', now())")
    hasty = replace(company, operational=f"{company.operational}?options=-c%20lock_timeout%3D200")
    with psycopg.connect(company.operational) as other:
        other.execute("alter table stops add column note text")
        with pytest.raises(
            ExtractionError, match=r"^stops could not be .*Another session, .* holds a lock .*and run again\."
        ) as raised:
            hasty.extract("stops", "trucks")
        assert raised.value.is_transient
        assert company.ask("select count(*) from raw.trucks") == [1]
    assert hasty.extract("stops")["stops"].rows_raw == 5
    with connect_to_source(company.operational, application_name="test") as patient:
        assert patient.execute("show lock_timeout").fetchone() == ("1min",)


# Regression: "canceling statement due to statement timeout The other 1 tables were extracted", without a remedy.
def test_a_limit_of_the_source_on_statements_is_told_and_heals(company: Company, tmp_path: Path) -> None:
    add_stops(company, 5)
    company.source("insert into trucks values ('T1', 'Mack', now())")
    for name, wait in (("stops", ", pg_sleep(5)"), ("trucks", "")):
        (tmp_path / f"{name}.sql").write_text(f"select {name}.* from {name}{wait}", encoding="utf-8")  # noqa: S608
    (tmp_path / "profile.yml").write_text("kind: postgres\n", encoding="utf-8")

    def extract(url: str) -> None:
        slow = replace(company, operational=url)
        slow.extract("stops", "trucks", profile=open_profile(str(tmp_path), {}, url, contract=company.contract))

    sentence = (
        r"stopped reading the source .*statement_timeout = 0\), and run again\. The other 1 table was extracted\."
    )
    with pytest.raises(ExtractionError, match=sentence) as raised:
        extract(f"{company.operational}?options=-c%20statement_timeout%3D900")
    assert not raised.value.is_transient
    (tmp_path / "stops.sql").write_text("select * from stops", encoding="utf-8")
    extract(company.operational)
    assert company.ask("select count(*) from raw.stops") == [5]


def test_an_error_of_a_query_is_told_without_the_query(company: Company) -> None:
    add_stops(company, 3)
    company.extract("stops")
    with psycopg.connect(company.warehouse, autocommit=True) as connection:
        connection.execute("alter table raw.stops rename column _deleted_at to gone_at")
    company.source("update stops set weight_lb = 7, updated_at = now()")
    with pytest.raises(ExtractionError) as raised:
        company.extract("stops")
    (load,) = raised.value.loads
    assert load.error is not None
    assert re.fullmatch(r'column "?\S*_deleted_at"? does not exist\.', load.error), load.error


@pytest.mark.parametrize(
    ("expect", "said"),
    [
        # what the contract says          what PostgreSQL says to it
        ("weight_lb betwen 0 and 9", 'syntax error at or near "betwen"'),
        ("wait_lb > 0", 'column "wait_lb" does not exist'),
        ("weight_lb > 'much'", 'invalid input syntax for type numeric: "much"'),
        ("weight_lb", "argument of IS FALSE must be type boolean, not type numeric"),
        ("sum(weight_lb) > 0", "aggregate functions are not allowed in WHERE"),
    ],
)
@pytest.mark.parametrize("loaded", [False, True], ids=["first load", "later load"])
def test_a_rule_that_is_no_sql_is_named(company: Company, expect: str, said: str, loaded: bool) -> None:
    add_stops(company, 3)
    if loaded:
        company.extract("stops")
    broken = replace(STOPS, rules=(STOPS.rules[0], Rule("weighed", "warning", expect=expect)))
    careless = replace(company, contract=Contract({**company.contract.tables, "stops": broken}))
    sentence = (
        f"stops could not be extracted: Rule weighed of table stops is no SQL condition over its columns ({said}); "
        "correct its `expect` in the sources YAML of shop."
    )
    with pytest.raises(ExtractionError, match=f"^{re.escape(sentence)}$") as raised:
        careless.extract("stops")
    assert not raised.value.is_transient
    assert company.extract("stops")["stops"].rows_raw == 3


def test_a_rule_that_some_row_cannot_be_judged_by_is_named(company: Company) -> None:
    add_stops(company, 3)
    company.source("update stops set weight_lb = 0 where stop_id = 'S1'")
    divided = replace(STOPS, rules=(Rule("light", "error", expect="1 / weight_lb > 0"),))
    careless = replace(company, contract=Contract({**company.contract.tables, "stops": divided}))
    with pytest.raises(ExtractionError, match=r"Rule light of table stops cannot be judged .*division by zero"):
        careless.extract("stops")


def test_an_extra_column_is_ignored(company: Company) -> None:
    company.source("alter table stops add column surprise text default 'x'")
    company.source("insert into stops values ('A', 'T', '2024-03-01', 'missed', 1, null, now())")
    assert company.extract("stops")["stops"].rows_raw == 1


# Regression: a value that the planner itself meets ended the whole system with PostgreSQL's own error.
def test_a_select_that_cannot_be_planned_fails_its_table_alone(company: Company, tmp_path: Path) -> None:
    (tmp_path / "profile.yml").write_text("kind: postgres\n")
    (tmp_path / "tips.sql").write_text("select tip_id, site, tipped_at, 1 / 0 as weight_lb from tips")
    (tmp_path / "trucks.sql").write_text("select * from trucks")
    company.source("insert into trucks values ('T1', 'Mack', now())")
    profile = open_profile(str(tmp_path), {}, company.operational, contract=company.contract)
    with pytest.raises(UserError, match=r"tips.sql is refused by the source database \(division by zero\)"):
        company.extract("tips", "trucks", profile=profile)
    assert company.ask("select truck_id from raw.trucks") == ["T1"]


# Regression: the sentence had the value and not its column, of which a table has some thirty.
@pytest.mark.parametrize(
    ("select", "sentence"),
    [
        ("select stop_id, service_date, 'n/a' as weight_lb, updated_at from stops",
         r'stops\.sql gives stops\.weight_lb a value that does not become numeric\(10,2\) \(.*"n/a"\); convert it'),
        ("select stop_id, '2026-02-30' as service_date, updated_at::text from stops",
         r'stops\.sql gives stops\.service_date a value that does not become date \(.*"2026-02-30"\); convert it'),
        ("select * from stops where 1 / (length(stop_id) - 2) > 0",
         r"A value met while reading the source .*division by zero"),
    ],
    ids=["number", "date", "no column's fault"],
)  # fmt: skip
def test_the_column_of_a_value_that_is_none_of_its_type_is_named(
    company: Company, tmp_path: Path, select: str, sentence: str
) -> None:
    add_stops(company, 5)
    (tmp_path / "profile.yml").write_text("kind: postgres\n", encoding="utf-8")
    (tmp_path / "stops.sql").write_text(select, encoding="utf-8")
    profile = open_profile(str(tmp_path), {}, company.operational, contract=company.contract)
    with pytest.raises(ExtractionError, match=sentence):
        company.extract("stops", profile=profile)


# Regression: after a count that failed, the snapshot could neither be counted nor joined any more.
def test_a_count_that_fails_leaves_the_snapshot_as_it_was(company: Company, tmp_path: Path) -> None:
    (tmp_path / "profile.yml").write_text("kind: postgres\ntables_from: public\n", encoding="utf-8")
    (tmp_path / "stops.sql").write_text("select * from stops where 1 / (length(stop_id) - 2) > 0", encoding="utf-8")
    add_stops(company, 3)
    profile = open_profile(str(tmp_path), {}, None, contract=company.contract)
    with open_snapshot(profile, company.operational) as snapshot:
        with pytest.raises(UserError, match=r"counting stops in the source.*division by zero"):
            snapshot.count(STOPS)
        assert snapshot.count(company.contract.table("tips")) == 0
        with snapshot.session() as session:
            assert not session.has_rows(company.contract.table("tips"))


# Regression: PostgreSQL's own message came through, with a line of the statement, and no table was named or logged.
def test_a_user_who_may_not_make_temporary_tables_is_told(company: Company) -> None:
    role, database = f"stranger_{secrets.token_hex(4)}", urlsplit(company.warehouse).path.lstrip("/")
    company.change_warehouse(
        f"create role {role} login password '{role}'; revoke temp on database {database} from public; "
        f"grant usage on schema raw, quarantine, etl to {role}; grant all on all tables in schema etl to {role}; "
        f"grant all on all sequences in schema etl to {role}"
    )
    try:
        split = urlsplit(company.warehouse)
        plain = urlunsplit(split._replace(netloc=f"{role}:{role}@{split.hostname}:{split.port}"))
        sentence = rf"could not be extracted.*lacks a right.*temporary tables in database \"{database}\".*grant it"
        with pytest.raises(ExtractionError, match=sentence):
            replace(company, warehouse=plain).extract("stops", "tips")
        assert company.ask("select source_table, status from etl.job_log order by 1") == [
            ("stops", "failed"),
            ("tips", "failed"),
        ]
    finally:
        company.change_warehouse(f"drop owned by {role}; drop role {role}")


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        ({"password": "wrong-Secret-9"}, r"refuses user .* wrong or missing password; correct it in the URL"),
        ({"user": "nobody_there"}, r"refuses user 'nobody_there'"),
        ({"port": "1"}, r"No server answers for database .* at 127.0.0.1:1; start it, or correct the URL"),
    ],
)
def test_a_source_out_of_reach_is_told_and_logged(company: Company, parts: dict[str, str], sentence: str) -> None:
    add_stops(company, 3)
    with pytest.raises(UserError, match=sentence) as raised:
        with_url(company, **parts).extract("stops", "trucks")
    assert "wrong-Secret-9" not in str(raised.value)
    logged = company.ask("select source_table, status, error from etl.job_log order by 1")
    assert [row[:2] for row in logged] == [("stops", "failed"), ("trucks", "failed")]
    assert {row[2] for row in logged} == {str(raised.value)}
    assert company.extract("stops")["stops"].rows_raw == 3


def test_text_that_is_no_utf8_is_refused_and_heals(
    server: EmbeddedServer, company: Company, make_database: Callable[..., str]
) -> None:
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute(
            "create database bytes_only encoding 'SQL_ASCII' locale 'C' locale_provider libc template template0"
        )
    try:
        careless = Company(server.url("bytes_only"), company.warehouse, company.settings)
        careless.make_tables()
        careless.source("insert into trucks values ('T1', 'Mack', now())")
        with psycopg.connect(careless.operational, autocommit=True) as connection:
            connection.execute(rb"insert into trucks values ('T2', E'M\303', now())")
        with pytest.raises(UserError, match=r"trucks.*no valid UTF-8.*correct it"):
            careless.extract("trucks")
        assert company.ask("select to_regclass('raw.trucks')::text") == [None]
        careless.source("delete from trucks where truck_id = 'T2'")
        assert careless.extract("trucks")["trucks"].rows_raw == 1
    finally:
        with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
            connection.execute("drop database bytes_only with (force)")


def test_a_statement_of_the_source_cannot_write(company: Company, tmp_path: Path) -> None:
    company.source("create function spoil() returns text language sql as 'delete from trucks returning truck_id'")
    company.source("insert into trucks values ('T1', 'Mack', now())")
    (tmp_path / "profile.yml").write_text("kind: postgres\n", encoding="utf-8")
    (tmp_path / "trucks.sql").write_text("select spoil() as truck_id, now() as updated_at", encoding="utf-8")
    profile = open_profile(str(tmp_path), {}, company.operational, contract=company.contract)
    with pytest.raises(ExtractionError, match="read-only transaction"):
        company.extract("trucks", profile=profile)
    assert company.rows("trucks", "source") != []


def test_a_value_never_becomes_sql(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    nasty = "x'); drop table raw.stops; --"
    company.source(
        "insert into stops values (%s, %s, '2024-03-01', 'completed', 99999, %s::jsonb, now())", nasty, nasty, "{}"
    )
    company.source("insert into trucks values (%s, %s, now())", nasty, nasty)
    for _ in range(2):
        company.extract()
        company.source("update trucks set make = make || '!', updated_at = now()")
    assert company.quarantined("stops") == [(nasty, ["weight_plausible"])]
    assert company.ask("select truck_id from raw.trucks") == [nasty]


@pytest.fixture
def tiny_disk(server: EmbeddedServer, tmp_path: Path) -> Iterator[str]:
    """A tablespace of 16 MB; skips, aloud, where no file system can be mounted."""
    place = Path("/var/tmp") / f"warehouse-tiny-{os.getpid()}"  # noqa: S108  must be reachable by the server's account
    place.mkdir(mode=0o755)
    data = next((server.home / "postgres").glob("*/PG_VERSION"), None)
    owner = (data or server.home).stat()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size=16m,uid={owner.st_uid},gid={owner.st_gid}", "tmpfs", str(place)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode != 0:
        place.rmdir()
        pytest.skip("A full disk cannot be played here: mounting a small file system needs more rights.")
    try:
        with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL("create tablespace tiny location {}").format(sql.Literal(str(place))))
        yield "tiny"
        with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
            connection.execute("drop tablespace tiny")
    finally:
        subprocess.run(["umount", str(place)], check=False)
        place.rmdir()


def test_a_full_disk_is_one_sentence_and_heals(company: Company, tiny_disk: str) -> None:
    company.extract("stops")  # makes raw.stops
    company.change_warehouse(f"alter table raw.stops set tablespace {tiny_disk}")
    add_stops(company, 300_000)
    try:
        with pytest.raises(ExtractionError, match=r"disk is full.*free some space there and run again") as raised:
            company.extract("stops")
        assert not raised.value.is_transient
        assert company.ask("select count(*) from raw.stops") == [0]
        company.source("delete from stops where stop_id > 'S1'")
        assert company.extract("stops")["stops"].rows_raw == len(company.rows("stops", "source"))
    finally:
        company.change_warehouse("drop table raw.stops cascade")


def test_another_time_zone_needs_a_full_refresh(company: Company) -> None:
    company.source("insert into tips values ('1', 'A', '2024-03-02 05:30Z', 5)")
    company.extract("tips")
    moved = Company(company.operational, company.warehouse, company.settings.__class__(
        home=company.settings.home, time_zone="UTC"
    ))  # fmt: skip
    with pytest.raises(UserError, match=r"time zone America/Chicago, WAREHOUSE_TIME_ZONE is UTC.*--full-refresh"):
        moved.extract("tips")
    moved.extract("tips", full_refresh=True)
    assert any("UTC" in index for index in company.ask("select indexdef from pg_indexes where tablename = 'tips'"))


def test_names_that_are_not_contracted(company: Company) -> None:
    with pytest.raises(UserError, match="There is no table 'lodes'"):
        company.extract("lodes")
