"""The registry of model versions, on a real database."""

import threading
from collections.abc import Iterator
from datetime import date
from typing import Any

import numpy as np
import psycopg
import pytest

from warehouse_assets.errors import UserError
from warehouse_assets.lifecycle.columns import table_metadata
from warehouse_assets.lifecycle.registry import KEPT_ARTIFACTS, Candidate, Guard, champion, register, versions

FEATURES = [{"name": "tons_90d", "dtype": "number"}]
GUARD = Guard("auc", 0.02)


@pytest.fixture
def connection(warehouse_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(warehouse_url) as opened:
        yield opened


def candidate(auc: float, **changes: Any) -> Candidate:
    values: dict[str, Any] = {"features": FEATURES, "metrics": {"auc": auc}, "artifact": f"model of {auc}", **changes}
    return Candidate("churn", "lightgbm", **values)


def test_versions_count_up_and_the_better_one_serves(connection: psycopg.Connection) -> None:
    assert champion(connection, "churn") is None
    first = register(connection, candidate(0.80), GUARD)
    second = register(connection, candidate(0.85), GUARD)
    assert (first.version.version, second.version.version) == (1, 2)
    assert (first.refusal, second.refusal) == (None, None)
    serving = champion(connection, "churn")
    assert serving is not None
    assert (serving.version, serving.artifact, serving.features) == (2, "model of 0.85", FEATURES)
    assert [(version.version, version.is_champion) for version in versions(connection, "churn")] == [
        (2, True),
        (1, False),
    ]
    assert champion(connection, "forecast") is None


def test_a_clearly_worse_challenger_is_kept_but_refused(connection: psycopg.Connection) -> None:
    register(connection, candidate(0.85), GUARD)
    bad = register(connection, candidate(0.80), GUARD)
    assert bad.refusal is not None
    assert "0.8000 is worse than the champion's 0.8500 (version 1)" in bad.refusal
    assert champion(connection, "churn").version == 1  # type: ignore[union-attr]  # there is one
    slightly_worse = register(connection, candidate(0.84), GUARD)
    assert slightly_worse.refusal is None
    assert champion(connection, "churn").version == 3  # type: ignore[union-attr]  # there is one


# champion's metrics, challenger's, higher is better → refused
GUARDS = [
    ({"mase": 1.0}, {"mase": 1.3}, False, True),
    ({"mase": 1.3}, {"mase": 1.0}, False, False),
    ({"mase": 1.0}, {"mase": 1.3}, True, False),
    ({"mase": None}, {"mase": 1.3}, False, False),
    ({}, {"mase": 1.3}, False, False),
    ({"mase": 1.0}, {"mase": float("nan")}, False, False),
]


@pytest.mark.parametrize(("old", "new", "higher", "refused"), GUARDS)
def test_guard(connection: psycopg.Connection, old: Any, new: Any, higher: bool, refused: bool) -> None:
    guard = Guard("mase", 0.1, higher_is_better=higher)
    register(connection, candidate(0, metrics=old), guard)
    assert (register(connection, candidate(0, metrics=new), guard).refusal is not None) is refused


def test_other_features_replace_a_champion_that_could_not_score_any_more(connection: psycopg.Connection) -> None:
    register(connection, candidate(0.9), GUARD)
    changed = register(connection, candidate(0.6, features=[{"name": "lifts_90d", "dtype": "number"}]), GUARD)
    assert changed.refusal is None
    assert champion(connection, "churn").version == 2  # type: ignore[union-attr]  # there is one


def test_another_format_replaces_a_champion_that_cannot_be_read_any_more(connection: psycopg.Connection) -> None:
    register(connection, candidate(0.9, parameters={"format": 1}), GUARD)
    assert register(connection, candidate(0.6, parameters={"format": 1}), GUARD).refusal is not None
    assert register(connection, candidate(0.6, parameters={"format": 2}), GUARD).refusal is None


def test_what_was_stored_comes_back(connection: psycopg.Connection) -> None:
    metrics = {
        "auc": np.float64(0.8),
        "ece": float("nan"),
        "factor_score": {"auc": np.float32(0.5)},
        "rows": np.int64(3),
    }
    parameters = {"weights": (0.5, np.inf), "is_test": True, "from": date(2026, 1, 1)}
    register(
        connection,
        candidate(
            0,
            metrics=metrics,
            parameters=parameters,
            data_from=date(2025, 1, 1),
            data_to=date(2026, 1, 1),
            run_id="run",
        ),
        GUARD,
    )
    found = champion(connection, "churn")
    assert found is not None
    assert found.metrics == {"auc": 0.8, "ece": None, "factor_score": {"auc": 0.5}, "rows": 3}
    assert found.parameters == {"weights": [0.5, None], "is_test": True, "from": "2026-01-01"}
    assert (found.data_from, found.data_to, found.run_id) == (date(2025, 1, 1), date(2026, 1, 1), "run")


def test_old_artifacts_are_let_go_but_not_the_champions(connection: psycopg.Connection) -> None:
    register(connection, candidate(0.9), GUARD)
    for _ in range(KEPT_ARTIFACTS + 1):
        register(connection, candidate(0.5), GUARD)
    assert champion(connection, "churn").artifact == "model of 0.9"  # type: ignore[union-attr]  # there is one
    kept = connection.execute("select version from ml.model_version where artifact is not null order by 1").fetchall()
    assert [version for (version,) in kept] == [1, *range(3, KEPT_ARTIFACTS + 3)]


def test_a_rolled_back_transaction_leaves_the_champion(warehouse_url: str) -> None:
    with psycopg.connect(warehouse_url) as connection:
        register(connection, candidate(0.8), GUARD)
    with psycopg.connect(warehouse_url) as connection:
        register(connection, candidate(0.9), GUARD)
        connection.rollback()
    with psycopg.connect(warehouse_url) as connection:
        assert [version.version for version in versions(connection, "churn")] == [1]
        assert champion(connection, "churn").version == 1  # type: ignore[union-attr]  # there is one


def test_two_writers_at_once_give_two_versions_and_one_champion(warehouse_url: str) -> None:
    both = threading.Barrier(2)

    def write(auc: float) -> None:
        with psycopg.connect(warehouse_url) as connection:
            both.wait(timeout=30)
            register(connection, candidate(auc), GUARD)

    writers = [threading.Thread(target=write, args=(auc,)) for auc in (0.80, 0.81)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(timeout=60)
    with psycopg.connect(warehouse_url) as connection:
        found = versions(connection, "churn")
    assert [version.version for version in found] == [2, 1]
    assert [version.is_champion for version in found] == [True, False]


@pytest.mark.parametrize("artifact", ["", "a\x00b"])
def test_an_artifact_that_is_no_text_is_refused(connection: psycopg.Connection, artifact: str) -> None:
    with pytest.raises(UserError, match="nothing was registered"):
        register(connection, candidate(0.8, artifact=artifact), GUARD)
    with pytest.raises(UserError, match="cannot be stored"):
        register(connection, candidate(0.8, metrics={"auc": object()}), GUARD)


@pytest.mark.parametrize("table", ["churn_prediction", "forecast", "forecast_backtest", "model_version"])
def test_an_assets_page_shows_the_columns_of_its_table(connection: psycopg.Connection, table: str) -> None:
    held = connection.execute(
        "select column_name, data_type from information_schema.columns "
        "where table_schema = 'ml' and table_name = %s order by ordinal_position",
        [table],
    ).fetchall()
    shown = table_metadata(table)["dagster/column_schema"].columns
    assert [(column.name, column.type) for column in shown] == held
    assert all(column.description for column in shown)
