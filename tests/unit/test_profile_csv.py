"""Rows of CSV files as batches of the contract's types; what does not fit is set aside by file and line."""

import gzip
import json
from collections.abc import Callable
from datetime import date
from decimal import Decimal

import pytest
from profile_files import read

from warehouse_assets.errors import UserError
from warehouse_assets.source.profiles import FilesProfile, open_profile


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
