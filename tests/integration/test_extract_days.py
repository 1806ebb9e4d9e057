"""Which business days a change makes dirty: of intervals, of rows without a day of their own, in which time zone."""

from dataclasses import replace
from datetime import date

import pytest
from test_extract_company import Company, add_stops, company_fixture  # noqa: F401  a fixture

from warehouse_assets.source.contract import Contract


@pytest.mark.parametrize(
    ("statement", "days"),
    [
        # an agreement of 1 to 10 March           the days that are not alike before and after
        ("set end_date = '2024-03-12'", [10, 11]),
        ("set end_date = '2024-03-08'", [8, 9]),
        ("set start_date = '2024-03-03'", [1, 2]),
        ("set start_date = '2024-03-09', end_date = '2024-03-11'", [*range(1, 9), 10]),
        ("set rate_usd = 2, end_date = '2024-03-12'", list(range(1, 12))),
        ("set end_date = '2024-02-20'", list(range(1, 10))),
    ],
)
def test_an_interval_dirties_the_days_on_one_side_only(company: Company, statement: str, days: list[int]) -> None:
    company.source("insert into agreements values ('A', '2024-03-01', '2024-03-10', 1, '2024-03-01')")
    company.source("insert into agreements values ('B', '2020-03-01', '2020-03-10', 1, '2024-03-01')")
    company.extract("agreements")
    assert len(company.dirty("agreements")) == 18
    company.source(f"update agreements {statement}, updated_at = now() where agreement_id = 'A'")
    company.extract("agreements")
    assert company.dirty("agreements") == [date(2024, 3, day) for day in days]


def test_the_last_day_of_an_interval_may_be_one_of_its_days(company: Company) -> None:
    agreements = company.contract.table("agreements")
    assert agreements.business_date is not None
    counting = replace(agreements, business_date=replace(agreements.business_date, end_counts=True))
    company = replace(company, contract=Contract({**company.contract.tables, "agreements": counting}))
    company.source("insert into agreements values ('A', '2024-03-05', '2024-03-05', 1, '2024-03-01')")
    company.extract("agreements")
    assert [day.day for day in company.dirty("agreements")] == [5]
    company.source("update agreements set end_date = '2024-03-07', updated_at = now()")
    company.extract("agreements")
    assert [day.day for day in company.dirty("agreements")] == [6, 7]
    company.source("update agreements set end_date = null, updated_at = now() + interval '1 second'")
    company.extract("agreements")
    [today] = company.ask("select (now() at time zone 'America/Chicago')::date")
    assert (company.dirty("agreements")[0], company.dirty("agreements")[-1]) == (date(2024, 3, 8), today)


def test_an_open_interval_ends_with_the_day_of_the_extraction(company: Company) -> None:
    company.source("insert into agreements values ('A', current_date - 5, null, 1, now())")
    company.extract("agreements")
    [today] = company.ask("select (now() at time zone 'America/Chicago')::date")
    assert company.dirty("agreements")[-1] == today


def test_a_changed_truck_dirties_the_days_of_its_stops(company: Company) -> None:
    add_stops(company, 40)
    company.source("insert into trucks select 'T' || i, 'Mack', now() from generate_series(0, 4) as i")
    company.extract()
    assert company.dirty("trucks") == []  # a first load: the stops are dirty themselves
    company.source("update stops set truck_id = 'T4', updated_at = now() where stop_id in ('S3', 'S22')")
    company.extract()
    company.source("update trucks set make = 'Volvo', updated_at = now() where truck_id = 'T4'")
    company.extract()
    assert company.dirty("trucks") == [date(2024, 3, 1), date(2024, 3, 3)]


def test_a_business_day_is_that_of_the_companys_time_zone(company: Company) -> None:
    company.source("insert into tips values ('1', 'A', '2024-03-02 05:30Z', 5), ('2', 'A', '2024-03-02 06:30Z', 5)")
    company.extract("tips")
    assert company.dirty("tips") == [date(2024, 3, 1), date(2024, 3, 2)]


def test_only_columns_that_facts_take_touch_the_days_of_facts(company: Company) -> None:
    trucks = company.contract.table("trucks")
    assert trucks.business_date is not None
    picky = replace(trucks, business_date=replace(trucks.business_date, taken=("make",)))
    company = replace(company, contract=Contract({**company.contract.tables, "trucks": picky}))
    company.source("insert into trucks values ('T1', 'Mack', '2024-03-01'), ('T2', 'Volvo', '2024-03-01')")
    company.source(
        "insert into stops values ('A', 'T1', '2024-03-02', 'missed', 5, null, now()), "
        "('B', 'T2', '2024-03-05', 'missed', 5, null, now())"
    )
    company.extract("stops")
    company.extract("trucks")
    company.source("update trucks set updated_at = '2024-03-02' where truck_id = 'T1'")
    (load,) = company.extract("trucks").values()
    assert (load.rows_updated, load.dirty_days) == (1, 0)
    company.source("update trucks set make = 'Scania', updated_at = '2024-03-03' where truck_id = 'T2'")
    company.extract("trucks")
    assert [day.day for day in company.dirty("trucks")] == [5]
    company.source("delete from trucks where truck_id = 'T1'")
    company.extract("trucks")
    assert [day.day for day in company.dirty("trucks")] == [2]
    company.source("insert into trucks values ('T1', 'Mack', '2024-03-04')")
    company.extract("trucks")
    assert [day.day for day in company.dirty("trucks")] == [2], "it is back with all it has"
