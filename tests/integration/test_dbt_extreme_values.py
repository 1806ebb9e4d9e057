"""The largest and smallest value of every column, one row each: every model can be built from what extraction passes.

A date that stands for "none" (9999-12-31, 0001-01-01) or a mistyped amount must not end a run for all the others.
"""

from collections.abc import Iterator

import pytest
from dbt_company import DbtCompany, simulated

from warehouse_assets.database.embedded import EmbeddedServer
from warehouse_assets.source.contract import Column, Table, load_contract

TIMES = ("'0001-01-01 00:00Z'", "'9999-12-31 23:59Z'")
# 1900 would do as well, but 126 years of days take their time.
DATES = ("'2015-01-01'", "'2199-12-31'")


def extremes(column: Column) -> tuple[str, ...]:
    """SQL of the values at the ends of the column's type, and next to zero."""
    kind, _, size = column.data_type.partition("(")
    if kind == "numeric":
        precision, scale = (int(number) for number in size.rstrip(")").split(","))
        most = f"(1e{min(precision - scale, 9)} - 1e-{scale})"  # from a billion on quarantine takes them
        return most, f"-{most}", f"1e-{scale}"
    return {
        "timestamptz": TIMES,
        "date": DATES,
        "integer": ("2147483647", "-2147483647"),
        "bigint": ("9223372036854775807", "-9223372036854775807"),
        "double precision": ("1e300", "-1e300", "1e-300"),
    }.get(kind, ())


def spoil(company: DbtCompany, table: Table) -> int:
    """Give every column its extremes, each in a row of its own as far as there are rows; return how many."""
    spared = {*table.primary_key, table.cursor}
    changes = [
        (column.name, value) for column in table.columns if column.name not in spared for value in extremes(column)
    ]
    key = ", ".join(table.primary_key)
    statements = [
        f"""
        update {table.name} set {name} = {value}::{table.column(name).data_type}, {table.cursor} = clock_timestamp()
        where ({key}) in (
            select {key} from {table.name} order by hashtext(concat({key})), {key}
            offset {place} % greatest((select count(*) from {table.name}), 1) limit 1
        )
        """  # noqa: S608  our own
        for place, (name, value) in enumerate(changes)
    ]
    company.source(";".join(statements))
    return len(changes)


@pytest.fixture(scope="module")
def spoiled(server: EmbeddedServer, _template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DbtCompany]:
    """12 customers over 60 days, with extremes in every table that has a cursor."""
    folder = tmp_path_factory.mktemp("extreme")
    with simulated(server, _template, "extreme", folder, customers=12, days=60, depots=2) as made:
        assert sum(spoil(made, table) for table in load_contract() if table.cursor == "updated_at") > 200
        made.extract()
        yield made


def test_every_model_can_be_built_from_extreme_values(spoiled: DbtCompany) -> None:
    built, failed = spoiled.try_dbt("run")
    assert failed == {}
    assert len(built) > 60
