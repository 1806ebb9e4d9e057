"""The shipped profile of the City of Austin: real loads with their real dirt, counted."""

from collections import Counter
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from warehouse_assets.source.contract import load_contract
from warehouse_assets.source.profiles import FilesProfile, open_profile

DATA = Path(__file__).parents[3] / "shared" / "data" / "waste"
HALF_YEAR = DATA / "austin_loads_2021H1.csv.gz"
WITH_ROUTES = DATA / "austin_loads_500_with_routes.csv"

needs_data = pytest.mark.skipif(not HALF_YEAR.exists(), reason=f"the city's loads are not at {DATA}")

Rows = list[dict[str, Any]]


def read(path: Path, *names: str) -> list[Rows]:
    profile = open_profile("austin", {"loads": str(path)})
    assert isinstance(profile, FilesProfile)
    found = []
    for name in names:
        with profile.read(load_contract().table(name)) as batches:
            found.append([row for batch in batches for row in batch.to_pylist()])
            assert batches.rejects == []
    profile.close()
    return found


def duplicates(rows: Rows) -> int:
    """Rows that the contract's rule duplicate_load calls a repetition."""
    rule = next(rule for rule in load_contract().table("loads").rules if rule.name == "duplicate_load")
    return sum(count - 1 for count in Counter(tuple(row[name] for name in rule.unique) for row in rows).values())


@needs_data
def test_every_load_of_the_half_year_comes_through_with_its_dirt() -> None:
    loads, sites, routes, runs, depots = read(HALF_YEAR, "loads", "disposal_sites", "routes", "route_runs", "depots")
    assert len(loads) == 26_157
    assert len({load["load_id"] for load in loads}) == 26_157
    weightless = [load for load in loads if load["weight_lb"] is None]
    assert len(weightless) == 1_048
    assert sum(load["load_type"] == "SWEEPING" for load in weightless) == 1_030
    assert sum(load["weight_lb"] == 0 for load in loads) == 3
    assert sorted(int(load["weight_lb"]) for load in loads if (load["weight_lb"] or 0) > 80_000) == [
        80_697, 102_680, 145_160, 227_780, 245_540
    ]  # fmt: skip
    assert duplicates(loads) == 445
    apart = [(load["tipped_at"].date() - load["service_date"]).days for load in loads]
    assert sum(abs(days) > 1 for days in apart) == 337
    assert (min(apart), max(apart)) == (-334, 74)
    assert all(1 <= load["tipped_at"].hour <= 12 for load in loads)
    assert {load["waste_stream"] for load in loads} == {"waste", "recycling", "organics", "other"}
    assert len(sites) == 18
    assert {load["disposal_site_id"] for load in loads} == {site["disposal_site_id"] for site in sites}
    assert {load["route_id"] for load in loads} == {None}
    assert (routes, runs) == ([], [])
    assert [depot["depot_id"] for depot in depots] == ["austin"]


@needs_data
def test_loads_with_routes_keep_their_ids_and_routes() -> None:
    loads, routes, runs = read(WITH_ROUTES, "loads", "routes", "route_runs")
    assert len(loads) == len({load["load_id"] for load in loads}) == 500
    assert sum(load["weight_lb"] is None for load in loads) == 3
    twice = [load for load in loads if load["load_id"].startswith("895578-")]
    assert {load["load_id"] for load in twice} == {"895578-OCPBU09", "895578-OCPBU23"}
    assert {load["route_id"] for load in twice} == {"OCPBU09", "OCPBU23"}
    assert duplicates(loads) == 5
    assert len(routes) == 30
    assert {load["route_run_id"] for load in loads} == {run["route_run_id"] for run in runs}
    assert {run["route_id"] for run in runs} == {route["route_id"] for route in routes}
    assert {(load["route_id"], load["service_date"]) for load in loads} == {
        (run["route_id"], run["service_date"]) for run in runs
    }


@needs_data
def test_keys_do_not_depend_on_where_the_file_lies(tmp_path: Path) -> None:
    copy = tmp_path / "loads.csv.gz"
    copy.write_bytes(HALF_YEAR.read_bytes())
    (first,), (second,) = read(HALF_YEAR, "loads"), read(copy, "loads")
    assert {load["load_id"] for load in first} == {load["load_id"] for load in second}


PUBLISHED = """\
Report Date,Load Type,Load Time,Load Weight,Dropoff Site,Route Type,Route Number,Load ID
12/08/2020,BULK,12/08/2020 03:02:00 PM,5220,TDS LANDFILL,BULK,BU13,899097
12/08/2020,RECYCLING - SINGLE STREAM,12/08/2020 10:00:00 AM,11140,TDS - MRF,RECYCLING - SINGLE STREAM,RTBU13,899078
12/03/2020,SWEEPING,12/03/2020 10:07:00 AM,,ONION CREEK,SWEEPER DUMPSITES,DSS04,899048
12/03/2020,SWEEPING,12/03/2020 10:07:00 AM,,ONION CREEK,SWEEPER DUMPSITES,DSS04,899048
"""
PUBLISHED_BY_API = """\
"report_date","load_type","load_time","load_weight","dropoff_site","route_type","route_number","load_id"
"2020-12-08T00:00:00.000","BULK","2020-12-08T15:02:00.000","5220","TDS LANDFILL","BULK","BU13","899097"
"""


def test_the_file_as_the_city_publishes_it(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(PUBLISHED)
    loads, routes = read(path, "loads", "routes")
    by_id = {load["load_id"]: load for load in loads}
    assert set(by_id) == {"899097-BU13", "899078-RTBU13", "899048-DSS04", "899048-DSS04-2"}
    bulk = by_id["899097-BU13"]
    assert bulk["service_date"] == date(2020, 12, 8)
    assert bulk["tipped_at"] == datetime(2020, 12, 8, 21, 2, tzinfo=UTC)  # 3:02 PM in Austin
    assert bulk["weight_lb"] == Decimal(5220)
    assert bulk["route_run_id"] == "BU13:2020-12-08"
    assert {route["route_id"]: route["waste_stream"] for route in routes} == {
        "BU13": "waste", "RTBU13": "recycling", "DSS04": "waste"
    }  # fmt: skip
    path.write_text(PUBLISHED_BY_API)
    ((again,),) = read(path, "loads")
    assert again == bulk


# Regression: a time with its offset was spoiled by another one, midnight with a Z was the day before, and a weight with
# a thousands separator went to quarantine.
@pytest.mark.parametrize(
    ("day", "time", "weight"),
    [
        ("2019-06-06", "2019-06-06 17:43:00-05:00", "1060"),
        ("2019-06-06T00:00:00Z", "2019-06-06T22:43:00Z", '"1,060.0"'),
        ("2019-06-06T00:00:00.000", "2019-06-06 22:43:00 UTC", "1060.0"),
    ],
)
def test_other_copies_of_the_file(tmp_path: Path, day: str, time: str, weight: str) -> None:
    path = tmp_path / "rows.csv"
    head = "report_date,load_type,load_time,load_weight,dropoff_site,load_id,route_number"
    path.write_text(f"{head}\n{day},BULK,{time},{weight},MRF,1,BU1\n")
    ((load,),) = read(path, "loads")
    assert load["service_date"] == date(2019, 6, 6)
    assert load["route_run_id"] == "BU1:2019-06-06"
    assert load["tipped_at"] == datetime(2019, 6, 6, 22, 43, tzinfo=UTC)
    assert load["weight_lb"] == Decimal(1060)
