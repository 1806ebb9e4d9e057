"""File profiles over JSON, XML and Parquet: every usual shape, and the sentence for what is broken."""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from profile_files import read

from warehouse_assets.errors import UserError
from warehouse_assets.source.profiles import FilesProfile, open_profile

JSON_ROWS = [
    {"id": 1, "day": "2024-03-05", "weight": 12.5, "tipped": None, "site": {"name": "North"}},
    {"id": "2", "day": "2024-03-06", "weight": "13", "tipped": "2024-03-06T10:00:00Z", "isLate": True},
]
JSON_SELECT = {
    "loads": "select id as load_id, day as service_date, weight as weight_lb, tipped as tipped_at, "
    "(site ->> '$.name') as disposal_site_id, is_late as load_type from loads_file"
}


@pytest.mark.parametrize(
    ("name", "text", "source"),
    [
        # file         what it holds                                                        rows:
        ("a.json", json.dumps(JSON_ROWS), ""),
        ("a.json", json.dumps(JSON_ROWS, indent=4), ""),
        ("a.ndjson", "\n".join(json.dumps(row) for row in JSON_ROWS), ""),
        ("a.jsonl", "\ufeff" + "\n\n".join(json.dumps(row) for row in JSON_ROWS) + "\n\n", ""),
        ("a.json", json.dumps({"meta": 1, "data": {"items": JSON_ROWS}}), "    rows: data.items\n"),
    ],
)
def test_json_in_every_usual_shape(profile_of: Callable[..., FilesProfile], name: str, text: str, source: str) -> None:
    rows, rejects = read(profile_of(text, name=name, source=source, selects=JSON_SELECT))
    assert [(r["load_id"], r["weight_lb"], r["disposal_site_id"], r["load_type"]) for r in rows] == [
        ("1", Decimal("12.50"), "North", None),
        ("2", Decimal("13.00"), None, "true"),
    ]
    assert rows[1]["tipped_at"] == datetime(2024, 3, 6, 10, tzinfo=UTC)
    assert not rejects


# Regression: a number kept 17 of its digits, and lost the zeros at its end.
def test_a_json_number_is_read_as_it_is_written(profile_of: Callable[..., FilesProfile]) -> None:
    text = '{"id": 1.10, "day": "2024-03-05", "weight": 0.5e2}\n{"id": 12345678901234567890.5, "day": "2024-03-05"}\n'
    rows, _ = read(
        profile_of(
            text,
            name="a.ndjson",
            selects={"loads": "select id as load_id, day as service_date, weight as weight_lb from loads_file"},
        )
    )
    assert [row["load_id"] for row in rows] == ["1.10", "12345678901234567890.5"]
    assert rows[0]["weight_lb"] == Decimal(50)


