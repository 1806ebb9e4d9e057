"""File profiles: rows of CSV as batches of the contract's types, what does not fit by line, SELECTs and helpers."""

import gzip
import json
import os
import resource
import signal
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from warehouse_assets.errors import UserError
from warehouse_assets.source.contract import load_contract
from warehouse_assets.source.profiles import FilesProfile, Reject, open_profile
from warehouse_assets.source.profiles.batches import arrow_schema
from warehouse_assets.source.profiles.duck import MACROS
from warehouse_assets.source.profiles.spool import column_names

LOADS = "select id as load_id, day as service_date, weight as weight_lb, tipped as tipped_at from loads_file"

Read = tuple[list[dict[str, Any]], list[Reject]]


def write_profile(
    directory: Path,
    content: bytes | str,
    name: str = "loads.csv",
    selects: Mapping[str, str] | None = None,
    source: str = "",
    extra: str = "",
    **settings: str,
) -> FilesProfile:
    """Write a profile over one file source and open it."""
    folder = directory / "acme"
    folder.mkdir()
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    (folder / "profile.yml").write_text(
        f"kind: files\ntime_zone: America/Chicago\n{extra}\nfiles:\n  loads_file:\n    location: {name}\n{source}"
    )
    for table, select in (selects or {"loads": LOADS}).items():
        (folder / f"{table}.sql").write_text(select)
    profile = open_profile(str(folder), settings)
    assert isinstance(profile, FilesProfile)
    return profile


@pytest.fixture
def profile_of(tmp_path: Path) -> Callable[..., FilesProfile]:
    return partial(write_profile, tmp_path)


def read(profile: FilesProfile, table: str = "loads") -> Read:
    with profile.read(load_contract().table(table)) as batches:
        rows = [row for batch in batches for row in batch.to_pylist()]
        assert batches.rows == len(rows)
        return rows, batches.rejects


# Regression: a default started from the working directory, which a schedule has another of than a command.
@pytest.mark.parametrize(("given", "row"), [({}, "of the profile"), ({"dir": "sub"}, "of the user")])
def test_a_default_path_starts_from_the_profile_and_a_given_one_from_here(
    given: dict[str, str], row: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "acme"
    for where, name in ((folder / "export", "of the profile"), (tmp_path / "sub", "of the user")):
        where.mkdir(parents=True)
        (where / "sites.csv").write_text(f"name\n{name}\n")
    (folder / "profile.yml").write_text(
        "kind: files\nsettings: {dir: {default: export}}\nfiles: {sites: {location: '{dir}/sites.csv'}}\n"
    )
    (folder / "disposal_sites.sql").write_text("select name as disposal_site_id, name from sites")
    monkeypatch.chdir(tmp_path)
    profile = open_profile(str(folder), given)
    assert isinstance(profile, FilesProfile)
    rows, _ = read(profile, "disposal_sites")
    assert [found["name"] for found in rows] == [row]


def test_rows_have_the_contract_s_columns_in_order_and_its_types(profile_of: Callable[..., FilesProfile]) -> None:
    profile = profile_of("id,day,weight,tipped\n7,2024-03-05,1250.5,2024-03-05 10:00:00\n")
    table = load_contract().table("loads")
    with profile.read(table) as batches:
        (batch,) = list(batches)
    assert batch.schema == arrow_schema(table)
    assert batch.schema.names == list(table.column_names)
    assert batch.schema.field("weight_lb").type == pa.decimal128(12, 2)
    row = batch.to_pylist()[0]
    assert row["load_id"] == "7"
    assert row["service_date"] == date(2024, 3, 5)
    assert row["weight_lb"] == Decimal("1250.50")
    assert row["tipped_at"] == datetime(2024, 3, 5, 16, tzinfo=UTC)  # 10:00 in Chicago
    assert row["updated_at"] == datetime(2024, 3, 5, 6, tzinfo=UTC)  # filled: the business day's midnight there
    assert row["route_id"] is None


def test_a_value_that_does_not_fit_is_set_aside_with_file_line_and_row(
    profile_of: Callable[..., FilesProfile],
) -> None:
    profile = profile_of(
        "id,day,weight,tipped\n"
        "1,2024-03-05,10,\n"
        '2,2024-03-05,"11\n",\n'  # a value over two lines; blanks around a number are no harm
        "3,2024-03-05,heavy,\n"
        "4,2024-02-30,x,\n"
        "5,2024-03-05,,\n"
        "6,2024-03-05,,\n7,2024-03-05,9,\n8,2024-03-06,9,\n"
    )
    rows, rejects = read(profile)
    assert [row["load_id"] for row in rows] == ["1", "2", "5", "6", "7", "8"]
    first, second = rejects
    assert (first.rule, first.line) == ("wrong_type", 5)
    assert first.reason == "weight_lb 'heavy' is no numeric(12,2)"
    assert first.file is not None
    assert first.file.endswith("acme/loads.csv")
    assert json.loads(first.raw) == {
        "load_id": "3", "service_date": "2024-03-05", "weight_lb": "heavy", "tipped_at": None
    }  # fmt: skip
    assert second.line == 6
    assert second.reason == "service_date '2024-02-30' is no date; weight_lb 'x' is no numeric(12,2)"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        # what stands in line 3               why it is no row
        (b"2,2024-03-05", "has 2 values where the header has 4"),
        (b"2,2024-03-05,1,2,3,4", "has 6 values where the header has 4"),
        (b"2,2024-03-05,\x00,", "holds a NUL byte in column weight"),
        (b"\xff\xfe2,2024-03-05,1,", "is no UTF-8 in column id"),
        (b"\xff\xfe2,2024-03-05", "has 2 values where the header has 4"),
    ],
)
def test_an_unreadable_line_stops_or_goes_to_quarantine(
    profile_of: Callable[..., FilesProfile], line: bytes, reason: str
) -> None:
    text = b"id,day,weight,tipped\n1,2024-03-05,5,\n" + line + b"\n3,2024-03-05,5,\n"
    profile = profile_of(text)
    with pytest.raises(UserError, match=r"Line 3 of .*loads\.csv " + reason) as error:
        read(profile)
    assert "--set unreadable_rows=quarantine" in str(error.value)
    kind = open_profile(str(profile.manifest.directory), {"unreadable_rows": "quarantine"})
    assert isinstance(kind, FilesProfile)
    rows, rejects = read(kind)
    assert [row["load_id"] for row in rows] == ["1", "3"]
    assert [(reject.rule, reject.line) for reject in rejects] == [("unreadable_row", 3)]
    assert reason in rejects[0].reason
    assert "\x00" not in rejects[0].raw


