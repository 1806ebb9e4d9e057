"""What schedules and sensors are told of a database: which tables have something new, asked without loading any."""

import contextlib
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from test_extract_company import STOPS, TIPS, TRUCKS, Company, company_fixture, table  # noqa: F401  fixture

from warehouse_assets.extract.load import extract_system
from warehouse_assets.operate import probe
from warehouse_assets.settings import Settings
from warehouse_assets.source.contract import Contract
from warehouse_assets.source.profiles import FilesProfile, open_profile, profile
from warehouse_assets.source.profiles.choice import remember_profile

MOVES = table("moves", {"move_id": "text!", "number": "bigint!"}, ["move_id"], cursor="number")
NOTES = table("notes", {"note_id": "text!", "updated_at": "timestamptz!"}, ["note_id"], cursor="updated_at")
CONTRACT = Contract({each.name: each for each in (TRUCKS, TIPS, MOVES, NOTES)})


@pytest.fixture(name="probed")
def probed_fixture(company: Company, monkeypatch: pytest.MonkeyPatch) -> Company:
    """A company with tables by time (trucks, notes), by a number (moves) and without a cursor (tips), all empty."""
    company.source("create table moves (move_id text primary key, number bigint not null)")
    company.source("create table notes (note_id text primary key, updated_at timestamptz not null)")
    company.change_warehouse("insert into etl.setting (key, value) values ('profile', 'default')")
    for module in (probe, profile):
        monkeypatch.setattr(module, "load_contract", lambda: CONTRACT)
    made = replace(company, contract=CONTRACT)
    made.extract()
    return made


def told(company: Company, *tables: str) -> dict[str, str] | None:
    """What the source says of each table that has moved, of those named (all if none is)."""
    urls = Settings(company.settings.home, company.warehouse, company.operational, company.warehouse)
    return probe.moved_tables(urls, tables or None)


def moved(company: Company) -> list[str] | None:
    said = told(company)
    return None if said is None else list(said)


# Regression: a table that was empty on both sides counted as moved, so that every tick started a run.
def test_an_empty_table_has_moved_once_it_has_rows(probed: Company) -> None:
    assert moved(probed) == []
    probed.source("insert into tips values ('1', 'A', '2024-03-02', 5)")
    probed.source("insert into trucks values ('T1', 'Mack', '2024-03-02')")
    assert moved(probed) == ["tips", "trucks"]


def test_a_table_never_read_has_moved_if_it_has_rows(probed: Company) -> None:
    probed.change_warehouse("delete from etl.table_state where source_table in ('moves', 'trucks')")
    probed.source("insert into moves values ('a', 5)")
    assert moved(probed) == ["moves"]


# Regression: an integer cursor was compared as a time, which PostgreSQL refuses.
@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("trucks", ("('T1', 'Mack', '2024-03-02 12:00Z')", "('T2', 'Mack', '2024-03-02 12:01Z')")),
        ("moves", ("('a', 9)", "('b', 10)")),  # as texts, 10 would stand before 9
    ],
)
def test_a_table_has_moved_if_its_cursor_has(probed: Company, name: str, rows: tuple[str, str]) -> None:
    probed.source(f"insert into {name} values {rows[0]}")  # noqa: S608  the rows above
    probed.extract()
    assert moved(probed) == []
    probed.source(f"insert into {name} values {rows[1]}")  # noqa: S608  the rows above
    assert moved(probed) == [name]


# Regression: one row dated 2999 started a run at every tick.
def test_a_row_dated_ahead_is_news_once_and_hides_none(probed: Company) -> None:
    probed.source("insert into notes values ('A', '2999-01-01'), ('B', '2024-03-02')")
    assert moved(probed) == ["notes"]
    probed.extract()
    assert moved(probed) == []
    probed.source("update notes set updated_at = now() where note_id = 'B'")
    said = told(probed)
    assert list(said or ()) == ["notes"]
    assert told(probed) == said
    probed.source("update notes set updated_at = now() where note_id = 'B'")
    assert told(probed) != said, "what it says of it does not stand still either"
    probed.extract()
    probed.source("insert into notes values ('C', '2999-01-02')")
    assert moved(probed) == ["notes"]
    probed.extract()
    assert moved(probed) == []


def test_a_table_with_rows_and_no_cursor_counts_as_moved(probed: Company) -> None:
    probed.source("insert into tips values ('1', 'A', '2024-03-02', 5)")
    probed.extract()
    assert moved(probed) == ["tips"]


# Without a cursor or a later row nothing else tells whether a table that was not read is worth another try.
def test_what_is_said_of_a_table_changes_with_its_source(probed: Company) -> None:
    probed.source("insert into tips values ('1', 'A', '2024-03-02', 5)")
    probed.source("insert into moves values ('a', 5)")
    probed.extract()
    probed.source("insert into moves values ('b', 6)")
    said = told(probed, "moves", "tips")
    for statement, is_changed in (
        ("insert into moves values ('c', 7)", True),
        ("truncate tips", True),
        ("alter table moves add column note text", False),  # which nobody reads
        ("alter table tips alter column site type varchar", True),
        ("alter table moves drop column number", True),
        ("alter table moves add column number bigint not null default 5", True),
    ):
        before = said
        probed.source(statement)
        said = told(probed, "moves", "tips")
        assert (said != before) == is_changed, statement
        assert told(probed, "tips", "moves") == said
    assert list(said or ()) == ["tips"]


