"""Churn features of a day rest on what was dated before it: its future is moved, and they stay as they were."""

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

import pytest
from dbt_company import TIME_ZONE, DbtCompany, simulated

from warehouse_assets.database.embedded import EmbeddedServer

# The data clock is 20 June 2025 and the facts begin on 25 July 2024: on the day from which facts are moved, features
# compare with half a year before, and labels see more than their 90 days after it.
MOVED_FROM = date(2025, 3, 1)
LABEL = "is_churned_90d"
#: known as of today in every month, or told by the first agreement: what is moved changes neither
SETTLED = {"customer_id", "month", "is_current", "customer_type", "payment_terms_days", "tenure_months"}

# What is under way on the day: tickets nobody has answered yet, and invoices nobody has paid.
UNDER_WAY = """
    insert into service_tickets (
        service_ticket_id, customer_id, ticket_type, opened_at, first_response_at, resolved_at, updated_at
    )
    select 'open-' || customer_id, customer_id, 'question', :midnight - interval '3 days',
        :midnight + interval '1 day', :midnight + interval '2 days', clock_timestamp()
    from customers;
    delete from payments where payment_date >= :day - 90 and hashtext(customer_id) % 2 = 0
"""

# Rows dated before :day keep all they told then; of older tickets and agreements, only what became of them later moves.
MOVES = """
    delete from payments where payment_date >= :day and hashtext(payment_id) % 3 = 0;
    update payments set amount_usd = amount_usd / 2, payment_date = payment_date + 20, updated_at = clock_timestamp()
    where payment_date >= :day and hashtext(payment_id) % 3 = 1;
    insert into payments (payment_id, customer_id, invoice_id, payment_date, amount_usd, updated_at)
    select 'moved-' || invoice_id, customer_id, invoice_id, :day, total_usd, clock_timestamp()
    from invoices
    where due_date < :day;

    delete from invoices where invoice_date >= :day and hashtext(invoice_id) % 3 = 0;
    update invoices
    set subtotal_usd = 0, tax_usd = total_usd * 3, total_usd = total_usd * 3, due_date = due_date - 20,
        updated_at = clock_timestamp()
    where invoice_date >= :day and hashtext(invoice_id) % 3 = 1;
    insert into invoices (invoice_id, customer_id, invoice_date, due_date, total_usd, updated_at)
    select 'moved-' || customer_id, customer_id, :day, :day + 30, 777, clock_timestamp() from customers;

    delete from service_agreement_prices where effective_from >= :day;
    insert into service_agreement_prices (
        service_agreement_price_id, service_agreement_id, effective_from, monthly_rate_usd, change_reason, updated_at
    )
    select 'moved-' || service_agreement_id, service_agreement_id, :day + 5, monthly_rate_usd * 4, 'annual_increase',
        clock_timestamp()
    from service_agreements
    where start_date < :day and coalesce(end_date, :day) >= :day;

    delete from service_agreements where start_date >= :day;
    update service_agreements set end_date = null, end_reason = null, updated_at = clock_timestamp()
    where end_date >= :day;
    update service_agreements set end_date = :day + 12, updated_at = clock_timestamp()
    where end_date is null and hashtext(customer_id) % 3 = 0;
    insert into service_agreements (
        service_agreement_id, customer_id, service_type, monthly_rate_usd, discount_ratio, start_date, term_months,
        is_auto_renew, updated_at
    )
    select 'moved-' || customer_id, customer_id, 'roll_off', 9000, 0.5, :day, 7, number % 2 = 0, clock_timestamp()
    from (
        select customer_id, row_number() over (order by customer_id) as number
        from customers
        where hashtext(customer_id) % 3 <> 0
    ) as customer;

    delete from route_stops where service_date >= :day and hashtext(route_stop_id) % 5 = 0;
    update route_stops
    set status = 'missed', weight_lb = null, actual_sequence = null, arrived_at = null, updated_at = clock_timestamp()
    where service_date >= :day and hashtext(route_stop_id) % 5 = 1;
    update route_stops
    set is_contaminated = true, is_overage = true, weight_lb = weight_lb * 3, updated_at = clock_timestamp()
    where service_date >= :day and hashtext(route_stop_id) % 5 = 2;

    delete from service_orders where delivery_date >= :day;
    insert into service_orders (service_order_id, customer_id, delivery_date, status, updated_at)
    select 'moved-' || customer_id, customer_id, :day, 'completed', clock_timestamp() from customers;

    delete from service_tickets where opened_at >= :midnight and hashtext(service_ticket_id) % 2 = 0;
    update service_tickets set resolved_at = null, updated_at = clock_timestamp() where resolved_at >= :midnight;
    update service_tickets set first_response_at = null, updated_at = clock_timestamp()
    where first_response_at >= :midnight;
    insert into service_tickets (
        service_ticket_id, customer_id, ticket_type, opened_at, first_response_at, updated_at
    )
    select 'moved-' || customer_id, customer_id, 'complaint', :midnight, :midnight + interval '50 hours',
        clock_timestamp()
    from customers;

    update surveys set score = 0, updated_at = clock_timestamp() where responded_at >= :midnight;
    insert into surveys (survey_id, customer_id, survey_type, score, responded_at, updated_at)
    select 'moved-' || customer_id, customer_id, 'nps', 1, :midnight, clock_timestamp() from customers;

    insert into portal_sessions (portal_session_id, customer_id, started_at, updated_at)
    select 'moved-' || customer_id, customer_id, :midnight, clock_timestamp() from customers
"""


