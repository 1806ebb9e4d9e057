"""What of extraction can be told without a database: types that widen, what makes a table be read anew, SQL names."""

import json
from dataclasses import replace

import pytest

from warehouse_assets.extract import ddl, names, rules
from warehouse_assets.extract.assets import build_extract_assets
from warehouse_assets.extract.checks import DAILY_TABLES, MODEL_TABLES
from warehouse_assets.extract.source import reject_as_row
from warehouse_assets.settings import Settings
from warehouse_assets.source.contract import Column, Rule, Table, load_contract
from warehouse_assets.source.profiles import Reject
from warehouse_assets.transform.project import ensure_manifest, load_manifest

STOPS = Table(
    system="shop",
    name="stops",
    description="Stops.",
    columns=(
        Column("stop_id", "text", "Key."),
        Column("truck_id", "text", "Truck.", references="trucks"),
        Column("note", "text", "Note."),
        Column("weight_lb", "numeric(10,2)", "Weight."),
    ),
    primary_key=("stop_id",),
    cursor=None,
    business_date=None,
    delete_policy="reconcile",
    rules=(Rule("light", "error", expect="weight_lb < 5"),),
)


@pytest.mark.parametrize(
    ("was", "wanted", "wider"),
    [
        # raw has          the contract wants   whether every value still fits, unchanged
        ("integer", "bigint", True),
        ("integer", "double precision", True),
        ("integer", "numeric(12,2)", True),
        ("integer", "numeric(11,2)", False),
        ("bigint", "integer", False),
        ("bigint", "double precision", False),
        ("bigint", "numeric(19,0)", True),
        ("numeric(10,2)", "numeric(12,2)", True),
        ("numeric(10,2)", "numeric(12,4)", True),
        ("numeric(10,2)", "numeric(10,3)", False),
        ("numeric(5,0)", "integer", False),
        ("text", "date", False),
        ("date", "timestamp with time zone", False),
    ],
)
def test_a_type_is_wider_when_no_value_can_change(was: str, wanted: str, wider: bool) -> None:
    assert ddl.is_wider(was, wanted) is wider


def test_only_what_decides_the_rows_makes_a_table_be_read_anew() -> None:
    before = ddl.contract_hash(STOPS, "America/Chicago")
    columns = tuple(replace(column, description="Other.") for column in STOPS.columns)
    described = replace(STOPS, description="Other.", columns=columns)
    assert ddl.contract_hash(described, "America/Chicago") == before
    others = {
        ddl.contract_hash(replace(STOPS, rules=()), "America/Chicago"),
        ddl.contract_hash(replace(STOPS, cursor="stop_id"), "America/Chicago"),
        ddl.contract_hash(replace(STOPS, columns=STOPS.columns[:3]), "America/Chicago"),
        ddl.contract_hash(STOPS, "UTC"),
        before,
    }
    assert len(others) == 5


def test_keys_and_what_refers_to_keys_compare_byte_by_byte() -> None:
    assert names.definitions(STOPS).as_string() == (
        '"stop_id" text collate "C", "truck_id" text collate "C", "note" text, "weight_lb" numeric(10,2)'
    )


def test_a_key_must_be_there_even_where_the_contract_does_not_say_so() -> None:
    implied = ["stop_id_required", "weight_lb_finite", "light"]
    assert [rule.name for rule in rules.conditions(STOPS)] == implied
    said = replace(STOPS, columns=(replace(STOPS.columns[0], is_required=True), *STOPS.columns[1:]))
    assert [rule.name for rule in rules.conditions(said)] == implied


@pytest.mark.parametrize(
    ("reject", "row"),
    [
        (
            Reject("wrong_type", "no number", '{"stop_id": "A", "weight_lb": "ten"}', "f.csv", 3),
            {"stop_id": "A", "weight_lb": "ten", "_reason": "no number", "_file": "f.csv", "_line": 3},
        ),
        # Regression: PostgreSQL refused the row in quarantine, and with it the whole table.
        (
            Reject("wrong_type", "not finite", '{"stop_id": "A", "weight_lb": NaN, "fill": -Infinity}', "f.parquet"),
            {
                "stop_id": "A",
                "weight_lb": "NaN",
                "fill": "-Infinity",
                "_reason": "not finite",
                "_file": "f.parquet",
                "_line": None,
            },
        ),
        (
            Reject("unreadable_row", "too few values", "A,1", "f.csv", 4),
            {"text": "A,1", "_reason": "too few values", "_file": "f.csv", "_line": 4},
        ),
    ],
)
def test_a_row_that_could_not_be_read_keeps_all_that_is_known_of_it(reject: Reject, row: dict[str, object]) -> None:
    rule, text = reject_as_row(reject)
    assert (rule, json.loads(text)) == (reject.rule, row)


def test_the_tables_that_checks_name_are_contracted() -> None:
    contract = load_contract()
    assert set(contract.tables) >= MODEL_TABLES | DAILY_TABLES
    blocking = {
        spec.asset_key.path[1]
        for definition in build_extract_assets(contract)
        for spec in definition.check_specs
        if spec.blocking
    }
    assert blocking == set(MODEL_TABLES)


def test_every_table_that_features_are_made_of_stops_models() -> None:
    manifest = load_manifest(ensure_manifest(Settings.from_env()))
    waiting = [
        node["unique_id"]
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model" and node["schema"] == "features"
    ]
    sources: set[str] = set()
    while waiting:
        name = waiting.pop()
        source = manifest["sources"].get(name)
        if source is None:
            waiting += manifest["parent_map"].get(name, ())
        elif source["schema"] == "raw":
            sources.add(source["name"])
    assert sources == MODEL_TABLES
