"""Extraction after the source has changed: what travels, what raw holds. Whose days are dirty: test_extract_days."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from test_extract_company import (  # noqa: F401  fixtures
    CONTRACT,
    STOPS,
    TIME_ZONE,
    Company,
    add_stops,
    by_cursor_fixture,
    company_fixture,
)

from warehouse_assets.errors import UserError
from warehouse_assets.extract import checks, incremental
from warehouse_assets.source.profiles import open_profile

# a small table is read whole, a large one by its cursor: the outcome is the same
either_way = pytest.mark.parametrize("whole_rows", [-1, 20_000], ids=["by cursor", "whole"])


@pytest.fixture
def stops(company: Company, monkeypatch: pytest.MonkeyPatch, whole_rows: int) -> Company:
    """The company with forty stops extracted, on four days from 2024-03-01."""
    monkeypatch.setattr(incremental, "WHOLE_ROWS", whole_rows)
    add_stops(company, 40)
    company.extract("stops")
    return company


def same_as_source(company: Company, name: str = "stops") -> bool:
    return company.rows(name, "raw") == company.rows(name, "source")


@either_way
def test_nothing_new_writes_nothing(stops: Company) -> None:
    before = stops.ask("select xmin::text, ctid::text, _batch_id from raw.stops order by 1, 2")
    state = stops.ask("select batch_id, changed_batch_id, watermark, rows_raw, latest_day from etl.table_state")
    load = stops.extract("stops")["stops"]
    assert (load.status, load.batch_id, load.rows_unchanged) == ("unchanged", None, load.rows_extracted)
    assert stops.ask("select xmin::text, ctid::text, _batch_id from raw.stops order by 1, 2") == before
    assert stops.ask("select batch_id, changed_batch_id, watermark, rows_raw, latest_day from etl.table_state") == state
    log = stops.ask("select status, batch_id from etl.job_log order by job_log_id desc limit 1")
    assert log == [("unchanged", None)]


@either_way
@pytest.mark.parametrize(
    ("statement", "figures", "days"),
    [
        # what happens in the source, rows inserted, updated, deleted, rejected, and the dirty days in March
        ("update stops set weight_lb = 1, updated_at = now() where stop_id = 'S3'", (0, 1, 0, 0), [1]),
        ("update stops set service_date = '2024-03-09', updated_at = now() where stop_id = 'S3'", (0, 1, 0, 0), [1, 9]),
        ("insert into stops values ('L', 'T1', '2024-03-02', 'missed', 5, null, now())", (1, 0, 0, 0), [2]),
        ("delete from stops where stop_id = 'S39'", (0, 0, 1, 0), [4]),
        ("delete from stops where stop_id in ('S0', 'S15')", (0, 0, 2, 0), [1, 2]),
        ("update stops set status = 'lost', updated_at = now() where stop_id = 'S25'", (0, 0, 0, 1), [3]),
        ("update stops set weight_lb = null, updated_at = now() where stop_id = 'S25'", (0, 1, 0, 0), [3]),
        ("update stops set stop_id = 'X', updated_at = now() where stop_id = 'S25'", (1, 0, 1, 0), [3]),
        ("insert into stops values ('B', 'T1', '2024-03-02', 'lost', 5, null, now())", (0, 0, 0, 1), []),
    ],
)
def test_a_change_arrives_and_dirties_its_days(
    stops: Company, statement: str, figures: tuple[int, ...], days: list[int]
) -> None:
    stops.source(statement)
    load = stops.extract("stops")["stops"]
    assert (load.rows_inserted, load.rows_updated, load.rows_deleted, load.rows_rejected) == figures
    assert load.rows_extracted == load.rows_inserted + load.rows_updated + load.rows_unchanged + load.rows_rejected
    assert stops.dirty("stops") == [date(2024, 3, day) for day in days]
    held = len(stops.rows("stops", "raw")) + len(stops.quarantined("stops"))
    assert held == len(stops.rows("stops", "source")) == load.rows_raw + load.rows_quarantined
    assert load.status == "succeeded"
    assert stops.extract("stops")["stops"].status == "unchanged"


@either_way
def test_a_row_changed_400_days_back_dirties_its_day_alone(stops: Company) -> None:
    stops.source("insert into stops values ('O', 'T1', '2023-01-25', 'completed', 5, null, '2024-03-01 12:00Z')")
    stops.extract("stops")
    stops.source("update stops set weight_lb = 6, updated_at = now() where stop_id = 'O'")
    stops.extract("stops")
    assert stops.dirty("stops") == [date(2023, 1, 25)]
    assert same_as_source(stops)


@either_way
def test_a_deleted_row_is_marked_and_comes_back(stops: Company) -> None:
    stops.source("create table gone as select * from stops where stop_id = 'S5'")
    stops.source("delete from stops where stop_id = 'S5'")
    stops.extract("stops")
    assert stops.ask("select stop_id from raw.stops where _deleted_at is not null") == ["S5"]
    stops.source("insert into stops select * from gone")
    load = stops.extract("stops")["stops"]
    assert (load.rows_updated, load.rows_raw) == (1, 40)
    assert stops.dirty("stops") == [date(2024, 3, 1)]
    assert same_as_source(stops)
    assert stops.ask("select count(*) from raw.stops where _deleted_at is not null") == [0]


@either_way
def test_a_corrected_row_leaves_quarantine_by_itself(stops: Company) -> None:
    stops.source("update stops set weight_lb = 99999, updated_at = now() where stop_id = 'S5'")
    stops.extract("stops")
    first = stops.ask("select quarantine_id, batch_id, quarantined_at from quarantine.stops")
    stops.extract("stops")
    assert stops.ask("select quarantine_id, batch_id, quarantined_at from quarantine.stops") == first
    assert stops.ask("select count(*) from raw.stops where stop_id = 'S5'") == [0]
    stops.source("update stops set weight_lb = 99, updated_at = now() where stop_id = 'S5'")
    load = stops.extract("stops")["stops"]
    assert stops.quarantined("stops") == []
    assert (load.rows_inserted, load.rows_quarantined) == (1, 0)
    assert stops.dirty("stops") == [date(2024, 3, 1)]
    assert same_as_source(stops)


@either_way
def test_a_quarantined_row_deleted_in_the_source_leaves_quarantine(stops: Company) -> None:
    stops.source("update stops set weight_lb = 99999, updated_at = now() where stop_id in ('S5', 'S6')")
    stops.extract("stops")
    stops.source("delete from stops where stop_id = 'S5'")
    load = stops.extract("stops")["stops"]
    assert stops.quarantined("stops") == [("S6", ["weight_plausible"])]
    assert (load.rows_raw, load.rows_quarantined) == (38, 1)


def test_reading_by_cursor_carries_the_overlap_and_no_more(company: Company, by_cursor: None) -> None:
    add_stops(company, 300)  # five hours of minutes
    company.extract("stops")
    company.source("update stops set weight_lb = 1, updated_at = now() where stop_id = 'S3'")
    load = company.extract("stops")["stops"]
    assert (load.rows_extracted, load.rows_updated, load.rows_unchanged) == (62, 1, 61)
    assert load.watermark_from == "2024-03-01 16:59:00+00"
    assert company.rows("stops", "raw") == company.rows("stops", "source")


def test_a_row_dated_ahead_does_not_hide_later_ones(company: Company, by_cursor: None) -> None:
    add_stops(company, 10)
    company.source("update stops set updated_at = '2999-01-01' where stop_id = 'S1'")
    load = company.extract("stops")["stops"]
    assert datetime.fromisoformat(load.watermark_to or "") - datetime.now(UTC) < timedelta(minutes=1)
    company.source("update stops set weight_lb = 4, updated_at = now() where stop_id = 'S2'")
    assert company.extract("stops")["stops"].rows_updated == 1


def test_a_source_clock_that_ran_backwards_loses_nothing(company: Company, by_cursor: None) -> None:
    add_stops(company, 200)
    company.extract("stops")
    # the newest rows are gone and others, written by a clock two days behind, have come: a restored backup
    company.source("delete from stops where stop_id in ('S198', 'S199')")
    company.source("update stops set weight_lb = 9, updated_at = updated_at - interval '2 days' where stop_id = 'S50'")
    load = company.extract("stops")["stops"]
    assert (load.rows_updated, load.rows_deleted) == (1, 2)
    assert "clock ran backwards" in load.warnings[0]
    assert load.watermark_to == "2024-03-01 15:17:00+00"
    assert company.rows("stops", "raw") == company.rows("stops", "source")


def test_keys_are_compared_once_a_day_and_find_exchanged_rows(company: Company, by_cursor: None) -> None:
    add_stops(company, 200)
    company.extract("stops")
    # one row gone, one come in before the overlap: the count is the same and the cursor shows nothing
    company.source("delete from stops where stop_id = 'S7'")
    company.source("insert into stops values ('N', 'T1', '2024-03-02', 'missed', 5, null, '2024-03-01 12:00Z')")
    assert company.extract("stops")["stops"].status == "unchanged"
    company.change_warehouse("update etl.table_state set reconciled_at = now() - interval '25 hours'")
    load = company.extract("stops")["stops"]
    assert load.is_reconciled
    assert (load.rows_inserted, load.rows_deleted) == (1, 1)
    assert company.rows("stops", "raw") == company.rows("stops", "source")
    assert not company.extract("stops")["stops"].is_reconciled


# Regression: what a transaction wrote that was open for longer than the overlap was never read.
def test_a_change_under_an_earlier_cursor_is_found_when_keys_are_compared(company: Company, by_cursor: None) -> None:
    add_stops(company, 600)
    company.extract("stops")
    with psycopg.connect(company.operational) as late:
        late.execute("update stops set weight_lb = 1, updated_at = '2024-03-01 20:30Z' where stop_id = 'S3'")
        company.source("update stops set weight_lb = 2, updated_at = '2024-03-02' where stop_id = 'S4'")
        assert company.extract("stops")["stops"].rows_updated == 1
    # a row that goes lets the keys be compared, but not their cursors: that costs as much again
    company.source("delete from stops where stop_id = 'S9'")
    load = company.extract("stops")["stops"]
    assert (load.rows_updated, load.rows_deleted, load.is_reconciled) == (0, 1, False)
    company.change_warehouse("update etl.table_state set reconciled_at = now() - interval '25 hours'")
    load = company.extract("stops")["stops"]
    assert (load.rows_updated, load.is_reconciled) == (1, True)
    assert "rows have changed under an earlier updated_at" in load.warnings[0]
    assert company.rows("stops", "raw") == company.rows("stops", "source")
    assert company.extract("stops")["stops"].rows_extracted < 100


# Regression: rows loaded before the zone of a profile was corrected kept the times of the wrong one.
def test_another_time_zone_of_the_profile_reads_the_table_whole(
    company: Company, by_cursor: None, tmp_path: Path
) -> None:
    add_stops(company, 600)
    (tmp_path / "stops.sql").write_text(
        "select stop_id, service_date, status, updated_at at time zone 'UTC' as updated_at from stops", encoding="utf-8"
    )
    for zone, first in (("UTC", "2024-03-01 12:00:00+00"), ("America/Denver", "2024-03-01 19:00:00+00")):
        (tmp_path / "profile.yml").write_text(f"kind: postgres\ntime_zone: {zone}\n", encoding="utf-8")
        company.extract("stops", profile=open_profile(str(tmp_path), {}, company.operational, contract=CONTRACT))
        assert company.ask("select min(updated_at)::text from raw.stops") == [first]


# Regression: no line said why a table was read whole, and the SELECT's settings and columns did not all count.
def test_another_select_reads_the_table_whole_once_and_says_so(
    company: Company, by_cursor: None, tmp_path: Path
) -> None:
    add_stops(company, 600)
    (tmp_path / "profile.yml").write_text(
        "kind: postgres\nsettings:\n  since: {default: '2024-01-01'}\n  unused: {default: a}\n", encoding="utf-8"
    )

    def extract(select: str, **settings: str) -> tuple[int, bool]:
        """How many rows were read, and whether the change of the SELECT is told."""
        (tmp_path / "stops.sql").write_text(select, encoding="utf-8")
        opened = open_profile(str(tmp_path), settings, company.operational, contract=CONTRACT)
        load = company.extract("stops", profile=opened)["stops"]
        return load.rows_extracted, any("its SELECT has changed" in warning for warning in load.warnings)

    plain = "select stop_id, service_date, status, updated_at from stops where service_date >= {since}::date"
    overlap = 61  # the last hour
    assert extract(plain) == (600, False)
    assert extract(plain, unused="b") == (overlap, False)
    heavy = plain.replace("status,", "status, weight_lb,")
    assert extract(heavy) == (600, True)
    assert extract(heavy) == (overlap, False)
    assert company.ask("select count(*) from raw.stops where weight_lb is null") == [0]
    # what no longer comes goes, also from quarantine
    company.source("update stops set status = 'lost' where stop_id in ('S3', 'S300')")
    assert extract(heavy + " ") == (overlap, False)
    assert extract("select * from stops") == (600, True)
    assert company.quarantined("stops") == [("S3", ["status_known"]), ("S300", ["status_known"])]
    assert extract(heavy, since="2024-03-11") == (500, True)
    assert company.ask("select count(*), min(service_date) from raw.stops where _deleted_at is null") == [
        (499, date(2024, 3, 11))
    ]
    assert company.quarantined("stops") == [("S300", ["status_known"])]
    # a column that the source gets later is another column for all its rows
    company.source("alter table stops rename column extra to later")
    assert extract("select * from stops") == (600, True)
    company.source("alter table stops rename column later to extra")
    assert extract("select * from stops") == (600, True)
    assert company.rows("stops", "raw") == [row for row in company.rows("stops", "source") if row[3] != "lost"]


def test_a_changed_select_of_a_table_that_is_kept_takes_nothing_away(
    company: Company, by_cursor: None, tmp_path: Path
) -> None:
    company.source("insert into events select i, now() - i * interval '1 day', 'view' from generate_series(1, 50) as i")
    (tmp_path / "profile.yml").write_text("kind: postgres\n", encoding="utf-8")
    for select, kinds in (("select * from events", ["view"]), ("select event_id, occurred_at, 'see' as kind "
                          "from events where event_id > 20", ["see", "view"])):  # fmt: skip
        (tmp_path / "events.sql").write_text(select, encoding="utf-8")
        opened = open_profile(str(tmp_path), {}, company.operational, contract=CONTRACT)
        load = company.extract("events", profile=opened)["events"]
        assert load.rows_raw == 50
        assert company.ask("select distinct kind from raw.events order by 1") == kinds
    assert "rows no longer given stay" in load.warnings[0]


def test_what_a_source_purges_stays_under_the_policy_keep(company: Company) -> None:
    company.source(
        "insert into events select i, timestamptz '2024-03-01' + i * interval '1 hour', 'view' "
        "from generate_series(1, 50) as i"
    )
    company.extract("events")
    company.source("delete from events where event_id <= 30; insert into events values (51, now(), 'click')")
    load = company.extract("events")["events"]
    assert (load.rows_inserted, load.rows_deleted, load.rows_raw) == (1, 0, 51)
    company.source("delete from events")
    assert company.extract("events")["events"].rows_raw == 51


# Regression: no count tells of a late row where the source purges, and nothing else was looked at.
def test_a_late_row_of_a_table_that_is_purged_is_found_within_a_day(company: Company, by_cursor: None) -> None:
    company.source(
        "insert into events select i, timestamptz '2024-03-01' + i * interval '1 hour', 'view' "
        "from generate_series(1, 50) as i"
    )
    company.extract("events")
    company.source("delete from events where event_id <= 30; insert into events values (60, '2024-03-02', 'late')")
    assert company.extract("events")["events"].rows_inserted == 0
    company.change_warehouse("update etl.table_state set reconciled_at = now() - interval '25 hours'")
    load = company.extract("events")["events"]
    assert (load.rows_inserted, load.rows_deleted, load.rows_raw) == (1, 0, 51)
    assert company.extract("events")["events"].rows_extracted < 10


def test_repeated_rows_are_kept_once_and_let_out_when_the_first_has_gone(company: Company) -> None:
    company.source(
        "insert into tips values ('1', 'A', '2024-03-02', 5), ('2', 'A', '2024-03-02', 5), ('3', 'A', null, 5), "
        "('4', 'A', null, 5), ('5', 'B', '2024-03-02', 5), ('6', 'A', '2024-03-02', -1)"
    )
    company.extract("tips")
    kept = [("2", ["repeated_tip"]), ("4", ["repeated_tip"]), ("6", ["weight_not_negative"])]
    assert company.quarantined("tips") == kept
    company.source("insert into tips values ('0', 'B', '2024-03-02', 5)")  # a smaller key does not displace the first
    company.extract("tips")
    assert company.quarantined("tips") == [("0", ["repeated_tip"]), *kept]
    company.source("delete from tips where tip_id = '1'; update tips set weight_lb = 6 where tip_id = '3'")
    load = company.extract("tips")["tips"]
    assert company.quarantined("tips") == [("0", ["repeated_tip"]), ("6", ["weight_not_negative"])]
    assert company.ask("select tip_id from raw.tips where _deleted_at is null order by 1") == ["2", "3", "4", "5"]
    assert load.rows_extracted == load.rows_inserted + load.rows_updated + load.rows_unchanged + load.rows_rejected
    assert company.extract("tips")["tips"].status == "unchanged"


def test_latest_day_follows_the_rows(company: Company) -> None:
    add_stops(company, 40)
    company.source("insert into stops values ('F', 'T1', '2999-01-01', 'completed', 5, null, now())")
    assert company.extract("stops")["stops"].latest_day == date(2024, 3, 4)
    company.source("insert into stops values ('N', 'T1', '2024-03-20', 'completed', 5, null, now())")
    assert company.extract("stops")["stops"].latest_day == date(2024, 3, 20)
    company.source("delete from stops where stop_id = 'N'")
    assert company.extract("stops")["stops"].latest_day == date(2024, 3, 4)


def test_a_full_refresh_of_the_same_rows_changes_nothing(company: Company) -> None:
    add_stops(company, 40)
    company.extract()
    company.source("delete from stops where stop_id = 'S5'")
    company.extract()
    before = company.ask("select xmin::text, ctid::text, _deleted_at from raw.stops order by 1, 2")
    loads = company.extract(full_refresh=True)
    assert {load.status for load in loads.values()} == {"unchanged"}
    assert company.ask("select xmin::text, ctid::text, _deleted_at from raw.stops order by 1, 2") == before


def test_an_empty_source_deletes_nothing_unless_asked(company: Company) -> None:
    add_stops(company, 40)
    company.extract("stops")
    company.source("delete from stops")
    with pytest.raises(UserError, match=r"no row of table stops, raw.stops holds 40; nothing was del.*--full-refresh"):
        company.extract("stops")
    assert company.ask("select count(*) from raw.stops where _deleted_at is null") == [40]
    assert company.ask("select status, error like '%%--full-refresh%%' from etl.job_log order by 1 limit 1") == [
        ("failed", True)
    ]
    load = company.extract("stops", full_refresh=True)["stops"]
    assert (load.rows_deleted, load.rows_raw) == (40, 0)
    assert company.extract("stops")["stops"].status == "unchanged"


def test_all_tables_of_the_contract_in_one_run(company: Company) -> None:
    add_stops(company, 40)
    company.source("insert into prices values ('paper', '2024-03-01', 'NaN', now()), ('tin', '2024-03-01', 2.5, now())")
    loads = company.extract()
    assert list(loads) == list(CONTRACT.tables)
    company.source("update prices set price_usd = 3 where commodity = 'tin'")
    company.source("delete from prices where commodity = 'paper'")
    company.extract()
    for name in CONTRACT.tables:
        assert company.rows(name, "raw") == company.rows(name, "source"), name


def test_rows_that_break_rules_are_searched_whole_or_in_the_latest_days(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    company.source("insert into stops values ('OLD', null, '2023-01-02', 'missed', 1, null, now())")
    add_stops(company, 20)
    load = company.extract("stops")["stops"]
    monkeypatch.setattr(checks, "MODEL_TABLES", {"stops"})
    company.change_warehouse("update raw.stops set status = 'lost' where stop_id in ('OLD', 'S3')")
    company.change_warehouse("update raw.stops set weight_lb = 'NaN' where stop_id = 'S4'")

    def found() -> list[str]:
        with psycopg.connect(company.warehouse) as connection:
            return sorted(checks.broken_rows(connection, STOPS, load, TIME_ZONE))

    assert found() == ["status_known (OLD)", "status_known (S3)", "weight_lb_finite (S4)"]
    monkeypatch.setattr(checks, "SEARCHED_ROWS", 10)
    assert found() == ["status_known (S3)", "weight_lb_finite (S4)"]
