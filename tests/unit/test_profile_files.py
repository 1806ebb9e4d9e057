"""File profiles: paths, SELECTs with their settings, and the helpers SELECTs may use."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from profile_files import read

from warehouse_assets.errors import UserError
from warehouse_assets.source.contract import load_contract
from warehouse_assets.source.profiles import FilesProfile, open_profile
from warehouse_assets.source.profiles.batches import arrow_schema
from warehouse_assets.source.profiles.duck import MACROS
from warehouse_assets.source.profiles.spool import column_names


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
