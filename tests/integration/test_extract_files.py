"""Extraction from files: rows that cannot be read or cast are quarantined, corrected files heal."""

from pathlib import Path

import pytest
from test_extract_company import CONTRACT, Company, company_fixture  # noqa: F401  fixture

from warehouse_assets.errors import UserError
from warehouse_assets.source.profiles import Profile, open_profile

MANIFEST = """
kind: files
unreadable_rows: quarantine
settings:
  stops: {help: the file}
files:
  stops_file: {location: "{stops}", columns: [id, day, state, pounds]}
"""
SELECT = "select id as stop_id, day as service_date, state as status, pounds as weight_lb from stops_file"


@pytest.fixture(name="folder")
def folder_fixture(tmp_path: Path) -> Path:
    folder = tmp_path / "profile"
    folder.mkdir()
    (folder / "profile.yml").write_text(MANIFEST, encoding="utf-8")
    (folder / "stops.sql").write_text(SELECT, encoding="utf-8")
    return folder


def opened(folder: Path, content: bytes) -> Profile:
    file = folder.parent / "stops.csv"
    file.write_bytes(b"id,day,state,pounds\n" + content)
    return open_profile(str(folder), {"stops": str(file)}, None, contract=CONTRACT)


def test_every_row_of_a_file_is_in_raw_or_in_quarantine(company: Company, folder: Path) -> None:
    content = (
        b"A,2024-03-01,completed,10\n"
        b"B,2024-03-01,completed,ten\n"  # no number
        b"C,2024-03-01\n"  # a short line
        b"D,2024-03-02,lost,10\n"  # breaks a rule
        b"E,2024-03-02,mis\x00sed,10\n"  # a NUL byte
        b"F,2024-03-02,missed,\n"
    )
    for _ in range(2):
        load = company.extract("stops", profile=opened(folder, content))["stops"]
        assert company.ask("select stop_id from raw.stops order by 1") == ["A", "F"]
        assert company.ask("select stop_id, rule from quarantine.stops order by 1 nulls last, 2") == [
            ("B", "wrong_type"),
            ("D", "status_known"),
            (None, "unreadable_row"),
            (None, "unreadable_row"),
        ]
        assert (load.rows_extracted, load.rows_raw, load.rows_quarantined) == (6, 2, 4)
    assert load.status == "unchanged"
    [reason] = company.ask("select row ->> '_reason' from quarantine.stops where stop_id = 'B'")
    assert "'ten'" in reason
    [line] = company.ask("select row ->> '_line' from quarantine.stops where row ->> 'text' like 'C,%'")
    assert line == "4"
    healed = content.replace(b"ten", b"10").replace(b"C,2024-03-01\n", b"C,2024-03-01,missed,1\n").replace(b"\x00", b"")
    load = company.extract("stops", profile=opened(folder, healed))["stops"]
    assert (load.rows_inserted, load.rows_raw, load.rows_quarantined) == (3, 5, 1)


def test_a_key_on_two_rows_of_a_file_settles_the_same_way_each_time(company: Company, folder: Path) -> None:
    rows = [b"A,2024-03-01,completed,10\n", b"A,2024-03-01,completed,11\n", b"A,2024-03-01,completed,11\n"]
    company.extract("stops", profile=opened(folder, b"".join(rows)))
    assert company.ask("select weight_lb::text from raw.stops") == ["11.00"]
    assert company.quarantined("stops") == [("A", ["duplicate_key"])] * 2
    load = company.extract("stops", profile=opened(folder, b"".join(reversed(rows))))["stops"]
    assert load.status == "unchanged"


def test_a_file_that_lost_a_column_changes_nothing(company: Company, folder: Path) -> None:
    company.extract("stops", profile=opened(folder, b"A,2024-03-01,completed,10\n"))
    profile = opened(folder, b"")
    (folder.parent / "stops.csv").write_bytes(b"id,day,state\nA,2024-03-01,completed\n")
    with pytest.raises(UserError, match=r"stops could not be extracted: .*pounds"):
        company.extract("stops", profile=profile)
    assert company.ask("select weight_lb::text from raw.stops") == ["10.00"]


def test_an_empty_file_deletes_nothing_unless_asked(company: Company, folder: Path) -> None:
    company.extract("stops", profile=opened(folder, b"A,2024-03-01,completed,10\n"))
    with pytest.raises(UserError, match=r"no row of table stops.*--full-refresh"):
        company.extract("stops", profile=opened(folder, b""))
    assert company.extract("stops", profile=opened(folder, b""), full_refresh=True)["stops"].rows_deleted == 1


def test_a_key_that_is_none_of_its_type_is_quarantined_at_every_reading(company: Company, folder: Path) -> None:
    # Regression: the second reading compared the text of the key with the column's type, and failed ever after.
    (folder / "stops.sql").unlink()
    (folder / "prices.sql").write_text(
        "select id as commodity, day as price_date, pounds as price_usd, now() as updated_at from stops_file"
    )
    for price in (b"10", b"11"):
        company.extract("prices", profile=opened(folder, b"steel,n/a,x,1\npaper,2024-03-01,x," + price + b"\n"))
        assert company.ask("select price_usd::text from raw.prices") == [price.decode()]
        assert company.ask("select rule from quarantine.prices") == ["wrong_type"]
