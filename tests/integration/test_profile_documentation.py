"""The worked examples of docs/how-to, run as they are printed."""

import contextlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
import yaml
from psycopg import sql

from warehouse_assets.database.databases import Databases
from warehouse_assets.database.embedded import EmbeddedServer
from warehouse_assets.errors import UserError
from warehouse_assets.extract.load import extract_system
from warehouse_assets.settings import DBT_PROJECT_DIR, PROJECT_ROOT, Settings
from warehouse_assets.source.contract import Contract, load_contract, read_contract
from warehouse_assets.source.profiles import open_profile
from warehouse_assets.source.profiles.check import check_profile
from warehouse_assets.source.profiles.manifest import FileSource, Manifest
from warehouse_assets.source.simulator import schema

PAGES = PROJECT_ROOT / "docs" / "how-to"


def write_examples(page: str, folder: Path) -> list[str]:
    """Write each code block that follows a file's name in backticks; return the names."""
    text = (PAGES / page).read_text(encoding="utf-8")
    found = re.findall(r"^`([\w./]+)`\n```\w+\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    for name, content in found:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    return [name for name, _ in found]


def test_the_example_over_postgresql(
    tmp_path: Path, postgres16: EmbeddedServer, make_database: Callable[..., str], warehouse_url: str
) -> None:
    assert "hauler/loads.sql" in write_examples("bring-your-own-data.md", tmp_path)
    source_url = make_database(postgres16)
    with psycopg.connect(source_url) as connection:
        connection.execute((tmp_path / "hauler.sql").read_bytes())
        connection.execute(
            "insert into ops.account values (gen_random_uuid(), 'Ann', 'RES', 'a@b.c', '2024-01-01', '2024-01-02')"
        )
        connection.execute(
            "insert into ops.scale_ticket values (1, 'N', '2024-03-05 10:00', '12,000.5', 4250), "
            "(2, 'N', '2024-03-05 11:00', 'void', null), (3, 'S', '2019-03-05 11:00', '1', null)"
        )
    profile = open_profile(str(tmp_path / "hauler"), {}, source_url)
    with contextlib.closing(psycopg.connect(source_url, autocommit=True)) as connection:
        report = check_profile(profile, load_contract(), connection)
    assert report.summary.startswith("Profile hauler: all 3 of its tables can be loaded")
    databases = Databases(source_url, warehouse_url, warehouse_url, None)
    for system in ("crm", "operations"):
        extract_system(databases, Settings(home=tmp_path), profile, system)
    with psycopg.connect(warehouse_url) as warehouse:
        rows = warehouse.execute(
            "select load_id, weight_lb::text, tip_fee_usd::text from raw.loads order by load_id"
        ).fetchall()
        assert rows == [("1", "12000.50", "42.50"), ("2", None, None)]
        assert warehouse.execute("select customer_type from raw.customers").fetchall() == [("residential",)]


def test_the_example_over_files(tmp_path: Path, warehouse_url: str) -> None:
    write_examples("bring-your-own-data.md", tmp_path)
    settings = {"loads": str(tmp_path / "loads.csv"), "sites": str(tmp_path / "sites.json")}
    report = check_profile(open_profile(str(tmp_path / "city"), settings), load_contract())
    assert report.summary.startswith("Profile city: all 2 of its tables can be loaded")
    notes = {column.name: column.note for table in report.tables for column in table.columns}
    assert notes["weight_lb"].startswith("1 of 4 values sampled does not fit, such as 'heavy'")
    databases = Databases("", warehouse_url, warehouse_url, None)
    profile = open_profile(str(tmp_path / "city"), settings)
    extract_system(databases, Settings(home=tmp_path), profile, "operations")
    with psycopg.connect(warehouse_url) as warehouse:
        assert warehouse.execute("select count(*), sum(weight_lb)::int from raw.loads").fetchone() == (2, 15_500)
        assert warehouse.execute("select rules, row ->> '_line' from quarantine.loads order by rules").fetchall() == [
            (["duplicate_load"], None),
            (["wrong_type"], "4"),
        ]
        assert warehouse.execute(
            "select disposal_site_id, site_type, latitude from raw.disposal_sites order by 1"
        ).fetchall() == [("NORTH YARD", "landfill", 30.1), ("SOUTH YARD", "transfer_station", None)]


@pytest.mark.parametrize("kind", [Manifest, FileSource])
def test_every_key_of_profile_yml_is_documented(kind: type) -> None:
    text = (PAGES / "bring-your-own-data.md").read_text(encoding="utf-8")
    for name in kind.__dataclass_fields__:  # type: ignore[attr-defined]  # both are dataclasses
        if name not in ("directory",):
            assert f"`{name}`" in text, name


@pytest.fixture(name="models")
def models_fixture(tmp_path: Path) -> Path:
    """A copy of the models without the table that the docs add, which a reader may have added."""
    models = Path(shutil.copytree(DBT_PROJECT_DIR / "models", tmp_path / "models"))
    without_documented_table(models)
    return models


def without_documented_table(models: Path) -> None:
    """Take the entry of the docs out of the models' contract, and its name where add-a-metric.md has it put."""
    for path in models.rglob("*__sources.yml"):
        without = re.sub(r"(?m)^ {6}- name: fuel_purchases\n(?:(?: {7,}.*)?\n)*", "", path.read_text())
        path.write_text(re.sub(r",\s*fuel_purchases\b", "", without))


def add_table(models: Path) -> Contract:
    """Add the table of the docs to the models' contract."""
    entry = blocks("add-a-table.md", "yaml")[0]
    path = models / "staging" / "fleet" / "_fleet__sources.yml"
    path.write_text(path.read_text().rstrip("\n") + "\n\n" + entry)
    return read_contract(models)


def blocks(page: str, language: str) -> list[str]:
    """The code blocks of a page in one language."""
    text = (PAGES / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


def test_the_table_added_by_the_docs_is_a_valid_contract_entry(models: Path) -> None:
    table = add_table(models).table("fuel_purchases")
    assert table.system == "fleet"
    assert {rule.name for rule in table.rules} == {"gallons_plausible", "duplicate_purchase"}
    described = yaml.safe_load("models:\n" + blocks("add-a-table.md", "yaml")[1])["models"][0]["columns"]
    select = blocks("add-a-table.md", "sql")[0]
    selected = re.findall(r"(\w+),?$", select.split("from {{")[0], flags=re.MULTILINE)
    selected = [
        name for name in selected if name in select and not re.search(rf"-- [\w ]*{name}$", select, re.MULTILINE)
    ]
    assert [column["name"] for column in described] == [name for name in selected if name != "select"]


def test_the_contract_may_have_the_table_of_the_docs_already(models: Path) -> None:
    """Regression: who had followed the page met `fuel_purchases is contracted twice` in this file.

    Later who had followed the next page, too, met a `through` that names a table not contracted.
    """
    add_table(models)
    fleet = models / "staging" / "fleet" / "_fleet__sources.yml"
    fleet.write_text(re.sub(r"(through: \[[^\]]*)\]", r"\1, fuel_purchases]", fleet.read_text()))
    read_contract(models)
    with pytest.raises(UserError, match="twice"):
        add_table(models)
    without_documented_table(models)
    assert "fuel_purchases" not in read_contract(models).tables
    add_table(models)


def test_rows_of_the_added_table_are_written_and_dropped_as_the_docs_say(
    models: Path, settings: Settings, databases: Databases, warehouse_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    contract = add_table(models)
    monkeypatch.setattr(schema, "load_contract", lambda: contract)
    monkeypatch.setenv("WAREHOUSE_HOME", str(settings.home))
    with contextlib.ExitStack() as stack:
        company = stack.enter_context(psycopg.connect(databases.operational, autocommit=True))
        stack.callback(empty, company, contract)
        with company.transaction():
            schema.create_tables(company)
            company.execute("insert into vehicles (vehicle_id, updated_at) values ('V-1', now()), ('V-2', now())")
            schema.add_keys(company, {})
        exec(blocks("add-a-table.md", "python")[0], {})  # noqa: S102  the page's own snippet
        with pytest.raises(psycopg.errors.ForeignKeyViolation):
            company.execute("update fuel_purchases set vehicle_id = 'nobody'")
        warehouse = Databases(databases.operational, warehouse_url, warehouse_url, None)
        profile = open_profile("default", {}, databases.operational, contract=contract)
        extract_system(warehouse, settings, profile, "fleet", tables=["fuel_purchases"], contract=contract)
    with psycopg.connect(warehouse_url) as connection:
        found = connection.execute("select fuel_purchase_id from raw.fuel_purchases order by 1").fetchall()
        assert found == [("F-V-1",), ("F-V-2",)]
        connection.execute(blocks("add-a-table.md", "sql")[1].encode())


def empty(company: psycopg.Connection, contract: Contract) -> None:
    """Leave the shared operational database as it was."""
    for table in contract:
        company.execute(sql.SQL("drop table if exists {} cascade").format(sql.Identifier(table.name)))
    company.execute("drop schema if exists simulator cascade")


def test_the_documented_json_example_is_json(tmp_path: Path) -> None:
    write_examples("bring-your-own-data.md", tmp_path)
    assert len(json.loads((tmp_path / "sites.json").read_text())["result"]["sites"]) == 2
