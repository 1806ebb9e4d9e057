"""`warehouse profile check` over files: each column's state, before anything is loaded."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from warehouse_assets.settings import Settings
from warehouse_assets.source.contract import load_contract
from warehouse_assets.source.profiles import open_profile
from warehouse_assets.source.profiles.check import check_profile
from warehouse_assets.source.profiles.commands import check_command, new_command
from warehouse_assets.source.profiles.report import ProfileReport, render

MANIFEST = "name: acme\nkind: files\nfiles:\n  f: {location: a.csv}\n"
CSV = "id,day,weight,junk\n" + "".join(f"{n},2024-03-05,{'light' if n == 4 else n},abc\n" for n in range(9))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "profile.yml").write_text(MANIFEST)
    (tmp_path / "a.csv").write_text(CSV)
    return tmp_path


def check(folder: Path) -> ProfileReport:
    return check_profile(open_profile(str(folder), {}), load_contract())


def states(report: ProfileReport, table: str) -> dict[str, str]:
    found = next(item for item in report.tables if item.name == table)
    return {column.name: column.state for column in found.columns}


def test_columns_are_mapped_filled_missing_partly_fitting_or_extra(folder: Path) -> None:
    (folder / "loads.sql").write_text("select id as load_id, day as service_date, weight as weight_lb, junk from f")
    report = check(folder)
    found = states(report, "loads")
    assert not report.blocks
    assert found["load_id"] == found["service_date"] == "mapped"
    assert (found["weight_lb"], found["updated_at"], found["vehicle_id"], found["junk"]) == (
        "partly", "filled", "missing", "extra"
    )  # fmt: skip
    weight = next(column for column in report.tables[0].columns if column.name == "weight_lb")
    assert weight.note == "1 of 9 values sampled does not fit, such as 'light'; such rows go to quarantine"
    assert "customers" in report.empty
    assert "loads" not in report.empty


@pytest.mark.parametrize(
    ("select", "column", "state"),
    [
        # loads.sql                                                              column          its state
        ("select id as load_id, junk as service_date from f", "service_date", "wrong type"),
        ("select id as load_id, junk as servicedate from f", "service_date", "missing required"),
        ("select day as service_date from f", "load_id", "missing required"),
    ],
)
def test_what_blocks_is_told(folder: Path, select: str, column: str, state: str) -> None:
    (folder / "loads.sql").write_text(select)
    report = check(folder)
    assert report.blocks
    assert states(report, "loads")[column] == state


def test_a_table_that_cannot_be_read_does_not_hide_the_others(folder: Path) -> None:
    (folder / "loads.sql").write_text("select id as load_id, day as service_date from f")
    (folder / "routes.sql").write_text("select nothing as route_id from f")
    report = check(folder)
    assert [(table.name, table.blocks) for table in report.tables] == [("routes", True), ("loads", False)]
    assert "routes.sql is refused by DuckDB" in str(report.tables[0].error)


def test_no_column_is_taken_for_one_that_tells_the_line(folder: Path) -> None:
    # Regression: a telemetry table without miles was asked whether it meant '_file'.
    (folder / "vehicle_telemetry.sql").write_text(
        "select id as vehicle_telemetry_id, id as vehicle_id, day as telemetry_date from f"
    )
    [telemetry] = check(folder).tables
    assert {column.note for column in telemetry.columns if column.name == "miles"} == {"stays null"}


@pytest.mark.parametrize("is_terminal", [False, True])
def test_the_report_is_shown_whole(folder: Path, is_terminal: bool) -> None:
    (folder / "loads.sql").write_text("select id as load_id, junk as service_date, weight as weight_lb from f")
    (folder / "routes.sql").write_text("select [nothing] as route_id from f")
    out = io.StringIO()
    render(check(folder), Console(file=out, force_terminal=is_terminal, width=150, color_system=None))
    text = out.getvalue()
    for part in (
        "loads: cannot be loaded",
        "wrong type",
        "'abc'",
        "missing",
        "nothing",
        "2 of 2 tables cannot be loaded",
    ):
        assert part in text
    if not is_terminal:
        assert "  missing          loads.vehicle_id; contract text; stays null" in text


@pytest.mark.parametrize("is_terminal", [False, True])
def test_what_cannot_be_loaded_is_shown_last(folder: Path, is_terminal: bool) -> None:
    # Regression: the one table of 38 that could not be loaded stood in line 211 of 390.
    (folder / "invoices.sql").write_text("select nothing as invoice_id from f")  # before loads in the contract
    (folder / "loads.sql").write_text("select id as load_id, day as service_date from f")
    out = io.StringIO()
    render(check(folder), Console(file=out, force_terminal=is_terminal, width=150, color_system=None))
    assert out.getvalue().index("loads: ok") < out.getvalue().index("invoices: cannot be loaded")


def test_the_command_says_whether_all_is_well(folder: Path, tmp_path: Path) -> None:
    out = io.StringIO()
    console = Console(file=out, width=100)
    settings = Settings(home=tmp_path / "home")
    (folder / "loads.sql").write_text("select id as load_id, day as service_date from f")
    assert check_command(str(folder), {}, settings, console)
    (folder / "loads.sql").write_text("select id as load_id from f")
    assert not check_command(str(folder), {}, settings, console)
    assert not (tmp_path / "home").exists()  # no server is started for files


def test_the_new_command_says_what_to_do_next(tmp_path: Path) -> None:
    out = io.StringIO()
    new_command(tmp_path / "mine", "files", Console(file=out, width=60))
    assert f"`warehouse profile check {tmp_path / 'mine'}`" in out.getvalue().replace("\n", " ")