def dated(text: str) -> str:
    """SQL with the day from which facts are moved, and its first moment."""
    midnight = f"timestamptz '{MOVED_FROM} 00:00 {TIME_ZONE}'"
    return text.replace(":midnight", midnight).replace(":day", f"date '{MOVED_FROM}'")


@pytest.fixture(scope="module")
def company_in_march(
    server: EmbeddedServer, _template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DbtCompany]:
    """24 customers over 330 days, extracted, with features built of them."""
    folder = tmp_path_factory.mktemp("future")
    with simulated(server, _template, "future", folder, customers=24, days=330, depots=1) as made:
        made.source(dated(UNDER_WAY))
        made.extract()
        made.dbt("run", "--select", "+customer_month")
        yield made


def rows_by_key(company: DbtCompany) -> dict[tuple[str, date], Mapping[str, Any]]:
    """Customer and day → the row of the table of features, by column."""
    found = company.query("select customer_id, month, to_jsonb(features) from features.customer_month as features")
    return {(customer, day): row for customer, day, row in found}


def test_features_of_a_day_stay_when_its_future_is_moved(company_in_march: DbtCompany) -> None:
    before = rows_by_key(company_in_march)
    company_in_march.source(dated(MOVES))
    company_in_march.extract()
    # whole, not by days: a leak shall not hide in days that nobody called dirty
    company_in_march.dbt("run", "--full-refresh", "--select", "+customer_month")
    after = rows_by_key(company_in_march)

    known_then = {key for key in before if key[1] <= MOVED_FROM}
    assert {key for key in after if key[1] <= MOVED_FROM} == known_then
    changed = {
        key: {column for column in before[key] if after[key][column] != before[key][column]}
        for key in before.keys() & after.keys()
    }
    assert {key: columns - {LABEL} for key, columns in changed.items() if key in known_then and columns - {LABEL}} == {}

    # it could have failed: labels look ahead, and every feature that may change has changed on later days
    assert [key for key in known_then if LABEL in changed[key]]
    features = set().union(*before.values()) - SETTLED - {LABEL}
    assert features - set().union(*(columns for key, columns in changed.items() if key not in known_then)) == set()
    # and all of them are known on the days that must not change
    assert {column for column in features if all(before[key][column] is None for key in known_then)} == set()