# Regression: a blank line became a row of nulls, in quarantine for want of a key, and one of spaces became nothing.
def test_a_line_without_any_value_is_no_row(profile_of: Callable[..., FilesProfile]) -> None:
    profile = profile_of("id,day,weight,tipped\n1,2024-03-05,5,\n\n   \n,,,\n2,2024-03-05,heavy,\n\n")
    rows, rejects = read(profile)
    assert [row["load_id"] for row in rows] == ["1"]
    assert [(reject.rule, reject.line) for reject in rejects] == [("wrong_type", 6)]


def test_a_record_set_aside_keeps_the_file_s_delimiter(profile_of: Callable[..., FilesProfile]) -> None:
    text = b'id;day;weight;tipped\n1;2024-03-05;5;\n2;2024-03-05;"1;5";K\xfchn\n'
    _, rejects = read(profile_of(text, extra="unreadable_rows: quarantine"))
    assert [reject.raw for reject in rejects] == ['2;2024-03-05;"1;5";K\\xfchn']


def test_lines_are_right_after_blank_lines_long_values_and_refused_lines(
    profile_of: Callable[..., FilesProfile],
) -> None:
    body = "".join(f"{number},2024-03-05," + ('"1\n",\n' if number % 3 == 0 else "1,\n") for number in range(1, 2000))
    profile = profile_of(
        "id,day,weight,tipped\n" + body + "\nshort,line\nodd,2024-03-05,x,\n", extra="unreadable_rows: quarantine"
    )
    _, rejects = read(profile)
    lines = 1 + 1999 + 666
    assert [(reject.rule, reject.line) for reject in rejects] == [
        ("unreadable_row", lines + 2),
        ("wrong_type", lines + 3),
    ]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        # the file                                                                    what the reader is told
        ('id,day,weight,tipped\n1,2024-03-05,"5,\n2,2024-03-05,5,\n', "Line 2 .* opens a quote that is never closed"),
        (
            'id,day,weight,tipped\n1,2024-03-05,5,\n2,2024-03-05,5,"x\n3,2024-03-05,5,\n',
            "Line 3 .* opens a quote that is never closed",
        ),
        ('id,day,weight,tipped\n1,2024-03-05,5,\n"2"3,2024-03-05,5,\n', "Line 3 .* has text after a closing quote"),
        ("", "is empty"),
        ("\n\n", "names no columns"),
        ("\ufeffid,day\n".encode("utf-16"), r"is no text in utf-8; .* as encoding: utf-16 or the like"),
        ("id,day,weight\n1,2024-03-05,5\n", "loads.sql is refused by DuckDB .*tipped"),
        (
            "id,day,weight,tipped\n" + "".join(f"{n},2024-03-05,{n} lb,\n" for n in range(30)),
            r"30 of 30 values of loads.weight_lb are no numeric\(12,2\) \(such as '0 lb'\)",
        ),
    ],
)
def test_a_file_that_is_not_what_it_says_ends_in_one_sentence(
    profile_of: Callable[..., FilesProfile], text: str | bytes, sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence) as error:
        read(profile_of(text))
    assert "\n" not in str(error.value)