def test_a_warehouse_never_filled_is_told_apart(probed: Company) -> None:
    probed.change_warehouse("delete from etl.setting")
    assert moved(probed) is None


# Regression: the tick failed, and no table of any job was read until this one was mended.
def test_a_table_that_the_source_cannot_compare_counts_as_moved(probed: Company, tmp_path: Path) -> None:
    (tmp_path / "profile.yml").write_text("kind: postgres\n", encoding="utf-8")
    (tmp_path / "trucks.sql").write_text("select truck_id, make as updated_at from trucks", encoding="utf-8")
    probed.change_warehouse("truncate etl.setting")
    remember_profile(probed.databases, str(tmp_path), None)
    probed.change_warehouse(
        "update etl.table_state set rows_raw = 1, watermark = '2024-03-01' where source_table = 'trucks'"
    )
    probed.source("insert into trucks values ('T1', 'soon', now())")
    assert moved(probed) == ["trucks"]
    probed.source("alter table trucks drop column make")
    assert moved(probed) == ["trucks"]


# Regression: a file written anew while a run had it open was not read before it changed again, where a table of it was
# extracted after that: what counted was when the table's transaction began, not when the file was read.
def test_a_file_written_anew_under_a_run_has_moved(
    company: Company, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contract = Contract({each.name: each for each in (STOPS, TIPS)})
    for module in (probe, profile):
        monkeypatch.setattr(module, "load_contract", lambda: contract)
    folder, file = tmp_path / "profile", tmp_path / "all.csv"
    folder.mkdir()
    (folder / "profile.yml").write_text(f"kind: files\nfiles: {{everything: {{location: {file}}}}}\n", encoding="utf-8")
    (folder / "stops.sql").write_text("select id as stop_id, day as service_date from everything", encoding="utf-8")
    (folder / "tips.sql").write_text("select id as tip_id, unicode(id) as weight_lb from everything", encoding="utf-8")
    file.write_text("id,day\nA,2024-03-01\n", encoding="utf-8")

    def extract(then: str) -> None:
        """Extract table after table, the file written anew after the first one."""
        still = iter([then] if then else [])

        def on_table(_table: str, _rows: int) -> None:
            for text in still:
                time.sleep(0.02)  # the time of modification is as coarse as the kernel's ticks
                file.write_text(text, encoding="utf-8")

        with contextlib.closing(open_profile(str(folder), {}, contract=contract)) as opened:
            settings = replace(company.settings, threads=1)
            extract_system(company.databases, settings, opened, "shop", contract=contract, on_table=on_table)

    remember_profile(company.databases, str(folder), None)
    time.sleep(0.02)
    extract(then="id,day\nA,2024-03-01\nB,2024-03-01\n")
    assert company.ask("select count(*) from raw.tips") == [1]
    said = told(company)
    assert list(said or ()) == ["stops", "tips"]
    assert told(company) == said
    with monkeypatch.context() as untold:  # a server that does not tell, which counts as changed now
        untold.setattr(FilesProfile, "modified_at", lambda *_: datetime.now(UTC))
        assert told(company) == told(company) != said
    extract(then="")
    assert company.ask("select count(*) from raw.tips") == [2]
    assert moved(company) == []


# Regression: under the schedules an edited SELECT waited until the source itself had something new.
def test_a_table_whose_select_has_changed_counts_as_moved(probed: Company, tmp_path: Path) -> None:
    (tmp_path / "profile.yml").write_text("kind: postgres\n", encoding="utf-8")
    moves = tmp_path / "moves.sql"
    moves.write_text("select move_id, number from moves", encoding="utf-8")
    probed.change_warehouse("truncate etl.setting")
    remember_profile(probed.databases, str(tmp_path), None)
    probed.source("insert into moves values ('a', 5)")
    probed.extract("moves", profile=open_profile(str(tmp_path), {}, probed.operational, contract=CONTRACT))
    assert moved(probed) == []
    moves.write_text("select upper(move_id) as move_id, number from moves", encoding="utf-8")
    assert moved(probed) == ["moves"]
    probed.extract("moves", profile=open_profile(str(tmp_path), {}, probed.operational, contract=CONTRACT))
    assert moved(probed) == []


# Regression: where nothing else moved, rows that were deleted in the source stayed for ever.
def test_a_table_that_follows_deletions_moves_once_a_day(probed: Company) -> None:
    probed.source("insert into notes values ('n', '2024-03-02'), ('m', '2024-03-02')")
    probed.extract()
    probed.source("delete from notes where note_id = 'm'")
    assert moved(probed) == []
    probed.change_warehouse("update etl.table_state set reconciled_at = now() - interval '25 hours'")
    assert moved(probed) == ["notes"]
    probed.extract()
    assert moved(probed) == []
