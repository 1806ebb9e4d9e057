"""The materializations by themselves, on a project of three small models, on PostgreSQL 18 and 16."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
import pytest
from dbt_company import DbtCompany

from warehouse_assets.database.embedded import EmbeddedServer
from warehouse_assets.database.migrate import migrate
from warehouse_assets.settings import DBT_PROJECT_DIR

PROJECT = """
name: warehouse
version: "1.0.0"
profile: warehouse
on-run-start: "{{ remember_ceilings() }}"
flags: {send_anonymous_usage_stats: false, use_colors: false}
vars: {full_build_above_ratio: 100}
models: {+schema: marts}
"""
SALE_DAY = """
{{ config(materialized='business_days', day='sale_date', sources=['sales'], reach={'sales': [0, 2]},
          indexes=[{'columns': ['sale_date'], 'unique': true}]) }}
-- the sales of a day and of the two before it
select day.sale_date, count(*)::integer as sales, sum(sale.amount)::numeric(14, 2) as amount_usd
from (select distinct sale_date + n as sale_date from raw.sales, generate_series(0, 2) as n) as day
inner join raw.sales as sale on sale.sale_date between day.sale_date - 2 and day.sale_date
where {{ in_rebuilt_days('day.sale_date') }}
group by day.sale_date
"""
BALANCE = """
{{ config(materialized='business_days', day='sale_date', sources=['sales'], running=true) }}
select
    sale_date,
    (sum(sum(amount)) over (order by sale_date) + (
        {% if is_full_build() %} 0
        {% else %} coalesce((
            select balance_usd from {{ this }} where sale_date < {{ first_rebuilt_day() }}
            order by sale_date desc limit 1
        ), 0)
        {% endif %}
    ))::numeric(14, 2) as balance_usd
from raw.sales
where {{ in_rebuilt_days('sale_date') }}
group by sale_date
"""
TOTAL = """
{{ config(materialized='tracked_table', sources=['sales']) }}
select count(*)::integer as sales, coalesce(sum(amount), 0)::numeric(14, 2) as amount_usd from raw.sales
"""
LATEST = "select max(sale_date) as sale_date, count(*) as sales from raw.sales"
AMOUNT = '      - {name: amount_usd, data_type: "numeric(14,2)"}\n'
SCHEMA = """
version: 2
models:
  - name: sale_day
    config: {contract: {enforced: true}}
    columns:
      - {name: sale_date, data_type: date}
      - {name: sales, data_type: integer}
      - {name: amount_usd, data_type: "numeric(14,2)"}
  - name: balance
    config: {contract: {enforced: true}}
    columns:
      - {name: sale_date, data_type: date}
      - {name: balance_usd, data_type: "numeric(14,2)"}
"""


@dataclass
class Shop(DbtCompany):
    """A raw table of sales and the models on it."""

    batch: int = 0

    def model(self, name: str, text: str) -> None:
        """Write a model."""
        (self.project / "models" / f"{name}.sql").write_text(text)

    def sell(self, *days_and_amounts: tuple[str, float]) -> None:
        """Insert sales in one batch, with the days they touch."""
        self._commit("insert into raw.sales (sale_date, amount) values (%s, %s)", *days_and_amounts)

    def take_back(self, day: str) -> None:
        """Delete the sales of a day that cost something, in one batch."""
        self._commit("delete from raw.sales where sale_date = %s and amount > %s", (day, 0))

    def _commit(self, statement: str, *values: tuple[str, float]) -> None:
        self.batch += 1
        with psycopg.connect(self.warehouse) as connection:
            for day, amount in values:
                connection.execute(statement, (day, amount))  # type: ignore[arg-type]  # constants above
                connection.execute(
                    "insert into etl.dirty_day (source_table, batch_id, business_date) "
                    "select 'sales', %s, %s::date on conflict do nothing",
                    (self.batch, day),
                )
            connection.execute(
                "insert into etl.table_state (source_table, profile, batch_id, changed_batch_id) "
                "values ('sales', 'test', %(b)s, %(b)s) "
                "on conflict (source_table) do update set batch_id = %(b)s, changed_batch_id = %(b)s",
                {"b": self.batch},
            )

    def days(self) -> dict[str, tuple[int, float]]:
        """The rows of sale_day."""
        rows = self.query("select sale_date::text, sales, amount_usd::float from marts.sale_day")
        return {day: (sales, amount) for day, sales, amount in rows}

    def rebuilt(self, model: str) -> int | None:
        """Days the last build of a model replaced; None for a full build."""
        ((days,),) = self.query("select days_rebuilt from etl.model_build where model = %s", model)
        return int(days) if days is not None else None

    def same_as_full(self) -> bool:
        """Whether a full build changes nothing."""
        self.keep(self.tables())
        self.dbt("run", "--full-refresh")
        return self.differences(self.tables()) == {}


#: For tests that together reach every statement of the materializations: a user's own server may be older than ours.
on_both_servers = pytest.mark.parametrize("shop", ["server", "postgres16"], indirect=True)


@pytest.fixture
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A shop with three days of sales, not yet built; on the product's own server unless a test names another.

    Every test begins with an empty database of the same name and the same files: what dbt has parsed of them is kept.
    """
    on: EmbeddedServer = request.getfixturevalue(getattr(request, "param", "server"))
    folder = tmp_path_factory.getbasetemp() / f"shop{on.major}"
    project = folder / "project"
    for written in ("models", "macros"):
        shutil.rmtree(project / written, ignore_errors=True)
    (project / "models").mkdir(parents=True)
    shutil.copytree(DBT_PROJECT_DIR / "macros", project / "macros")
    shutil.copy(DBT_PROJECT_DIR / "profiles.yml", project)
    (project / "dbt_project.yml").write_text(PROJECT)
    (project / "models" / "models.yml").write_text(SCHEMA)
    with psycopg.connect(on.url("postgres"), autocommit=True) as connection:
        connection.execute("create database shop")
        try:
            migrate(on.url("shop"))
            made = Shop("", on.url("shop"), folder / "target", project)
            for name, text in (("sale_day", SALE_DAY), ("balance", BALANCE), ("total", TOTAL), ("latest", LATEST)):
                made.model(name, text)
            made.query("create table raw.sales (sale_id serial primary key, sale_date date, amount numeric(14, 2))")
            made.sell(("2024-01-30", 10), ("2024-01-31", 20), ("2024-03-01", 5))
            yield made
        finally:
            connection.execute("drop database shop with (force)")