def test_inches_in_plain_text_are_no_quotes(profile_of: Callable[..., FilesProfile]) -> None:
    rows, rejects = read(profile_of('id,day,weight,tipped\n12" pipe,2024-03-05,5,\n6" x 8",2024-03-05,5,\n'))
    assert [row["load_id"] for row in rows] == ['12" pipe', '6" x 8"']
    assert not rejects


def test_a_header_without_rows_gives_none(profile_of: Callable[..., FilesProfile]) -> None:
    profile = profile_of("id,day,weight,tipped")
    assert read(profile) == ([], [])
    assert not profile.has_rows("loads")
    (profile.manifest.directory / "loads.csv").write_text("id,day,weight,tipped\n1,2024-03-05,5,\n")
    profile.close()
    assert profile.has_rows("loads")


def test_encoding_delimiter_header_skip_and_nulls_can_be_stated(profile_of: Callable[..., FilesProfile]) -> None:
    text = "Export of 5 March\n1;Bär;05.03.2024;n/a\n2;Åse;05.03.2024;12,5\n".encode("latin-1")
    profile = profile_of(
        text,
        name="loads.txt",
        source='    encoding: latin-1\n    delimiter: ";"\n    skip_lines: 1\n'
        "    header: [id, type, day, weight]\n    nulls: [n/a]\n",
        selects={
            "loads": "select id as load_id, type as load_type, strptime(day, '%d.%m.%Y') as service_date, "
            "replace(weight, ',', '.') as weight_lb from loads_file"
        },
    )
    rows, rejects = read(profile)
    assert [(r["load_type"], r["service_date"], r["weight_lb"]) for r in rows] == [
        ("Bär", date(2024, 3, 5), None),
        ("Åse", date(2024, 3, 5), Decimal("12.50")),
    ]
    assert not rejects


# Regression: commas inside the quotes of a header were counted as delimiters.
def test_the_delimiter_is_what_parts_the_names_of_the_header(profile_of: Callable[..., FilesProfile]) -> None:
    profile = profile_of(
        '"id";"day, month, year";"weight, net, lb"\n1;2024-03-05;5\n',
        selects={
            "loads": "select id as load_id, day_month_year as service_date, weight_net_lb as weight_lb from loads_file"
        },
    )
    ((row,), _) = read(profile)
    assert (row["load_id"], row["weight_lb"]) == ("1", Decimal("5.00"))


def test_gzip_and_globs_and_files_with_other_columns(profile_of: Callable[..., FilesProfile]) -> None:
    profile = profile_of(
        gzip.compress(b"id,day,weight,tipped\n1,2024-03-05,5,\n"),
        name="loads-1.csv.gz",
        source="    optional_columns: [route]\n",
        selects={"loads": "select id as load_id, day as service_date, route as route_id from loads_file"},
    )
    folder = profile.manifest.directory
    manifest = folder / "profile.yml"
    manifest.write_text(manifest.read_text().replace("loads-1.csv.gz", '"loads-*"'))
    (folder / "loads-2.csv").write_text("DAY;Route;ID\n2024-03-06;R9;2\n")
    again = open_profile(str(folder), {})
    assert isinstance(again, FilesProfile)
    rows, _ = read(again)
    assert [(row["load_id"], row["route_id"]) for row in rows] == [("1", None), ("2", "R9")]


