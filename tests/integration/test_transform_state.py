"""Which data tests have passed, as the warehouse remembers it."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import psycopg
import pytest

from warehouse_assets.database.raw_lock import raw_stands_still
from warehouse_assets.errors import UserError
from warehouse_assets.transform.plan import PassedTest
from warehouse_assets.transform.state import noting_passes, read_state, row_counts

RUNS, STOPS = PassedTest(7, {"route_runs": 3}), PassedTest(8, {"route_stops": 4, "routes": 2})


def test_tests_count_as_passed_when_the_build_has_ended_well(warehouse_url: str) -> None:
    with psycopg.connect(warehouse_url) as connection:
        with noting_passes(connection, {"runs_unique": RUNS, "stops_unique": STOPS}, untouched=[]):
            pass
        assert read_state(connection).passes == {"runs_unique": RUNS, "stops_unique": STOPS}
        connection.commit()

        def fail() -> None:
            with noting_passes(connection, {"runs_unique": RUNS}, untouched=["stops_unique"]):
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            fail()
    with psycopg.connect(warehouse_url) as connection:
        assert read_state(connection).passes == {"stops_unique": STOPS}


def test_tests_that_a_build_touched_and_did_not_run_are_owed(warehouse_url: str) -> None:
    with psycopg.connect(warehouse_url) as connection:
        with noting_passes(connection, {"runs_unique": RUNS, "stops_unique": STOPS}, untouched=[]):
            pass
        with noting_passes(connection, {}, untouched=["runs_unique"]):
            pass
        assert read_state(connection).passes == {"runs_unique": RUNS}


def no_wait(text: str) -> None:
    raise AssertionError(text)


def test_a_server_that_went_away_took_the_lock_along(warehouse_url: str) -> None:
    with psycopg.connect(warehouse_url) as connection, raw_stands_still(connection, no_wait):
        connection.close()


# Regression: a role's limit on statements ended a run that waited for another's build.
def test_a_lock_is_waited_for_beyond_the_limits_of_a_role(warehouse_url: str) -> None:
    told: list[str] = []
    limits = "?options=-c%20statement_timeout%3D50%20-c%20lock_timeout%3D50"
    with (
        psycopg.connect(warehouse_url) as first,
        psycopg.connect(warehouse_url + limits) as second,
        ThreadPoolExecutor(1) as pool,
        ExitStack() as building,
    ):
        building.enter_context(raw_stands_still(first, no_wait))
        building.callback(time.sleep, 0.3)
        waiting = pool.submit(lambda: raw_stands_still(second, told.append).__enter__())
        building.close()
        waiting.result(timeout=10)
        assert told == ["another run extracts or builds models: this one waits until it has ended"]
        with pytest.raises(psycopg.errors.QueryCanceled):
            second.execute("select pg_sleep(1)")


def test_a_server_that_goes_away_while_rows_are_counted_is_one_sentence(warehouse_url: str) -> None:
    with psycopg.connect(warehouse_url) as connection, psycopg.connect(warehouse_url, autocommit=True) as other:
        assert row_counts(connection) == {}
        other.execute("select pg_terminate_backend(%s)", [connection.info.backend_pid])
        with pytest.raises(UserError, match="reading how many rows the tables have"):
            row_counts(connection)
        connection.close()