def test_a_full_build_makes_partitions_of_the_months_that_have_rows(shop: Shop) -> None:
    shop.dbt("run")
    assert shop.days() == {
        "2024-01-30": (1, 10), "2024-01-31": (2, 30), "2024-02-01": (2, 30), "2024-02-02": (1, 20),
        "2024-03-01": (1, 5), "2024-03-02": (1, 5), "2024-03-03": (1, 5),
    }  # fmt: skip
    partitions = shop.query(
        "select inhrelid::regclass::text from pg_inherits where inhparent = 'marts.sale_day'::regclass"
    )
    assert {name for (name,) in partitions} == {f"marts.sale_day_y2024m0{month}" for month in (1, 2, 3)}
    assert shop.rebuilt("sale_day") is None


# Regression: one date of 1901, corrected since, left hundreds of empty partitions that each query had to lock.
def test_a_full_build_keeps_no_month_whose_rows_are_gone(shop: Shop) -> None:
    shop.sell(("1991-05-01", 7))
    shop.dbt("run")
    shop.take_back("1991-05-01")
    shop.dbt("run")
    assert shop.query("select to_regclass('marts.sale_day_y1991m05') is not null") == [(True,)]
    shop.dbt("run", "--full-refresh")
    partitions = shop.query("select count(*) from pg_inherits where inhparent = 'marts.sale_day'::regclass")
    assert partitions == [(3,)]
    assert len(shop.days()) == 7


def test_a_later_batch_rebuilds_the_days_it_reaches(shop: Shop) -> None:
    shop.dbt("run")
    shop.sell(("2024-01-31", 7))
    shop.dbt("run")
    assert shop.rebuilt("sale_day") == 3  # the day and, by its reach, the two after it
    assert shop.days()["2024-02-02"] == (2, 27)
    assert shop.same_as_full()


@on_both_servers
def test_of_a_rebuilt_day_only_rows_that_differ_are_written(shop: Shop) -> None:
    shop.dbt("run")
    place = "select sale_date::text, ctid::text, xmin::text from marts.sale_day"
    before = {day: where for day, *where in shop.query(place)}
    shop.sell(("2024-01-30", 0), ("2024-03-02", 4))  # 30 January to 1 February, 2 to 4 March
    shop.dbt("run")
    after = {day: where for day, *where in shop.query(place)}
    assert shop.rebuilt("sale_day") == 6
    same = {day for day, where in before.items() if after[day] == where}
    assert same == {"2024-02-02", "2024-03-01"}
    assert shop.query("select rows from etl.model_build where model = 'sale_day'") == [(len(after),)]
    assert shop.same_as_full()