# Regression: such columns were looked for in all files together, so one with a renamed column gave nulls.
def test_each_file_of_a_glob_has_the_columns_that_must_be_there(profile_of: Callable[..., FilesProfile]) -> None:
    profile = profile_of("id,day,weight,tipped\n1,2024-03-05,5,\n", source="    columns: [id, weight]\n")
    manifest = profile.manifest.directory / "profile.yml"
    manifest.write_text(manifest.read_text().replace("loads.csv", "loads*.csv"))
    (profile.manifest.directory / "loads-2.csv").write_text("id,day,weigth,tipped\n2,2024-03-06,5,\n")
    again = open_profile(str(profile.manifest.directory), {})
    assert isinstance(again, FilesProfile)
    with pytest.raises(UserError, match=r"loads-2\.csv has no column 'weight' \(did you mean 'weigth'\?\)"):
        read(again)


# Regression: the zone of a time given as text was dropped, so an evening's load counted for the day after.
def test_a_time_with_a_zone_given_for_a_date_becomes_the_day_it_is_here(
    profile_of: Callable[..., FilesProfile],
) -> None:
    days = ["2024-03-06T02:30:00Z", "2024-03-06 02:30:00+00:00", "2024-03-05T23:30:00-06:00", "2024-03-05 23:30"]
    profile = profile_of("id,day,weight,tipped\n" + "".join(f"{n},{day},5,\n" for n, day in enumerate(days)))
    rows, rejects = read(profile)
    assert [row["service_date"] for row in rows] == [date(2024, 3, 5)] * 4
    assert not rejects


# Regression: the load stopped, since PostgreSQL refused the date that stood for infinity.
def test_an_infinite_date_or_time_does_not_fit(profile_of: Callable[..., FilesProfile]) -> None:
    profile = profile_of(
        "id,day,weight,tipped\n1,infinity,5,\n2,2024-03-05,5,-infinity\n"
        + "".join(f"{n},2024-03-05,5,2024-03-05 10:00\n" for n in range(3, 7))
    )
    rows, rejects = read(profile)
    assert [row["load_id"] for row in rows] == ["3", "4", "5", "6"]
    assert [reject.reason for reject in rejects] == [
        "service_date 'infinity' is no date",
        "tipped_at '-infinity' is no timestamptz",
    ]


def test_a_cut_off_gzip_file_is_named(profile_of: Callable[..., FilesProfile]) -> None:
    whole = gzip.compress(b"id,day,weight,tipped\n" + b"".join(b"%d,2024-03-05,5,\n" % n for n in range(9999)))
    with pytest.raises(UserError, match=r"loads\.csv\.gz is a broken or cut-off gzip file"):
        read(profile_of(whole[:-200], name="loads.csv.gz"))


def test_helpers_make_keys_dates_and_numbers(profile_of: Callable[..., FilesProfile]) -> None:
    profile = profile_of(
        "site,day,weight,tipped\n"
        'A,3/5/2024,"$1,250.50",03/05/2024 02:30:00 PM\n'
        'A,3/5/2024,"$1,250.50",03/05/2024 02:30:00 PM\n'
        "b  c,3/5/2024,(12),\n"
        "A,3/5/2024,3,\n",
        selects={
            "loads": """-- four loads
            select
                unique_row_key([site, day, weight, tipped], _file, _line) as load_id,
                title_key(site) as disposal_site_id,
                us_date(day) as service_date, us_timestamp(tipped) as tipped_at,
                plain_number(weight) as weight_lb,
            from loads_file;
            """
        },
    )
    rows, rejects = read(profile)
    assert not rejects
    by_weight = sorted(rows, key=lambda row: (row["weight_lb"], row["load_id"]))
    assert [row["weight_lb"] for row in by_weight] == [Decimal(-12), Decimal(3), Decimal("1250.50"), Decimal("1250.50")]
    assert by_weight[0]["disposal_site_id"] == "B C"
    assert by_weight[3]["load_id"] == by_weight[2]["load_id"] + "-2"
    assert by_weight[2]["tipped_at"] == datetime(2024, 3, 5, 20, 30, tzinfo=UTC)
    assert {row["service_date"] for row in rows} == {date(2024, 3, 5)}


