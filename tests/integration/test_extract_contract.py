"""A contract that changes between two extractions: raw follows, or says why it cannot."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from test_extract_company import CONTRACT, STOPS, Company, add_stops, company_fixture  # noqa: F401  fixture

from warehouse_assets.errors import UserError
from warehouse_assets.source.contract import BusinessDate, Column, Contract, Rule, Table


def changed(company: Company, change: Callable[[Table], Table]) -> Company:
    """The company with another contract of its stops."""
    tables = {**CONTRACT.tables, "stops": change(STOPS)}
    return replace(company, contract=Contract(tables))


def with_column(table: Table, column: Column) -> Table:
    """The table with a column replaced, or added at the end."""
    kept = [column if present.name == column.name else present for present in table.columns]
    return replace(table, columns=tuple(kept if column in kept else [*kept, column]))


def without(table: Table, name: str) -> Table:
    return replace(table, columns=tuple(column for column in table.columns if column.name != name))


@pytest.fixture(name="loaded")
def loaded_fixture(company: Company) -> Company:
    """The company with forty stops extracted, one of them deleted in the source, and a staging view as dbt makes it."""
    add_stops(company, 40)
    company.extract("stops")
    company.source("delete from stops where stop_id = 'S39'")
    company.extract("stops")
    company.change_warehouse(
        "create schema staging; create view staging.stg_shop__stops as select stop_id, weight_lb from raw.stops"
    )
    return company


def test_a_new_column_is_added_and_filled_for_all_rows(loaded: Company) -> None:
    loaded.source("alter table stops add column driver text; update stops set driver = 'D' || stop_id")
    grown = changed(loaded, lambda table: with_column(table, Column("driver", "text", "Driver.")))
    load = grown.extract("stops")["stops"]
    assert load.rows_updated == 39
    assert grown.ask("select driver from raw.stops where stop_id = 'S7'") == ["DS7"]
    assert grown.rows("stops", "raw") == grown.rows("stops", "source")
    assert grown.ask("select count(*) from staging.stg_shop__stops") == [40]
    assert grown.extract("stops")["stops"].status == "unchanged"


def test_a_wider_type_is_followed(loaded: Company) -> None:
    loaded.source("alter table stops alter column weight_lb type numeric(14,3); update stops set weight_lb = 1.125")
    wider = changed(loaded, lambda table: with_column(table, Column("weight_lb", "numeric(14,3)", "Weight.")))
    assert wider.extract("stops")["stops"].rows_updated == 39
    assert wider.ask("select distinct weight_lb::text from raw.stops where _deleted_at is null") == ["1.125"]
    assert wider.ask("select to_regclass('staging.stg_shop__stops')::text") == [None]  # dbt makes it anew


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        # how the contract changes                                         what the user is told
        (
            lambda table: with_column(table, Column("weight_lb", "numeric(8,2)", "Weight.")),
            r"column weight_lb of table stops the type numeric\(8,2\), raw has numeric\(10,2\).*--full-refresh",
        ),
        (
            lambda table: with_column(table, Column("truck_id", "bigint", "Truck.")),
            r"column truck_id of table stops the type bigint, raw has text.*--full-refresh",
        ),
        (
            lambda table: without(table, "extra"),
            r"table stops no longer has column extra.*--full-refresh.*or put the column back",
        ),
        (
            lambda table: replace(table, primary_key=("stop_id", "service_date")),
            r"table stops the key stop_id, service_date, raw has another one.*--full-refresh",
        ),
    ],
    ids=["narrower", "another type", "column gone", "another key"],
)
def test_anything_else_needs_a_full_refresh(loaded: Company, change: Callable[[Table], Table], sentence: str) -> None:
    loaded.source("alter table stops alter column truck_id type bigint using 5")
    other = changed(loaded, change)
    before = loaded.ask("select * from raw.stops order by stop_id")
    with pytest.raises(UserError, match=sentence):
        other.extract("stops")
    assert loaded.ask("select * from raw.stops order by stop_id") == before
    load = other.extract("stops", full_refresh=True)["stops"]
    assert load.rows_raw == 39
    assert other.rows("stops", "raw") == other.rows("stops", "source")
    assert len(other.dirty("stops")) == 4  # every day that raw has or had


@pytest.mark.parametrize(
    "relation",
    [
        "raw.stops",
        # Regression: a view of the user's own over one of dbt's went with it, without a word.
        "staging.stg_shop__stops",
        "intermediate.int_stops",
    ],
)
def test_a_view_of_the_users_own_is_not_dropped(loaded: Company, relation: str) -> None:
    loaded.change_warehouse(
        "create schema intermediate; create view intermediate.int_stops as select * from staging.stg_shop__stops"
    )
    loaded.change_warehouse(f"create view public.mine as select weight_lb from {relation}")  # noqa: S608  the names above
    other = changed(loaded, lambda table: with_column(table, Column("weight_lb", "numeric(14,3)", "Weight.")))
    with pytest.raises(UserError, match=r"View public.mine reads raw.stops.*drop the view and run again"):
        other.extract("stops")
    assert loaded.ask("select count(*) from public.mine") == [40]
    loaded.change_warehouse("drop view public.mine")
    other.source("alter table stops alter column weight_lb type numeric(14,3)")
    other.extract("stops")
    assert loaded.ask("select to_regclass('intermediate.int_stops')") == [None]  # dbt makes it anew


def test_a_new_rule_judges_all_rows(loaded: Company) -> None:
    rule = Rule("light", "error", expect="weight_lb < 130")
    strict = changed(loaded, lambda table: replace(table, rules=(*table.rules, rule)))
    load = strict.extract("stops")["stops"]
    assert (load.rows_raw, load.rows_quarantined) == (30, 9)
    assert strict.ask("select distinct rule from quarantine.stops") == ["light"]
    relaxed = loaded.extract("stops")["stops"]
    assert (relaxed.rows_raw, relaxed.rows_quarantined, relaxed.rows_inserted) == (39, 0, 9)


# Regression: what had been built before a table's days were described anew stayed as it was.
def test_days_described_anew_are_dirty(loaded: Company) -> None:
    def days(table: str) -> list[object]:
        return loaded.ask(
            "select business_date from etl.dirty_day inner join etl.table_state using (source_table, batch_id) "  # noqa: S608  our own
            f"where source_table = '{table}' order by 1"
        )

    touched = loaded.ask("select distinct service_date from raw.stops order by 1")
    described = changed(loaded, lambda table: replace(table, business_date=BusinessDate(column="updated_at")))
    load = described.extract("stops")["stops"]
    assert (load.status, load.rows_updated) == ("succeeded", 0)
    assert set(days("stops")) >= set(touched)
    assert described.extract("stops")["stops"].status == "unchanged"
    tables = {**CONTRACT.tables, "trucks": replace(CONTRACT.table("trucks"), description="Other words.")}
    loaded.source("insert into trucks values ('T1', 'Mack', now())")
    loaded.extract("trucks")
    assert replace(loaded, contract=Contract(tables)).extract("trucks")["trucks"].status == "unchanged"
    through = replace(CONTRACT.table("trucks").business_date, taken=("make",))  # type: ignore[type-var]  # it has one
    tables["trucks"] = replace(CONTRACT.table("trucks"), business_date=through)
    replace(loaded, contract=Contract(tables)).extract("trucks")
    assert set(days("trucks")) >= set(touched)


def test_a_column_named_like_one_of_ours_is_refused(company: Company) -> None:
    other = changed(company, lambda table: with_column(table, Column("_flags", "text", "Flags.")))
    company.source("alter table stops add column _flags text")
    with pytest.raises(UserError, match=r"Table stops of the contract has column '_flags', a name the warehouse uses"):
        other.extract("stops")