def test_a_day_whose_rows_are_gone_is_gone(shop: Shop) -> None:
    shop.dbt("run")
    shop.take_back("2024-03-01")
    shop.dbt("run")
    assert "2024-03-01" not in shop.days()
    assert shop.same_as_full()


def test_a_day_of_the_future_gets_a_partition_of_its_own(shop: Shop) -> None:
    shop.dbt("run")
    shop.sell(("2091-07-15", 3), ("1931-02-02", 4))
    shop.dbt("run")
    assert shop.days()["2091-07-15"] == (1, 3)
    assert shop.query("select to_regclass('marts.sale_day_y2091m07') is not null") == [(True,)]
    assert shop.same_as_full()
    assert shop.days()["1931-02-04"] == (1, 4)


@on_both_servers
def test_a_row_without_a_day_stops_the_build_and_leaves_the_table(shop: Shop) -> None:
    shop.dbt("run")
    before = shop.days()
    shop.model(
        "sale_day",
        SALE_DAY.replace("select day.sale_date,", "select nullif(day.sale_date, '2024-03-02') as sale_date,"),
    )
    _, failed = shop.try_dbt("run", "--select", "sale_day")
    assert "sale_day: 1 rows have no sale_date; give every row a business day" in failed["sale_day"]
    assert shop.days() == before


@on_both_servers
def test_a_running_model_goes_on_from_the_day_before(shop: Shop) -> None:
    shop.dbt("run")
    shop.sell(("2024-02-15", 100))
    shop.dbt("run")
    balances = shop.query("select sale_date::text, balance_usd::float from marts.balance order by 1")
    assert balances == [("2024-01-30", 10), ("2024-01-31", 30), ("2024-02-15", 130), ("2024-03-01", 135)]
    assert shop.rebuilt("balance") == 1
    assert shop.same_as_full()


@on_both_servers
def test_columns_change_in_place_under_grants_and_views(shop: Shop) -> None:
    shop.dbt("run")
    shop.query("create view public.days as select count(sale_date) as days from marts.sale_day")
    oid = shop.query("select 'marts.sale_day'::regclass::oid")
    wider = SALE_DAY.replace(
        "count(*)::integer as sales", "count(*) as sales, max(sale.amount)::numeric(14, 2) as most_usd"
    )
    shop.model("sale_day", wider)
    most = AMOUNT.replace("amount_usd", "most_usd")
    described = SCHEMA.replace("{name: sales, data_type: integer}", "{name: sales, data_type: bigint}")
    (shop.project / "models" / "models.yml").write_text(described.replace(AMOUNT, most + AMOUNT))
    shop.dbt("run", "--select", "sale_day")
    assert shop.query("select 'marts.sale_day'::regclass::oid") == oid
    assert shop.query("select days from public.days") == [(7,)]
    types = (
        "select attname, format_type(atttypid, atttypmod) from pg_attribute where attrelid = 'marts.sale_day'::regclass"
    )
    found = dict(shop.query(f"{types} and attnum > 0 and not attisdropped"))
    assert found == {
        "sale_date": "date", "sales": "bigint", "amount_usd": "numeric(14,2)", "most_usd": "numeric(14,2)"
    }  # fmt: skip
    shop.sell(("2024-01-31", 7))
    shop.dbt("run", "--select", "sale_day")
    assert shop.query("select most_usd from marts.sale_day where sale_date = '2024-02-02'")[0][0] == 20


# Regression: of a change in YAML alone nothing was built: a contract that the table broke passed for ever.
def test_a_contract_that_changes_alone_is_enforced(shop: Shop) -> None:
    shop.dbt("run")
    yaml_file = shop.project / "models" / "models.yml"
    yaml_file.write_text(SCHEMA.replace("{name: sales, data_type: integer}", "{name: sales, data_type: text}"))
    shop.sell(("2024-01-31", 7))
    _, failed = shop.try_dbt("run", "--select", "sale_day")
    assert "data type mismatch" in failed["sale_day"]
    unique = "config: {contract: {enforced: true}, indexes: [{columns: [sale_date], unique: true}]}"
    yaml_file.write_text(SCHEMA.replace("config: {contract: {enforced: true}}", unique))
    shop.dbt("run", "--select", "balance")
    assert shop.rebuilt("balance") is None
    assert shop.query("select count(*) from pg_indexes where tablename = 'balance' and indexdef like '%UNIQUE%'") == [
        (1,)
    ]
    kept = SCHEMA.replace("{name: sales, data_type: integer}", "{name: sales, data_type: integer, description: Sold.}")
    yaml_file.write_text(kept)
    assert "sale_day" in shop.dbt("run", "--select", "sale_day")
    assert shop.rebuilt("sale_day") == 3  # words build nothing


