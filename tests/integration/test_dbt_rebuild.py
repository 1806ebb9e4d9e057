"""The dirty-days materialization on a simulated company: after any history, built day by day equals built whole."""

import os
import random
import signal
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import pytest
from dbt_company import TIME_ZONE, DbtCompany

from warehouse_assets.transform.plan import code_version, models_of
from warehouse_assets.transform.project import macros_version


def assert_equals_full_build(company: DbtCompany) -> None:
    """Every table as it stands equals what a full build makes of the same raw tables."""
    company.keep(company.tables())
    company.dbt("run", "--full-refresh")
    assert company.differences(company.tables()) == {}


def test_any_history_of_batches_ends_in_the_tables_of_a_full_build(company: DbtCompany) -> None:
    by_days: set[str] = set()
    for _ in range(3):
        company.change_anything(60)
        company.forecast_anything(4)
        company.extract()
        company.dbt("run")
        by_days |= {model for (model,) in company.query("select model from etl.model_build where days_rebuilt > 0")}
    partitioned = company.query("select relname from pg_class where relkind = 'p' and relname not like 'kept%'")
    assert by_days == {name for (name,) in partitioned}, "some model was never rebuilt by days"
    assert_equals_full_build(company)


def test_nothing_is_written_when_nothing_changed(company: DbtCompany) -> None:
    company.dbt("run")
    before = company.query("select model, built_at from etl.model_build order by model")
    messages = company.dbt("run")
    assert set(messages.values()) == {"UNCHANGED"}, messages
    assert company.query("select model, built_at from etl.model_build order by model") == before


def test_a_row_changed_long_ago_rebuilds_its_day_alone(company: DbtCompany) -> None:
    company.dbt("run")
    (day,) = company.query("select min(service_date) + 30 from raw.route_stops where _deleted_at is null")[0]
    before = company.query("select ctid, * from marts.route_stop where service_date <> %s order by route_stop_id", day)
    company.source(
        "update route_stops set weight_lb = 1234, updated_at = clock_timestamp() "
        "where route_stop_id = (select min(route_stop_id) from route_stops where service_date = %s)",
        day,
    )
    company.extract()
    company.dbt("run", "--select", "route_stop")
    assert company.query("select days_rebuilt from etl.model_build where model = 'route_stop'") == [(1,)]
    after = company.query("select ctid, * from marts.route_stop where service_date <> %s order by route_stop_id", day)
    assert after == before, "rows of other days were written"
    found = company.query("select weight_tons from marts.route_stop where weight_tons = 0.617")
    assert len(found) == 1


# Regression: a customer's return filled the days since it had left, a year of them, and built customer_daily anew.
def test_a_customer_that_comes_back_leaves_the_days_between_as_they_were(company: DbtCompany) -> None:
    days = "select count(*) from marts.customer_daily where customer_id = 'C-back'"
    company.source(
        """
        insert into customers (customer_id, account_number, name, customer_type, depot_id, updated_at)
        select 'C-back', 'back', 'Back', 'commercial', min(depot_id), clock_timestamp() from depots;
        insert into service_agreements (
            service_agreement_id, customer_id, service_type, monthly_rate_usd, start_date, end_date, updated_at
        )
        select 'A-left', 'C-back', 'commercial_collection', 50, date '2024-01-01', date '2024-12-22',
            clock_timestamp()
        """
    )
    company.extract("crm")
    company.dbt("run")
    before = company.query(days)
    company.source(
        """
        insert into service_agreements (
            service_agreement_id, customer_id, service_type, monthly_rate_usd, start_date, updated_at
        )
        select 'A-back', 'C-back', 'commercial_collection', 60, max(service_date), clock_timestamp() from route_runs
        """
    )
    company.extract("crm")
    company.dbt("run")
    assert company.query("select days_rebuilt from etl.model_build where model = 'customer_daily'") < [(10,)]
    assert before < company.query(days) < [(before[0][0] + 10,)]


def test_a_forced_range_is_rebuilt_as_if_every_source_had_changed_on_it(company: DbtCompany) -> None:
    company.dbt("run")
    (first,) = company.query("select min(service_date) + 40 from marts.route_run")[0]
    company.query("update marts.route_run set route_score = -1")
    forced = {
        "WAREHOUSE_REBUILD_FROM": str(first),
        "WAREHOUSE_REBUILD_TO": str(date.fromordinal(first.toordinal() + 4)),
    }
    company.dbt("run", "--select", "route_run", **forced)
    # the five days, and the seven before them that their surveys speak of
    assert company.query("select days_rebuilt from etl.model_build where model = 'route_run'") == [(12,)]
    mended = company.query("select distinct service_date from marts.route_run where route_score is distinct from -1")
    assert {day for (day,) in mended} <= {date.fromordinal(first.toordinal() + n) for n in range(-7, 5)}
    assert len(mended) >= 8
    company.dbt("run", "--select", "route_run", "--full-refresh")
    assert company.query("select count(*) from marts.route_run where route_score = -1") == [(0,)]


# Regression: nothing of a month was rebuilt unless its first day was among those forced.
def test_forced_days_are_rebuilt_in_the_row_of_their_month(company: DbtCompany) -> None:
    company.dbt("run")
    company.query("update marts.customer_profitability set revenue_usd = -1 where month = date '2025-05-01'")
    forced = {"WAREHOUSE_REBUILD_FROM": "2025-05-10", "WAREHOUSE_REBUILD_TO": "2025-05-20"}
    company.dbt("run", "--select", "customer_profitability", **forced)
    assert company.query("select count(*) from marts.customer_profitability where revenue_usd = -1") == [(0,)]


