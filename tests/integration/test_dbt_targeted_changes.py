"""Changes of single source rows that reach far: a build of the changed days ends in the tables of a full build.

``test_dbt_rebuild`` makes random changes; each one here is aimed at a model that reads more than the row's own day.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from dbt_company import DbtCompany, simulated

from warehouse_assets.database.embedded import EmbeddedServer
from warehouse_assets.source.contract import load_contract

TABLES = ("--select", "config.materialized:business_days", "config.materialized:tracked_table")


@dataclass(frozen=True)
class Change:
    """``before`` prepares the source for the first build; ``sql`` changes its table ``source``, and so ``table``."""

    name: str
    source: str
    table: str
    sql: str
    before: str = ""


# The data clock is 20 June 2025; the company's own facts begin on 12 March.
# Two a build, of which neither has the other's days rebuilt: a full build to compare with is what takes the time.
CHANGES = [
    (
        Change(
            "the reason of a price",
            "service_agreement_prices",
            "features.customer_month",
            """
            update service_agreement_prices set change_reason = 'service_change', updated_at = clock_timestamp()
            where change_reason = 'annual_increase' and effective_from >= date '2025-01-01'
            """,
        ),
        Change(
            "the depot of a truck that tipped a load without a run",
            "vehicles",
            "features.daily_series",
            """
            update vehicles set depot_id = (select max(depot_id) from depots), updated_at = clock_timestamp()
            where vehicle_id = 'V-spare'
            """,
            before="""
            insert into vehicles (vehicle_id, depot_id, updated_at)
            select 'V-spare', min(depot_id), clock_timestamp() from depots;
            update loads set vehicle_id = 'V-spare', route_id = null, route_run_id = null
            where load_id = (select min(load_id) from loads where service_date >= date '2025-05-07')
            """,
        ),
    ),
    (
        Change(
            "the price before a rise that came before its agreement",
            "service_agreement_prices",
            "features.customer_month",
            """
            update service_agreement_prices set monthly_rate_usd = 40, updated_at = clock_timestamp()
            where service_agreement_price_id = 'early-1'
            """,
            before="""
            insert into service_agreement_prices (
                service_agreement_price_id, service_agreement_id, effective_from, effective_to, monthly_rate_usd,
                updated_at
            )
            select price_id, (select min(service_agreement_id) from service_agreements where end_date is null),
                from_date, to_date, rate, clock_timestamp()
            from (
                values
                ('early-1', date '2024-02-01', date '2024-06-20', 50),
                ('early-2', date '2024-06-20', date '2024-07-01', 60)
            ) as early (price_id, from_date, to_date, rate);
            delete from service_agreement_prices
            where service_agreement_price_id not like 'early%'
                and service_agreement_id in (
                    select service_agreement_id from service_agreement_prices
                    where service_agreement_price_id = 'early-1'
                );
            update service_agreements set start_date = date '2024-07-01'
            where service_agreement_id in (
                select service_agreement_id from service_agreement_prices where service_agreement_price_id = 'early-1'
            )
            """,
        ),
        Change(
            "the depot of a route with a load without a run",
            "routes",
            "features.daily_series",
            """
            update routes set depot_id = (select max(depot_id) from depots), updated_at = clock_timestamp()
            where route_id = 'R-load'
            """,
            before="""
            insert into routes (route_id, depot_id, updated_at)
            select 'R-load', min(depot_id), clock_timestamp() from depots;
            update loads set route_id = 'R-load', route_run_id = null
            where load_id = (select min(load_id) from loads where service_date >= date '2025-05-06')
            """,
        ),
    ),
    (
        Change(
            "the term of an agreement that is not the dearest",
            "service_agreements",
            "features.customer_month",
            """
            update service_agreements set term_months = 5, updated_at = clock_timestamp()
            where service_agreement_id = (
                select service_agreement_id from service_agreements
                where
                    end_date is null
                    and customer_id = (
                        select customer_id from service_agreements
                        where end_date is null
                        group by customer_id
                        order by count(*) desc, customer_id
                        limit 1
                    )
                order by monthly_rate_usd, service_agreement_id
                limit 1
            )
            """,
        ),
        Change(
            "the depot of a route with a stop without a run",
            "routes",
            "features.daily_series",
            """
            update routes set depot_id = (select max(depot_id) from depots), updated_at = clock_timestamp()
            where route_id = 'R-stop'
            """,
            before="""
            insert into routes (route_id, depot_id, updated_at)
            select 'R-stop', min(depot_id), clock_timestamp() from depots;
            update route_stops set route_id = 'R-stop', route_run_id = 'RR-none'
            where route_stop_id = (
                select min(route_stop_id) from route_stops
                where service_date >= date '2025-05-05' and status = 'completed'
            )
            """,
        ),
    ),
    (
        Change(
            "the first fact of all",
            "portal_sessions",
            "features.customer_month",
            """
            update portal_sessions set started_at = started_at + interval '10 days', updated_at = clock_timestamp()
            where portal_session_id = 'PS-first'
            """,
            before="""
            insert into portal_sessions (portal_session_id, customer_id, started_at, updated_at)
            select 'PS-first', min(customer_id), timestamptz '2024-05-16 15:00Z', clock_timestamp() from customers
            """,
        ),
        Change(
            "the run of a load, one of another depot a month before",
            "loads",
            "intermediate.int_route__run_cost",
            """
            update loads set route_run_id = old_run.route_run_id, updated_at = clock_timestamp()
            from routes, route_runs as old_run
            where
                loads.load_id = (
                    select max(load_id) from loads where service_date < date '2025-06-10' and route_run_id is not null
                )
                and routes.route_id = loads.route_id
                and old_run.route_run_id = (
                    select min(route_run_id) from route_runs
                    where depot_id <> routes.depot_id and service_date < date '2025-05-01'
                )
            """,
        ),
    ),
    (
        Change(
            "a payment of a customer whose old invoice another one paid",
            "payments",
            "intermediate.int_financial__receivable_change",
            """
            update payments set amount_usd = amount_usd + 1, updated_at = clock_timestamp()
            where payment_id = (
                select payment_id from payments
                where customer_id = (select customer_id from invoices where invoice_number = 'paid by another')
                order by payment_date desc
                limit 1
            )
            """,
            before="""
            update invoices
            set invoice_number = 'paid by another', invoice_date = date '2024-12-01', due_date = date '2024-12-31'
            where invoice_id = (
                select min(invoice_id) from invoices
                where total_usd > 0 and customer_id = (
                    select customer_id from payments group by customer_id order by count(*) desc, customer_id limit 1
                )
            );
            delete from payments
            where invoice_id = (select invoice_id from invoices where invoice_number = 'paid by another');
            insert into payments (payment_id, customer_id, invoice_id, payment_date, amount_usd, updated_at)
            select
                'P-another',
                (select min(customer_id) from customers where customer_id <> invoices.customer_id),
                invoices.invoice_id,
                date '2025-01-15',
                invoices.total_usd,
                clock_timestamp()
            from invoices
            where invoice_number = 'paid by another'
            """,
        ),
        Change(
            "the depot of a customer with stops and no bills",
            "customers",
            "marts.customer_profitability",
            """
            update customers set depot_id = (
                select depot_id from depots where depot_id is distinct from customers.depot_id order by depot_id limit 1
            ), updated_at = clock_timestamp()
            where customer_id = 'C-unbilled'
            """,
            before="""
            insert into customers (customer_id, account_number, name, customer_type, depot_id, updated_at)
            select 'C-unbilled', 'unbilled', 'Unbilled', 'commercial', min(depot_id), clock_timestamp() from depots;
            update route_stops set customer_id = 'C-unbilled'
            where customer_id = (
                select customer_id from route_stops group by customer_id order by count(*) desc, customer_id limit 1
            );
            -- planned for a month the data clock has not reached
            update route_stops set service_date = current_date + 60
            where route_stop_id = (select max(route_stop_id) from route_stops where customer_id = 'C-unbilled')
            """,
        ),
    ),
]


@pytest.fixture(scope="module")
def built(server: EmbeddedServer, _template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DbtCompany]:
    """24 customers over 100 days and what the changes need, extracted and built."""
    folder = tmp_path_factory.mktemp("targeted")
    with simulated(server, _template, "targeted", folder, customers=24, days=100, depots=2) as made:
        for change in itertools.chain(*CHANGES):
            if change.before:
                made.source(change.before)
        made.extract()
        made.dbt("run")
        yield made


def contents(company: DbtCompany, table: str) -> object:
    """What tells the rows of a table from others."""
    return company.query(f"select count(*), sum(hashtextextended(row::text, 0)) from {table} as row")  # noqa: S608  our own


@pytest.mark.parametrize("changes", CHANGES, ids=lambda changes: " and ".join(change.name for change in changes))
def test_changed_days_end_in_the_tables_of_a_full_build(built: DbtCompany, changes: tuple[Change, ...]) -> None:
    before = [contents(built, change.table) for change in changes]
    for change in changes:
        built.source(change.sql)
        built.extract(load_contract().table(change.source).system)
    built.dbt("run", *TABLES)
    built.keep(built.tables())
    built.dbt("run", "--full-refresh", *TABLES)
    assert built.differences(built.tables()) == {}
    for change, rows in zip(changes, before, strict=True):
        assert contents(built, change.table) != rows, f"{change.name} changed nothing"


# Regression: of a company whose first facts came later than its agreements and budgets, the last day alone was built.
def test_the_first_facts_of_all_bring_the_days_before_them(
    server: EmbeddedServer,
    _template: str,  # noqa: PT019  its value is used
    tmp_path: Path,
) -> None:
    facts = ("loads", "route_stops", "invoices", "invoice_lines", "payments", "service_tickets", "portal_sessions")
    facts += ("vehicle_telemetry", "expenses", "route_runs", "surveys", "service_orders", "portal_events")
    with simulated(server, _template, "late", tmp_path, customers=10, days=60, depots=1) as late:
        late.source(";".join(f"create table kept_{name} as table {name}; truncate {name} cascade" for name in facts))
        late.extract()
        late.dbt("run")
        assert late.query("select count(*) from marts.customer_daily") == [(0,)]
        late.source("insert into loads select * from kept_loads where service_date >= date '2025-06-01'")
        late.extract()
        late.dbt("run", *TABLES)
        late.keep(late.tables())
        late.dbt("run", "--full-refresh", *TABLES)
        assert late.differences(late.tables()) == {}
        assert late.query("select count(distinct business_date) > 30 from marts.customer_daily") == [(True,)]
