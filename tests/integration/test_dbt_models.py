"""The dbt project as a whole: its own tests pass, its sources are named in full, its geometry and sums are right."""

import itertools
import math
from pathlib import Path
from typing import Any

import pytest
from dbt_company import DbtCompany

from warehouse_assets.source.contract import load_contract
from warehouse_assets.transform.plan import models_of, unnamed_sources

EARTH_MILES = 3958.8


@pytest.fixture(scope="module")
def manifest(company: DbtCompany) -> dict[str, Any]:
    return company.manifest()


def test_unit_tests_of_the_models_pass(company: DbtCompany) -> None:
    assert set(company.dbt("test", "--select", "test_type:unit")) >= {"a_run_is_scored_by_what_is_known_of_it"}


def test_data_tests_pass_on_the_simulated_company(company: DbtCompany) -> None:
    assert len(company.dbt("test", "--select", "test_type:data")) > 60


def test_every_table_of_the_contract_has_a_staging_view(manifest: dict[str, Any]) -> None:
    staged = {name for name in models_of(manifest) if name.startswith("stg_")}
    wanted = {f"stg_{table.system}__{table.name}" for table in load_contract()}
    assert staged >= wanted


def test_every_column_of_every_model_is_described(company: DbtCompany, manifest: dict[str, Any]) -> None:
    columns = company.query(
        "select table_schema || '.' || table_name, column_name from information_schema.columns "
        "where table_schema in ('staging', 'intermediate', 'features', 'marts')"
    )
    described = {
        (f"{node['schema']}.{node['alias']}", column)
        for node in models_of(manifest).values()
        for column, entry in node["columns"].items()
        if entry["description"]
    }
    tables = {table for table, _ in described}
    assert sorted({(table, column) for table, column in columns if table in tables} - described) == []
    assert tables >= {f"{node['schema']}.{node['alias']}" for node in models_of(manifest).values()}


def test_models_name_every_raw_table_they_are_made_from(manifest: dict[str, Any]) -> None:
    assert unnamed_sources(manifest, {table.name for table in load_contract() if table.business_date is None}) == {}


def test_names_stay_under_45_characters(manifest: dict[str, Any]) -> None:
    assert [name for name in models_of(manifest) if len(name) > 45] == []


# Regression: features of 24 months stood in 150 partitions, since the first customers came long before the first facts.
def test_partitions_are_of_months_with_rows(company: DbtCompany) -> None:
    partitions = company.query(
        "select inhparent::regclass::text, inhrelid::regclass::text from pg_inherits "
        "inner join pg_class on pg_class.oid = inhrelid where relkind = 'r'"
    )
    empty = [parent for parent, name in partitions if company.query(f"select 1 from {name} limit 1") == []]  # noqa: S608  of the catalog
    assert len(partitions) > 40
    assert empty == []