def test_a_long_json_array_is_read_across_blocks_with_its_lines(profile_of: Callable[..., FilesProfile]) -> None:
    # Regression: a character of several bytes on the edge of a block must not be taken for broken UTF-8.
    items = [
        {"id": n, "day": "2024-03-05", "weight": "x" if n == 29_999 else n, "note": "é☃🚛" * 20} for n in range(30_000)
    ]
    text = "[\n" + ",\n".join(json.dumps(item, ensure_ascii=False) for item in items) + "\n]\n"
    assert len(text.encode()) > 5 << 20
    profile = profile_of(
        text,
        name="a.json",
        selects={"loads": "select id as load_id, day as service_date, weight as weight_lb from loads_file"},
    )
    rows, rejects = read(profile)
    assert len(rows) == 29_999
    assert [(reject.line, reject.reason.split()[0]) for reject in rejects] == [(30_001, "weight_lb")]


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        # file            what it holds                            what the reader is told
        ("a.json", b"", "is empty"),
        ("a.json", b'[{"id": 1},\n {"id": 2]', r"Line 2 of .*a\.json is no valid JSON"),
        ("a.json", b'[{"id": 1}\n {"id": 2}]', r"Line 2 of .*a\.json is no valid JSON \(after an array's element"),
        ("a.json", b'{"id": 1,\n "day": }', r"Line 2 of .*a\.json is no valid JSON"),
        ("a.json", b'[{"id": 1},\n{"id": "\xff"}]', r"Line 2 of .*a\.json is no UTF-8"),
        # Regression: DuckDB was said to refuse the SELECT, whose columns it did not know.
        ("a.json", b"[]", r"a\.json holds no rows, and so names no columns; if that may be, list them under columns:"),
        ("a.json", b"[1, 2]", r"Line 1 of .*a\.json is no JSON object"),
        ("a.json", b'[{"id": NaN}]', "NaN is no JSON value"),
        # Regression: this ended in a RecursionError.
        ("a.json", b'[{"id": 1},\n {"id": ' + b"[" * 100_000, r"Line 2 of .*a\.json is no valid JSON \(.*too deeply"),
        ("a.ndjson", b'{"id": "1"}\n{"id": }\n', r"Line 2 of .*a\.ndjson is no valid JSON"),
        ("a.ndjson", b'{"id": "1"}\n{"id": "\\u0000"}\n', "Line 2 .*NUL character"),
    ],
)
def test_broken_json_ends_in_one_sentence(
    profile_of: Callable[..., FilesProfile], name: str, text: bytes, sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        read(profile_of(text, name=name, selects=JSON_SELECT))


def test_a_broken_line_of_json_lines_can_go_to_quarantine(profile_of: Callable[..., FilesProfile]) -> None:
    profile = profile_of(
        '{"id": "1", "day": "2024-03-05"}\n{"id": \n{"id": "3", "day": "2024-03-05"}\n',
        name="a.ndjson",
        selects={"loads": "select id as load_id, day as service_date from loads_file"},
        unreadable_rows="quarantine",
    )
    rows, rejects = read(profile)
    assert [row["load_id"] for row in rows] == ["1", "3"]
    assert [(reject.line, reject.raw) for reject in rejects] == [(2, '{"id":')]


XML = """<?xml version="1.0" encoding="{encoding}"?>
<a:export xmlns:a="urn:x"><head><load>no row</load></head>
<a:loads>
  <load number="1" xsi:nil="false" xmlns:xsi="urn:y">
    <day>2024-03-05</day><weight unit="lb"> 12.5 </weight><site><name>Süd</name></site><note>a</note><note>b</note>
  </load>
  <load number="2"><day>2024-03-06</day><weight/></load>
</a:loads></a:export>
"""
XML_SELECT = {
    "loads": "select number as load_id, day as service_date, weight as weight_lb, site_name as disposal_site_id, "
    "note as load_type, weight_unit as waste_stream from loads_file"
}


# Regression: a path written with the file's own prefixes found nothing.
@pytest.mark.parametrize(
    "rows", [".//loads/load", "/export/loads/load", "loads/load", ".//a:loads/load", "/a:export/{urn:x/1}loads/load"]
)
@pytest.mark.parametrize("encoding", ["utf-8", "iso-8859-1", "utf-16"])
def test_xml_elements_become_rows(profile_of: Callable[..., FilesProfile], rows: str, encoding: str) -> None:
    text = XML.format(encoding=encoding).encode(encoding)
    found, _ = read(profile_of(text, name="a.xml", source=f"    rows: {rows}\n", selects=XML_SELECT))
    keys = ("load_id", "weight_lb", "disposal_site_id", "load_type", "waste_stream")
    assert [tuple(row[key] for key in keys) for row in found] == [
        ("1", Decimal("12.50"), "Süd", '["a","b"]', "lb"),
        ("2", None, None, None, None),
    ]


@pytest.mark.parametrize(
    ("text", "source", "sentence"),
    [
        # the file                             rows:                  what the reader is told
        ("<a><load/></a>", "", "add rows: .//NAME"),
        ("<a><b/></a>", "    rows: .//load\n", r"no element at rows: .//load \(the root is <a>\)"),
        ("<a>\n<load></a>", "    rows: .//load\n", r"Line 2 of .* is not well-formed XML \(mismatched tag\)"),
        (
            '<!DOCTYPE a [<!ENTITY b "ha"><!ENTITY c "&b;&b;">]><a><load>&c;</load></a>',
            "    rows: .//load\n",
            "declares a document type",
        ),
    ],
)
def test_broken_or_dangerous_xml_is_refused(
    profile_of: Callable[..., FilesProfile], text: str, source: str, sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        read(profile_of(text, name="a.xml", source=source, selects=XML_SELECT))


def test_parquet_keeps_its_types(profile_of: Callable[..., FilesProfile], tmp_path: Path) -> None:
    path = tmp_path / "source.parquet"
    columns = {
        "Load ID": pa.array([1, 2, 3], pa.int64()),
        "Day": pa.array([date(2024, 3, 5)] * 3),
        "Weight": pa.array([1.5, None, float("nan")]),
        "Tipped": pa.array([datetime(2024, 3, 5, 10)] * 3, pa.timestamp("us")),
    }
    pq.write_table(pa.table(columns), path)
    profile = profile_of(
        path.read_bytes(),
        name="a.parquet",
        selects={
            "loads": "select load_id, day as service_date, weight as weight_lb, tipped as tipped_at from loads_file"
        },
    )
    rows, rejects = read(profile)
    assert [(row["load_id"], row["weight_lb"]) for row in rows] == [("1", Decimal("1.50")), ("2", None)]
    assert rows[0]["tipped_at"] == datetime(2024, 3, 5, 16, tzinfo=UTC)
    assert [(reject.line, reject.reason.split()[0]) for reject in rejects] == [(3, "weight_lb")]


# Regression: a folder named like a column, as in a partitioned export, stood in for the values of the file.
def test_a_folder_s_name_stands_in_for_no_column(profile_of: Callable[..., FilesProfile]) -> None:
    content = pa.BufferOutputStream()
    pq.write_table(pa.table({"id": ["1"], "day": ["2024-03-05"], "route": ["R-7"]}), content)
    select = "select id as load_id, day as service_date, route as route_id, _file as load_type from loads_file"
    profile = profile_of(b"", name="route=all.parquet", selects={"loads": select})
    folder = profile.manifest.directory / "route=7"
    folder.mkdir()
    (folder / "part.parquet").write_bytes(content.getvalue().to_pybytes())
    manifest = profile.manifest.directory / "profile.yml"
    manifest.write_text(manifest.read_text().replace("route=all.parquet", '"route=*/*.parquet"'))
    again = open_profile(str(profile.manifest.directory), {})
    assert isinstance(again, FilesProfile)
    ((row,), _) = read(again)
    assert (row["route_id"], row["load_type"].endswith("route=7/part.parquet")) == ("R-7", True)


def test_a_broken_parquet_file_is_named(profile_of: Callable[..., FilesProfile]) -> None:
    with pytest.raises(UserError, match=r"a\.parquet is no readable Parquet file"):
        read(profile_of(b"PAR1 not really", name="a.parquet"))
