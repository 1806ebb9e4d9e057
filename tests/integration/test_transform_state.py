"""Which tests of models have passed, as the warehouse remembers it."""

import psycopg
import pytest

from warehouse_assets.transform.state import noting_passed_tests, read_state


def test_tests_count_as_passed_when_the_build_has_ended_well(warehouse_url: str) -> None:
    with psycopg.connect(warehouse_url) as connection:
        with noting_passed_tests(connection, {"route_run": 7, "route_stop": 8}):
            pass
        assert read_state(connection).models.tests == {"route_run": 7, "route_stop": 8}
        connection.commit()

        def fail() -> None:
            with noting_passed_tests(connection, {"route_run": 9}):
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            fail()
    with psycopg.connect(warehouse_url) as connection:
        assert read_state(connection).models.tests == {"route_stop": 8}