def _miles(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Spherical law of cosines: another formula than the one of the models."""
    a, b = (tuple(math.radians(degrees) for degrees in place) for place in (one, other))
    cosine = math.sin(a[0]) * math.sin(b[0]) + math.cos(a[0]) * math.cos(b[0]) * math.cos(a[1] - b[1])
    return EARTH_MILES * math.acos(min(1.0, cosine))


def test_distances_of_a_run_are_those_of_its_stops_on_the_map(company: DbtCompany) -> None:
    """Driven and planned round trip of the longest runs, walked in Python from the raw coordinates."""
    runs = company.query(
        """
        select run.route_run_id, run.service_date, run.driven_order_miles, run.planned_order_miles,
            depot.latitude, depot.longitude
        from marts.route_run as run
        inner join raw.depots as depot on depot.depot_id = run.depot_id
        where run.driven_order_miles is not null and depot.latitude is not null
        order by run.driven_order_miles desc
        limit 20
        """
    )
    assert len(runs) == 20
    for run, day, driven, planned, *depot in runs:
        for order, expected in (("actual_sequence, arrived_at", driven), ("planned_sequence", planned)):
            stops = company.query(
                f"""
                select place.latitude, place.longitude
                from raw.route_stops as stop
                inner join raw.service_locations as place using (service_location_id)
                where route_run_id = %s and service_date = %s and stop._deleted_at is null and place._deleted_at is null
                    and (actual_sequence is not null or arrived_at is not null)
                order by {order}, route_stop_id
                """,  # noqa: S608  two constants
                run,
                day,
            )
            way = [tuple(depot), *stops, tuple(depot)]
            walked = sum(_miles(one, other) for one, other in itertools.pairwise(way))
            assert float(expected) == pytest.approx(walked, abs=0.02), (run, order)


def test_the_space_filling_curve_visits_a_grid_without_jumps(company: DbtCompany) -> None:
    """Hilbert's curve passes from every cell to one beside it: places sorted along it are a walk without leaps."""
    compiled = next((company.folder / "compiled").rglob("int_route__location_curve.sql")).read_text()
    grid = (
        "(select x || '/' || y as service_location_id, null::text as customer_id, null::text as depot_id, "
        "null::text as region, 30 + (y + 0.5) * side / 2 as latitude, -97 + (x + 0.5) * side as longitude "
        "from generate_series(0, 15) as x, generate_series(0, 15) as y, (values (360 / 4194304.0)) as cell (side))"
    )
    from_staging = '"dbt_warehouse"."staging"."stg_crm__service_locations"'
    assert from_staging in compiled
    visited = company.query(compiled.replace(from_staging, f"{grid} as locations") + " order by curve_position")
    rows = [(*map(int, name.split("/")), position) for name, *_, position in visited]
    assert len({position for _, _, position in rows}) == 256
    steps = [
        (abs(one[0] - other[0]) + abs(one[1] - other[1]), other[2] - one[2]) for one, other in itertools.pairwise(rows)
    ]
    assert all(far == 1 for far, ahead in steps if ahead == 1)
    assert sum(ahead == 1 for _, ahead in steps) > 200


def test_the_age_of_history_is_no_latency(company: DbtCompany) -> None:
    # Regression: rows of the first reading counted their age, so that the hours of years past were months late.
    ticket, day = company.query(
        "select service_ticket_id, opened_date from staging.stg_crm__service_tickets order by opened_date limit 1"
    )[0]
    hours = "select max(data_latency_minutes) from marts.operational_hourly where operating_date = %s"
    assert company.query(hours, day) == [(None,)]
    company.source(
        "update service_tickets set updated_at = clock_timestamp() - interval '20 minutes' "
        "where service_ticket_id = %s",
        ticket,
    )
    company.extract()
    company.dbt("run", "--select", "int_operational__ticket_hours", "operational_hourly")
    late = "select latency_minutes from intermediate.int_operational__ticket_hours where service_ticket_id = %s"
    assert 20 <= company.query(late, ticket)[0][0] < 30
    assert 20 <= company.query(hours, day)[0][0] < 30


def test_money_by_the_hour_is_that_of_the_ledger(company: DbtCompany) -> None:
    # Regression: lines without a depot stood under `unassigned` by the hour, at the customer's depot in the ledger,
    # and invoices without lines were no revenue by the hour.
    company.source(
        """
        update invoice_lines set depot_id = null, updated_at = clock_timestamp() where hashtext(invoice_id) % 4 = 0;
        delete from invoice_lines where hashtext(invoice_id) % 8 = 1
        """
    )
    company.extract("billing")
    company.dbt("run", "--select", "+operational_hourly", "+financial_daily")
    assert company.dbt("test", "--select", "hours_add_up_to_the_money_of_the_financial_day")


def test_a_run_of_skipped_stops_alone_needs_no_score(company: DbtCompany) -> None:
    # Regression: a check failed that blocks the models, though nothing had happened by which to judge the run.
    (run,) = company.query(
        "select max(route_run_id) from marts.route_run where lifts > 0 and satisfaction_pct is null"
    )[0]
    company.source(
        "update route_stops set status = 'skipped', weight_lb = null, updated_at = clock_timestamp() "
        "where route_run_id = %s",
        run,
    )
    company.source(
        "update route_runs set planned_start_at = null, planned_end_at = null, planned_miles = null, "
        "planned_tons = null, updated_at = clock_timestamp() where route_run_id = %s",
        run,
    )
    company.extract()
    company.dbt("run", "--select", "+route_run")
    assert company.query("select route_score from marts.route_run where route_run_id = %s", run) == [(None,)]
    assert company.dbt("test", "--select", "every_run_is_scored_between_0_and_100")


def test_staging_leaves_out_what_the_source_deleted(company: DbtCompany) -> None:
    (victim,) = company.query("select min(service_ticket_id) from staging.stg_crm__service_tickets")[0]
    company.source("delete from service_tickets where service_ticket_id = %s", victim)
    company.extract()
    assert company.query("select 1 from staging.stg_crm__service_tickets where service_ticket_id = %s", victim) == []
    assert company.query(
        "select _deleted_at is not null from raw.service_tickets where service_ticket_id = %s", victim
    ) == [(True,)]


def test_the_password_is_in_no_file_of_dbt(company: DbtCompany) -> None:
    password = company.warehouse.split(":")[2].split("@")[0]
    holders = [
        path for path in Path(company.folder).rglob("*") if path.is_file() and password.encode() in path.read_bytes()
    ]
    assert holders == []
