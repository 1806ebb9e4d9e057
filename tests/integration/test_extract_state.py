"""What has changed and what an asset has seen, as assets written in Python use it."""

from datetime import date

import psycopg
import pytest

from warehouse_assets.errors import UserError
from warehouse_assets.extract.state import inputs_moved, inputs_seen, mark_changed, record_inputs

INPUTS = ["invoices", "ml.forecast", "customer_daily"]


def test_a_table_written_by_python_takes_part_like_an_extracted_one(warehouse_url: str) -> None:
    with psycopg.connect(warehouse_url) as connection:
        first = mark_changed(connection, "ml.forecast", [date(2024, 3, 2), date(2024, 3, 1), date(2024, 3, 2)], rows=5)
        second = mark_changed(connection, "ml.forecast", [])
        assert second > first
        state = connection.execute("select source_table, batch_id, changed_batch_id, rows_raw from etl.table_state")
        assert state.fetchall() == [("ml.forecast", second, second, 5)]
        days = connection.execute("select batch_id, business_date from etl.dirty_day order by 2")
        assert days.fetchall() == [(first, date(2024, 3, 1)), (first, date(2024, 3, 2))]


def test_inputs_move_when_one_of_them_changes(warehouse_url: str) -> None:
    with psycopg.connect(warehouse_url, autocommit=True) as connection:
        assert inputs_moved(connection, "ml.churn", INPUTS)  # never seen
        record_inputs(connection, "ml.churn", INPUTS)
        assert not inputs_moved(connection, "ml.churn", INPUTS)
        mark_changed(connection, "ml.forecast", [])
        assert inputs_moved(connection, "ml.churn", INPUTS)
        assert not inputs_moved(connection, "ml.churn", ["invoices"])
        record_inputs(connection, "ml.churn", INPUTS)
        connection.execute(
            "insert into etl.model_build (model, batch_id, code_version, built_at) "
            "values ('customer_daily', 1, 1, now())"
        )
        assert inputs_moved(connection, "ml.churn", INPUTS)
        record_inputs(connection, "ml.churn", INPUTS)
        connection.execute("update etl.model_build set batch_id = batch_id + 1")
        assert inputs_moved(connection, "ml.churn", INPUTS)
        assert not inputs_moved(connection, "ml.churn", ["ml.forecast"])


def test_a_batch_that_commits_while_an_asset_works_is_not_taken_for_seen(warehouse_url: str) -> None:
    with psycopg.connect(warehouse_url, autocommit=True) as connection:
        seen = inputs_seen(connection, INPUTS)
        mark_changed(connection, "ml.forecast", [])
        record_inputs(connection, "ml.churn", INPUTS, seen)
        assert inputs_moved(connection, "ml.churn", INPUTS)
        with pytest.raises(UserError, match=r"ml.churn would record inputs it has not read: payments"):
            record_inputs(connection, "ml.churn", [*INPUTS, "payments"], seen)
