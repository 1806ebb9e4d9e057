"""The City of Austin's loads through extraction: what reaches raw, what is flagged, and what stands in quarantine."""

import gzip
from collections import Counter
from pathlib import Path

import psycopg
import pytest

from warehouse_assets.database.databases import Databases
from warehouse_assets.errors import UserError
from warehouse_assets.extract.load import extract_system
from warehouse_assets.extract.record import TableLoad
from warehouse_assets.settings import Settings
from warehouse_assets.source.profiles import open_profile

DATA = Path(__file__).parents[3] / "shared" / "data" / "waste"
HALF_YEAR = DATA / "austin_loads_2021H1.csv.gz"

needs_data = pytest.mark.skipif(not HALF_YEAR.exists(), reason=f"the city's loads are not at {DATA}")


def extract(warehouse_url: str, home: Path, loads: Path, **more: str) -> dict[str, TableLoad]:
    databases = Databases("", warehouse_url, warehouse_url, None)
    profile = open_profile("austin", {"loads": str(loads), **more})
    found = extract_system(databases, Settings(home=home), profile, "operations")
    profile.close()
    return {load.table: load for load in found}


@needs_data
def test_each_kind_of_dirt_is_decided_in_the_open(warehouse_url: str, tmp_path: Path) -> None:
    loads = extract(warehouse_url, tmp_path, HALF_YEAR)
    assert loads["loads"].rows_extracted == 26_157
    with psycopg.connect(warehouse_url) as warehouse:
        broken = Counter(
            rule for (rules,) in warehouse.execute("select rules from quarantine.loads").fetchall() for rule in rules
        )
        assert broken == {"weight_plausible": 5, "duplicate_load": 445}
        flagged = Counter(
            flag
            for (flags,) in warehouse.execute("select _flags from raw.loads where _flags is not null").fetchall()
            for flag in flags
        )
        # a sweeping without weight is no fault; of 337 loads tipped over a day away, 72 are two days late and pass
        assert flagged == {"weight_known": 18, "weight_not_zero": 3, "tipped_near_service_date": 265}
        raw = warehouse.execute("select count(*) from raw.loads where _deleted_at is null").fetchone()
    assert raw == (26_157 - 450,)
    assert loads["disposal_sites"].rows_raw == 18
    assert loads["route_runs"].rows_raw == 0


@needs_data
def test_the_same_file_again_changes_nothing_and_a_longer_one_adds_its_rows(warehouse_url: str, tmp_path: Path) -> None:
    lines = gzip.decompress(HALF_YEAR.read_bytes()).splitlines(keepends=True)
    path = tmp_path / "loads.csv"
    path.write_bytes(b"".join(lines[:20_001]))
    first = extract(warehouse_url, tmp_path, path)["loads"]
    assert first.rows_raw + first.rows_quarantined == 20_000
    path.write_bytes(b"".join(lines[:20_001]))  # written anew, the same rows
    again = extract(warehouse_url, tmp_path, path)
    assert {name for name in again if again[name].rows_raw and again[name].status != "unchanged"} == set()
    path.write_bytes(b"".join(lines))
    longer = extract(warehouse_url, tmp_path, path)["loads"]
    assert (longer.rows_updated, longer.rows_deleted) == (0, 0)
    assert longer.rows_raw + longer.rows_quarantined == 26_157


@needs_data
def test_a_damaged_file_loads_nothing_and_the_repaired_one_heals_it(warehouse_url: str, tmp_path: Path) -> None:
    whole = gzip.decompress(HALF_YEAR.read_bytes()).splitlines(keepends=True)[:1001]
    path = tmp_path / "loads.csv"
    path.write_bytes(b"".join([*whole[:500], b"2021-05-01,cut off\n", *whole[500:]]))
    with pytest.raises(UserError, match=r"Line 501 of .*loads\.csv has 2 values where the header has 5") as error:
        extract(warehouse_url, tmp_path, path)
    assert "--set unreadable_rows=quarantine" in str(error.value)
    with psycopg.connect(warehouse_url) as warehouse:
        assert warehouse.execute("select to_regclass('raw.loads')").fetchone() == (None,)
    loads = extract(warehouse_url, tmp_path, path, unreadable_rows="quarantine")["loads"]
    assert loads.rows_extracted == loads.rows_raw + loads.rows_quarantined == 1001
    with psycopg.connect(warehouse_url) as warehouse:
        assert warehouse.execute(
            "select row ->> 'text', row ->> '_line', row ->> '_reason' from quarantine.loads "
            "where rules = '{unreadable_row}'"
        ).fetchall() == [("2021-05-01,cut off", "501", "has 2 values where the header has 5")]
    path.write_bytes(b"".join(whole))
    loads = extract(warehouse_url, tmp_path, path)["loads"]
    assert loads.rows_raw + loads.rows_quarantined == 1000
    with psycopg.connect(warehouse_url) as warehouse:
        left = warehouse.execute("select count(*) from quarantine.loads where rules = '{unreadable_row}'").fetchone()
    assert left == (0,)


# Regression: one date that is none stopped the whole load.
def test_a_load_without_a_date_stands_in_quarantine(warehouse_url: str, tmp_path: Path) -> None:
    path = tmp_path / "loads.csv"
    path.write_text(
        "Load ID,Report Date,Load Type,Load Time,Load Weight,Dropoff Site,Route Type,Route Number\n"
        "1,12/08/2020,GARBAGE COLLECTIONS,12/08/2020 03:02:00 PM,5000,TDS LANDFILL,GARBAGE,PA1\n"
        "2,n/a,GARBAGE COLLECTIONS,12/08/2020 03:02:00 PM,6000,TDS LANDFILL,GARBAGE,PA2\n"
    )
    loads = extract(warehouse_url, tmp_path, path)["loads"]
    assert (loads.rows_raw, loads.rows_quarantined) == (1, 1)
    with psycopg.connect(warehouse_url) as warehouse:
        (rules, row) = warehouse.execute("select rules, row from quarantine.loads").fetchall()[0]
    assert "wrong_type" in rules
    assert row["service_date"] == "n/a"