@pytest.mark.parametrize(
    ("given", "day", "time"),
    [
        ("3/5/2024", "2024-03-05", "2024-03-05 00:00:00"),
        # Regression: the year 24 came out, not 2024.
        ("3/5/24", "2024-03-05", "2024-03-05 00:00:00"),
        ("12/31/99 11:59 PM", "12/31/99 11:59 PM", "1999-12-31 23:59:00"),
        ("3/5/24 14:30", "3/5/24 14:30", "2024-03-05 14:30:00"),
        ("13/5/24", "13/5/24", "13/5/24"),
    ],
)
def test_dates_as_americans_write_them(given: str, day: str, time: str) -> None:
    connection = duckdb.connect()
    for macro in MACROS:
        connection.execute(macro)
    assert connection.execute("select us_date(?), us_timestamp(?)", [given, given]).fetchone() == (day, time)


def test_keys_stay_when_the_file_grows(profile_of: Callable[..., FilesProfile]) -> None:
    select = {
        "loads": "select unique_row_key([day, weight], _file, _line) as load_id, day as service_date from loads_file"
    }
    profile = profile_of("day,weight\n2024-03-05,1\n2024-03-05,1\n2024-03-05,2\n", selects=select)
    before = {row["load_id"] for row in read(profile)[0]}
    path = profile.manifest.directory / "loads.csv"
    path.write_text(path.read_text() + "2024-03-05,1\n2024-03-06,1\n")
    profile.close()
    after = {row["load_id"] for row in read(profile)[0]}
    assert before < after
    assert len(after) == 5


def test_line_numbers_survive_joins_and_are_left_out_of_groups(profile_of: Callable[..., FilesProfile]) -> None:
    profile = profile_of(
        "id,day,weight,tipped\n1,2024-03-05,x,\n2,2024-03-05,5,\n3,2024-03-05,5,\n4,2024-03-05,5,\n",
        selects={
            "loads": "select l.id as load_id, l.day as service_date, l.weight as weight_lb "
            "from loads_file as l left join loads_file as r using (id)",
            "disposal_sites": "select id as disposal_site_id, weight as name, weight as latitude "
            "from loads_file group by all",
            "routes": "select distinct id as route_id, weight as service_weekday from loads_file",
        },
    )
    assert [reject.line for reject in read(profile)[1]] == [2]
    rows, rejects = read(profile, "disposal_sites")
    assert len(rows) == 3
    assert [reject.line for reject in rejects] == [None]
    rows, rejects = read(profile, "routes")
    assert (len(rows), len(rejects)) == (3, 1)


def test_settings_are_values_never_sql(profile_of: Callable[..., FilesProfile]) -> None:
    profile = profile_of(
        "id,day,weight,tipped\n1,2024-03-05,5,\n2,2024-03-05,5,\n",
        selects={"loads": "select id as load_id, day as service_date from loads_file where id = {wanted}"},
        extra="settings:\n  wanted:\n    default: '2'\n",
        wanted="2' or '1' = '1",
    )
    assert read(profile)[0] == []
    again = open_profile(str(profile.manifest.directory), {})
    assert isinstance(again, FilesProfile)
    assert [row["load_id"] for row in read(again)[0]] == ["2"]


@pytest.mark.parametrize(
    ("select", "sentence"),
    [
        # the SELECT                                                   what the reader is told
        ("select 1 as load_id", "lacks the required column service_date"),
        ("select id as lod_id, day as service_date from loads_file", r"load_id of table loads \(did you mean 'lod_id'"),
        ("select nothing from loads_file", "is refused by DuckDB .*nothing"),
        ("select id as load_id from load_file", "is refused by DuckDB .*load_file"),
        ("select * from read_csv('/etc/passwd')", "opens a file itself"),
        ("select * from read_text('/etc/passwd')", "opens a file itself"),
        ("select id::integer as load_id, tipped::date as service_date from loads_file", "fails on the data"),
        ("select 1; drop view loads_file", "is refused by DuckDB"),
        ("copy (select 1) to '/tmp/x'", "does not begin with select or with"),
    ],
)
def test_a_wrong_select_ends_in_one_sentence(
    profile_of: Callable[..., FilesProfile], select: str, sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence) as error:
        read(profile_of("id,day,weight,tipped\nx,2024-03-05,5,y\n", selects={"loads": select}))
    assert "\n" not in str(error.value)