@pytest.mark.parametrize(
    ("first", "last", "sentence"),
    [
        ("2025-06-10", "", "give both as dates"),
        ("10 June", "2025-06-11", "give both as dates"),
        ("2025-06-12", "2025-06-11", "swap them"),
    ],
)
def test_a_range_that_cannot_be_meant_is_refused(company: DbtCompany, first: str, last: str, sentence: str) -> None:
    variables = {"WAREHOUSE_REBUILD_FROM": first, "WAREHOUSE_REBUILD_TO": last}
    _, failed = company.try_dbt("run", "--select", "route_run", **variables)
    assert sentence in failed["route_run"]


def test_changed_code_rebuilds_the_model_and_all_made_from_it(company: DbtCompany) -> None:
    company.dbt("run")
    company.query("update etl.model_build set code_version = 1 where model = 'route_stop'")
    messages = company.dbt("run", "--select", "route_stop", "route_run")
    assert messages["route_stop"].startswith("INSERT")
    assert messages["route_run"] == "UNCHANGED"
    assert company.query("select days_rebuilt from etl.model_build where model = 'route_stop'") == [(None,)]
    # the code of a model is also that of everything it is made from
    codes = dict(company.query("select model, code_version from etl.model_build"))
    assert codes["route_stop"] != codes["route_run"]


def test_a_run_and_dbt_number_the_code_alike(company: DbtCompany) -> None:
    company.dbt("run")
    manifest = company.manifest()
    expected = {
        name: code_version(manifest, node["unique_id"], TIME_ZONE, macros_version())
        for name, node in models_of(manifest).items()
    }
    assert dict(company.query("select model, code_version from etl.model_build")) == expected


def test_views_and_grants_on_a_table_survive_full_builds(company: DbtCompany) -> None:
    company.query(
        """
        do $$ begin
            if not exists (select from pg_roles where rolname = 'dbt_test_reader') then
                create role dbt_test_reader;
            end if;
        end $$;
        grant usage on schema marts to dbt_test_reader;
        grant select on marts.route_run, marts.customer_current to dbt_test_reader;
        create view public.run_count as select count(*) as runs from marts.route_run;
        create view public.customer_count as select count(customer_id) as customers from marts.customer_current;
        """
    )
    oids = "select 'marts.route_run'::regclass::oid, 'marts.customer_current'::regclass::oid"
    before = company.query(oids)
    try:
        company.dbt("run", "--full-refresh", "--select", "route_run", "customer_current")
        assert company.query(oids) == before
        assert company.query("select runs = (select count(*) from marts.route_run) from public.run_count") == [(True,)]
        assert company.query("select customers > 0 from public.customer_count") == [(True,)]
        for table in ("marts.route_run", "marts.customer_current"):
            assert company.query("select has_table_privilege('dbt_test_reader', %s, 'select')", table) == [(True,)]
    finally:
        company.query(
            "drop view public.run_count, public.customer_count; "
            "drop owned by dbt_test_reader; drop role dbt_test_reader"
        )


def test_killed_at_any_moment_the_next_run_ends_in_the_same_tables(company: DbtCompany) -> None:
    chance = random.Random(11)  # noqa: S311  a repeatable history
    company.change_anything(40)
    company.extract()
    (program,) = [Path(sys.executable).with_name("dbt")]
    for attempt in range(4):
        arguments = company.arguments("run", *(["--full-refresh"] if attempt == 3 else []))
        process = subprocess.Popen(
            [str(program), *arguments], env={**os.environ, **company.environment()}, start_new_session=True
        )
        _wait_for_builds(company, process)
        time.sleep(chance.uniform(0.0, 2.5))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    left = "select count(*) from pg_class where relname like '%__new' or relname like '%\\_new'"
    _wait_until_idle(company)
    assert company.query(left) == [(0,)], "a killed build left tables behind"
    company.dbt("run")
    assert_equals_full_build(company)


def _wait_for_builds(company: DbtCompany, process: subprocess.Popen[bytes]) -> None:
    """Wait until dbt has begun with the models."""
    (before,) = company.query("select count(*) from etl.build_ceiling")[0]
    deadline = time.monotonic() + 60
    while company.query("select count(*) from etl.build_ceiling")[0][0] == before:
        assert process.poll() is None, "dbt ended before it began"
        assert time.monotonic() < deadline, "dbt did not begin"
        time.sleep(0.05)


def _wait_until_idle(company: DbtCompany) -> None:
    """Wait until the server has noticed that the killed client is gone."""
    others = (
        "select count(*) from pg_stat_activity "
        "where datname = current_database() and pid <> pg_backend_pid() and application_name = 'dbt'"
    )
    deadline = time.monotonic() + 30
    while company.query(others) != [(0,)]:
        assert time.monotonic() < deadline, "a build goes on without its client"
        time.sleep(0.1)


def test_two_builds_at_once_end_in_the_tables_of_one(company: DbtCompany) -> None:
    company.change_anything(30)
    company.extract()
    program = str(Path(sys.executable).with_name("dbt"))
    folders = [company.folder / "first", company.folder / "second"]
    processes = []
    for folder in folders:
        folder.mkdir(exist_ok=True)
        other = DbtCompany(company.operational, company.warehouse, folder)
        processes.append(
            subprocess.Popen([program, *other.arguments("run")], env={**os.environ, **other.environment()})
        )
    assert [process.wait() for process in processes] == [0, 0]
    assert_equals_full_build(company)