def test_a_view_on_a_column_that_goes_stops_the_build_in_plain_words(shop: Shop) -> None:
    shop.dbt("run")
    shop.query("create view public.amounts as select amount_usd from marts.sale_day")
    before = shop.days()
    shop.model("sale_day", SALE_DAY.replace(", sum(sale.amount)::numeric(14, 2) as amount_usd", ""))
    (shop.project / "models" / "models.yml").write_text(SCHEMA.replace(AMOUNT, ""))
    _, failed = shop.try_dbt("run", "--select", "sale_day")
    assert "view amounts depends on column amount_usd" in failed["sale_day"]
    assert shop.days() == before


@on_both_servers
def test_a_table_and_a_view_are_left_alone_until_what_they_read_or_say_changes(shop: Shop) -> None:
    first = shop.dbt("run")
    assert first["total"].startswith("INSERT")
    assert set(shop.dbt("run").values()) == {"UNCHANGED"}
    shop.sell(("2024-03-02", 1))
    second = shop.dbt("run")
    assert second["total"].startswith("INSERT")
    assert second["latest"] == "UNCHANGED"
    assert shop.query("select sales, amount_usd::float from marts.total") == [(4, 36)]
    shop.model("latest", LATEST.replace("count(*) as sales", "count(*)::integer as number"))
    assert shop.dbt("run")["latest"] != "UNCHANGED"
    assert shop.query("select number from marts.latest") == [(4,)]
    shop.query("drop view marts.latest")
    shop.dbt("run")
    assert shop.query("select number from marts.latest") == [(4,)]


def test_a_table_is_made_anew_when_a_macro_of_it_has_changed(shop: Shop) -> None:
    counted = shop.project / "macros" / "counted.sql"
    counted.write_text("{% macro counted() %} count(*)::integer as sales {% endmacro %}")
    shop.model("total", TOTAL.replace("count(*)::integer as sales", "{{ counted() }}"))
    shop.dbt("run")
    counted.write_text("{% macro counted() %} count(*) as sales, max(amount) as most_usd {% endmacro %}")
    shop.dbt("run", "--select", "total")
    assert shop.query("select sales, most_usd::float from marts.total") == [(3, 20)]


@on_both_servers
def test_views_of_models_follow_a_table_whose_columns_change(shop: Shop) -> None:
    shop.model(
        "sale_month",
        "select date_trunc('month', sale_date) as month, sum(sales) as n from {{ ref('sale_day') }} group by 1",
    )
    shop.dbt("run")
    shop.model("sale_day", SALE_DAY.replace("count(*)::integer as sales", "count(*) as sales"))
    (shop.project / "models" / "models.yml").write_text(
        SCHEMA.replace("{name: sales, data_type: integer}", "{name: sales, data_type: bigint}")
    )
    shop.dbt("run")
    assert shop.query("select n::integer from marts.sale_month order by month") == [(3,), (3,), (3,)]


def test_a_view_in_the_place_of_a_table_makes_way(shop: Shop) -> None:
    shop.query("create schema if not exists marts")
    for name in ("sale_day", "total"):
        shop.query(f"create view marts.{name} as select 1 as one")
    shop.dbt("run")
    kinds = shop.query("select relname, relkind::text from pg_class where relname in ('sale_day', 'total') order by 1")
    assert kinds == [("sale_day", "p"), ("total", "r")]


def test_days_belong_in_models_by_days_alone(shop: Shop) -> None:
    shop.model("total", TOTAL + "where {{ in_rebuilt_days('sale_date') }}")
    _, failed = shop.try_dbt("run", "--select", "total")
    assert "belong in models materialized as business_days" in failed["total"]


def test_a_model_by_days_must_name_its_sources(shop: Shop) -> None:
    shop.model("sale_day", SALE_DAY.replace("sources=['sales'], ", ""))
    _, failed = shop.try_dbt("run", "--select", "sale_day")
    assert "must name the raw tables the model depends on" in failed["sale_day"]


def test_from_a_third_of_the_days_on_the_table_is_built_anew(shop: Shop) -> None:
    every_day = [(f"2024-{month:02}-{day:02}", 1.0) for month in (1, 2, 3) for day in range(1, 29)]
    shop.sell(*every_day)
    shop.dbt("run")
    shop.sell(*every_day[:40])
    shop.dbt("run", "--select", "sale_day")
    assert shop.rebuilt("sale_day") == 44  # 40 days and the two after each of their two months
    shop.sell(*every_day[:40])
    shop.full_build_above_ratio = 0.33
    shop.dbt("run", "--select", "sale_day")
    assert shop.rebuilt("sale_day") is None
