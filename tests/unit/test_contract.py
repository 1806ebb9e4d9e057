"""The contract: what the sources YAML says, and how it refuses what it cannot mean."""

from pathlib import Path

import pytest

from warehouse_assets.errors import UserError
from warehouse_assets.source.contract import load_contract, read_contract


def write_contract(directory: Path, meta: str, columns: str = "[{name: a, data_type: text}]") -> Path:
    """Write a contract of table t; its asset key stands in ``meta`` unless that has one."""
    folder = directory / "staging" / "shop"
    folder.mkdir(parents=True)
    if "dagster" not in meta:
        meta = "{dagster: {asset_key: [raw, t]}, " + meta.removeprefix("{")
    (folder / "_shop__sources.yml").write_text(
        f"sources: [{{name: shop, tables: [{{name: t, config: {{meta: {meta}}}, columns: {columns}}}]}}]",
        encoding="utf-8",
    )
    return directory


def test_every_column_has_a_description_and_every_table_a_key() -> None:
    contract = load_contract()
    assert len(contract.tables) > 30
    for table in contract:
        assert table.primary_key
        assert table.description
        for column in table.columns:
            assert column.description, f"{table.name}.{column.name}"


def test_required_columns_become_error_rules() -> None:
    rules = {rule.name: rule for rule in load_contract().table("loads").all_rules}
    assert rules["load_id_required"].expect == '"load_id" is not null'
    assert rules["load_id_required"].severity == "error"


def test_a_business_day_lies_in_our_time() -> None:
    # Regression: one load of the year 24 made forecasts of 2,000 years of days, and a run of one minute took eight.
    rules = {rule.name: rule for rule in load_contract().table("loads").all_rules}
    assert rules["service_date_in_calendar"].severity == "error"
    assert "tipped_at_in_calendar" not in rules
    # Regression: an agreement that began at -infinity ended the run with "cannot subtract infinite dates".
    rules = {rule.name: rule for rule in load_contract().table("service_agreements").all_rules}
    assert rules["start_date_in_calendar"].expect == "\"start_date\" >= '1900-01-02' and \"start_date\" < '2200-01-01'"
    assert "end_date_in_calendar" not in rules  # 9999-12-31 and infinity are ends that are open