# Regression: DuckDB's own picture of the statement was shown, and no remedy, where the value came after the first rows.
def test_a_cast_that_fails_late_in_a_file_ends_in_the_sentence_of_one_that_fails_early(
    profile_of: Callable[..., FilesProfile],
) -> None:
    lines = [f"{n},2024-03-05,{'x' if n == 70_000 else n},\n" for n in range(70_001)]
    profile = profile_of(
        "id,day,weight,tipped\n" + "".join(lines),
        selects={"loads": "select id as load_id, day as service_date, weight::double as weight_lb from loads_file"},
    )
    with pytest.raises(UserError, match=r"fails on the data \(Conversion .* to DOUBLE[^^]*\); hand the text on uncast"):
        read(profile)


def test_many_wrong_values_are_no_burden(profile_of: Callable[..., FilesProfile]) -> None:
    # Regression: each refused row was looked at by a query of its own, which took minutes for some ten thousand.
    lines = (f"{n},2024-03-05,{'x' if n % 5 < 2 else n},\n" for n in range(100_000))
    rows, rejects = read(profile_of("id,day,weight,tipped\n" + "".join(lines)))
    assert len(rows) == 60_000
    assert [reject.line for reject in rejects] == [n + 2 for n in range(100_000) if n % 5 < 2]


def test_column_names_are_made_plain() -> None:
    assert column_names(["Año (2024)", "2nd", "a", "A", "ID"]) == ["ano_2024", "column_2nd", "a", "a_2", "id"]


def test_jsonb_and_whole_numbers(profile_of: Callable[..., FilesProfile]) -> None:
    profile = profile_of(
        'id,props,stops\n1,"{""a"": 1}",3\n2,{oops,4\n3,,3.5\n4,[],12\n5,[],1\n6,[],7.0\n',
        selects={
            "portal_events": "select id as portal_event_id, id as portal_session_id, 'login' as event_type, "
            "timestamp '2024-03-05 10:00' as occurred_at, props as properties from loads_file",
            "route_runs": "select id as route_run_id, 'R' as route_id, date '2024-03-05' as service_date, "
            "'completed' as status, stops as planned_stops from loads_file",
        },
    )
    rows, rejects = read(profile, "portal_events")
    assert [row["properties"] for row in rows] == ['{"a": 1}', None, "[]", "[]", "[]"]
    assert [(reject.reason.split()[0], reject.line) for reject in rejects] == [("properties", 3)]
    rows, rejects = read(profile, "route_runs")
    assert [row["planned_stops"] for row in rows] == [3, 4, 12, 1, 7]
    assert [(reject.reason.split()[0], reject.line) for reject in rejects] == [("planned_stops", 4)]


def folders() -> set[Path]:
    return set(Path(tempfile.gettempdir()).glob("warehouse-profile-*"))


@pytest.fixture
def own_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.mark.usefixtures("own_temporary_folder")
def test_temporary_files_go_with_the_profile(profile_of: Callable[..., FilesProfile]) -> None:
    profile = profile_of("id,day,weight,tipped\n1,2024-03-05,5,\n")
    read(profile)
    assert folders()
    profile.close()
    assert not folders()


def test_what_a_killed_process_left_is_removed(
    profile_of: Callable[..., FilesProfile], own_temporary_folder: Path
) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    left = own_temporary_folder / f"warehouse-profile-{ended.pid}-x"
    left.mkdir()
    mine = own_temporary_folder / f"warehouse-profile-{os.getpid()}-x"
    mine.mkdir()
    read(profile_of("id,day,weight,tipped\n1,2024-03-05,5,\n"))
    assert not left.exists()
    assert mine.exists()


def test_a_full_disk_is_told(profile_of: Callable[..., FilesProfile], own_temporary_folder: Path) -> None:
    profile = profile_of("id,day,weight,tipped\n" + "".join(f"{n * 7919},2024-03-05,5,\n" for n in range(50_000)))
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limit[1]))
    try:
        with pytest.raises(UserError, match=f"the disk of {own_temporary_folder} has space, or set TMPDIR"):
            read(profile)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, before)
    assert len(read(profile)[0]) == 50_000