@pytest.mark.parametrize(
    ("meta", "columns", "sentence"),
    [
        # what the entry says                 its columns                               what the reader is told
        ("{}", "[{name: a, data_type: text}]", "t has no primary_key"),
        ("{primary_key: [b]}", "[{name: a, data_type: text}]", "names column 'b'"),
        ("{primary_key: [a]}", "[{name: a, data_type: blob}]", "has data_type 'blob'"),
        # Regression: these two came through, and ended in PostgreSQL's words or a ValueError.
        ("{primary_key: [a]}", "[{name: a, data_type: numeric(x)}]", r"data_type 'numeric\(x\)'"),
        ("{primary_key: [a]}", "[{name: a, data_type: numeric(10)}]", r"data_type 'numeric\(10\)'"),
        ("{primary_key: [a]}", "[{name: a, data_type: 'numeric(1,2)); drop table t; --'}]", "data_type 'numeric"),
        # Regression: the letters of a name without brackets were taken for names.
        ("{primary_key: bag}", "[{name: a, data_type: text}]", "names column 'bag'"),
        ("{primary_key: [a], delete_policy: drop}", "[{name: a, data_type: text}]", "delete_policy 'drop'"),
        ("{primary_key: [a], rules: [{name: r}]}", "[{name: a, data_type: text}]", "has a rule without"),
        (
            "{primary_key: [a], rules: [{name: r, severity: error, expect: }]}",
            "[{name: a, data_type: text}]",
            "has a rule without",
        ),
        ("{primary_key: [a], business_date: 3}", "[{name: a, data_type: text}]", "business_date"),
        (
            "{primary_key: [a], business_date: {through: gone, key: a}}",
            "[{name: a, data_type: text}]",
            "not contracted",
        ),
        (
            "{primary_key: [a], business_date: {through: [t, gone], key: a}}",
            "[{name: a, data_type: text}]",
            "'gone', which is not contracted",
        ),
        (
            "{primary_key: [a], business_date: {through: t, key: a, taken: [b]}}",
            "[{name: a, data_type: text}]",
            "takes b",
        ),
        # Regression: these came through. A misspelt key was as if it were not there: rows that the source had dropped
        # were marked as deleted, changed rows rebuilt no day, rows without a value were loaded.
        ("{primary_key: [a], delete_polcy: keep}", "[{name: a, data_type: text}]", "unknown key delete_polcy; known"),
        ("{primary_key: [a]}", "[{name: a, data_type: text, config: {meta: {requird: true}}}]", "t.a has the unknown"),
        ("{primary_key: [a]}", "[{name: a, data_type: text, config: {meta: {required: 'no'}}}]", "required 'no'"),
        # ... and so was a key that stood beside the place where it is read
        ("{primary_key: [a]}", "[{name: a, data_type: text, required: true}]", "t.a has required beside config.meta"),
        ("{primary_key: [a]}", "[{name: a, data_type: text, config: {required: true}}]", "has required beside"),
        ("{primary_key: [a]}", "[{name: a, data_type: text, meta: {required: true}}]", "has required beside"),
        ("{primary_key: [a]}}, cursor: a, tags: {a: b", "[{name: a, data_type: text}]", "t has cursor beside config"),
        (
            "{primary_key: [a]}, delete_policy: keep",
            "[{name: a, data_type: text}]",
            "t has delete_policy beside config",
        ),
        ("{primary_key: [a]}", "[{name: a, data_type: text, config: [required]}]", "t.a has a config or meta without"),
        (
            "{primary_key: [a], rules: [{name: r, severity: error, expect: 'true', uniqe: [a]}]}",
            "[{name: a, data_type: text}]",
            "unknown key uniqe",
        ),
        (
            "{primary_key: [a], rules: [{name: r, severity: error, unique: a}, {name: r, severity: error, unique: a}]}",
            "[{name: a, data_type: text}]",
            "two rules called r",
        ),
        ("{primary_key: [a]}", "[{name: a, data_type: text}, {name: a, data_type: date}]", "two columns called a"),
        ("{primary_key: [A]}", "[{name: A, data_type: text}]", "called 'A'; use small letters"),
        ("{primary_key: [_flags]}", "[{name: _flags, data_type: text}]", "called '_flags'; use small letters"),
        # a business day that is text sent every row to quarantine
        ("{primary_key: [a], business_date: a}", "[{name: a, data_type: text}]", "neither date nor timestamptz"),
        (
            "{primary_key: [a], business_date: {through: t, key: b}}",
            "[{name: a, data_type: text}]",
            "through column b of t, which has none",
        ),
        # the extracted table and the models stood apart in the graph
        (
            "{primary_key: [a], dagster: {asset_key: [raw, tee]}}",
            "[{name: a, data_type: text}]",
            r"use \[raw, t\]",
        ),
    ],
)
def test_a_contract_that_cannot_be_meant_is_refused(tmp_path: Path, meta: str, columns: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        read_contract(write_contract(tmp_path, meta, columns))


def test_broken_yaml_is_told_with_its_line(tmp_path: Path) -> None:
    # Regression: it was "while scanning a simple key", of a file of hundreds of lines.
    path = write_contract(tmp_path, "{primary_key: a}") / "staging" / "shop" / "_shop__sources.yml"
    path.write_text("sources:\n  - name: shop\n\ttables:\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"_shop__sources\.yml is not valid YAML \(.*line 3"):
        read_contract(tmp_path)


def test_one_name_needs_no_brackets(tmp_path: Path) -> None:
    meta = "{primary_key: key, rules: [{name: once, severity: error, unique: key}]}"
    table = read_contract(write_contract(tmp_path, meta, "[{name: key, data_type: text}]")).table("t")
    assert (table.primary_key, table.rules[0].unique) == (("key",), ("key",))


# Regression: a file whose entries are still to be written was an AttributeError.
@pytest.mark.parametrize("text", ["", "sources:", "sources: [{name: shop, tables: }]"])
def test_a_file_without_tables_adds_none(tmp_path: Path, text: str) -> None:
    write_contract(tmp_path, "{primary_key: a}", "[{name: a, data_type: text}]")
    (tmp_path / "staging" / "shop" / "_other__sources.yml").write_text(text, encoding="utf-8")
    assert list(read_contract(tmp_path).tables) == ["t"]


def test_an_unknown_table_names_the_known_ones() -> None:
    with pytest.raises(UserError, match="There is no table 'lodes'"):
        load_contract().table("lodes")
