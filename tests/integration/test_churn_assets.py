"""The churn assets against a real database: trained, scored, unchanged, too little, a bad row, killed half way."""

from collections.abc import Iterator
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import psycopg
import pytest
from customer_months import customer_months, latest
from dagster import AssetKey, DagsterInstance, ExecuteInProcessResult, asset, materialize
from psycopg import sql

from warehouse_assets.churn import service, storage
from warehouse_assets.churn.assets import build_churn_assets
from warehouse_assets.churn.soundness import KEY, feature_expectations, unsound_rows
from warehouse_assets.database.resource import WarehouseResource
from warehouse_assets.errors import UserError
from warehouse_assets.lifecycle import registry
from warehouse_assets.options import RunOptions

DDL = """
create schema if not exists features;
create table features.customer_month (
    customer_id text,
    month date,
    is_current boolean,
    service_type text,
    is_municipal boolean,
    missed_pickups_90d integer,
    overdue_ratio numeric,
    satisfaction_avg_180d double precision,
    tenure_months double precision,
    is_churned_90d boolean
)
"""


@pytest.fixture(scope="module")
def months() -> pd.DataFrame:
    return customer_months()


@pytest.fixture
def connection(warehouse_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(warehouse_url) as opened:
        opened.execute(DDL)
        opened.commit()
        yield opened


def build_features(connection: psycopg.Connection, frame: pd.DataFrame) -> None:
    """What a dbt build of customer_month leaves behind: the rows, and a later build time."""
    connection.execute("truncate features.customer_month")
    columns = list(frame.columns)
    statement = sql.SQL("copy features.customer_month ({}) from stdin").format(
        sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for row in frame.astype(object).where(frame.notna(), None).itertuples(index=False):
            values = dict(zip(columns, row, strict=True))
            values["missed_pickups_90d"] = int(values["missed_pickups_90d"])
            copy.write_row(list(values.values()))
    connection.execute(
        """
        insert into etl.model_build (model, batch_id, code_version, built_at)
        values ('customer_month', nextval('etl.batch_id'), 1, clock_timestamp())
        on conflict (model) do update set batch_id = excluded.batch_id, built_at = excluded.built_at
        """
    )
    connection.commit()


def predictions(connection: psycopg.Connection) -> list[tuple[Any, ...]]:
    return connection.execute(
        "select as_of, customer_id, churn_probability, model_version_id from ml.churn_prediction order by 1, 2"
    ).fetchall()


def test_train_score_and_nothing_new(connection: psycopg.Connection, months: pd.DataFrame) -> None:
    build_features(connection, months)
    trained = service.train_model(connection, "run 1")
    assert trained.state == "trained, in service"
    assert trained.figures["auc"] > 0.6
    scored = service.score_customers(connection, "run 1")
    today = latest(months)
    assert scored.figures["dagster/row_count"] == len(today)
    rows = predictions(connection)
    assert [row[1] for row in rows] == sorted(today["customer_id"])
    assert {row[0] for row in rows} == {today["month"].iloc[0].date()}
    champion = registry.champion(connection, "churn")
    assert champion is not None
    assert {row[3] for row in rows} == {champion.model_version_id}
    checked = connection.execute(
        """
        select
            bool_and(jsonb_array_length(reasons) between 3 and 5),
            bool_and(factors ? 'missed_pickups'),
            bool_and(suggested_action <> '' and risk_tier in ('low', 'medium', 'high', 'critical')),
            bool_and(run_id = 'run 1' and churn_score between 0 and 100)
        from ml.churn_prediction
        """
    ).fetchone()
    assert checked == (True, True, True, True)
    dirty = connection.execute("select business_date from etl.dirty_day where source_table = 'ml.churn_prediction'")
    assert dirty.fetchall() == [(today["month"].iloc[0].date(),)]

    # nothing moved: nothing done
    assert service.train_model(connection, "run 2").state == "unchanged"
    assert service.score_customers(connection, "run 2").state == "unchanged"
    # features built again with the same labelled rows: no new version, but today is scored again
    changed_today = months.copy()
    changed_today.loc[changed_today["month"] == changed_today["month"].max(), "missed_pickups_90d"] = 9.0
    build_features(connection, changed_today)
    assert service.train_model(connection, "run 3").state.startswith("unchanged: version 1")
    assert service.score_customers(connection, "run 3").state == "scored"
    after = predictions(connection)
    assert len(after) == len(rows)
    assert sum(row[2] for row in after) > sum(row[2] for row in rows)
    assert [version.version for version in registry.versions(connection, "churn")] == [1]


def test_yesterdays_predictions_stay(connection: psycopg.Connection, months: pd.DataFrame) -> None:
    build_features(connection, months)
    service.train_model(connection, None)
    service.score_customers(connection, None)
    before = predictions(connection)
    next_month = latest(months).assign(month=pd.Timestamp("2026-03-01"))
    build_features(connection, pd.concat([months, next_month]))
    service.score_customers(connection, None)
    after = predictions(connection)
    assert [row for row in after if row[0] == before[0][0]] == before
    assert {row[0] for row in after} == {before[0][0], date(2026, 3, 1)}
    # scoring that fails half way leaves everything as it was
    connection.commit()
    connection.execute("delete from ml.churn_prediction where as_of = %s", (date(2026, 3, 1),))
    connection.rollback()
    assert predictions(connection) == after


# Regression: the champion of an easy quarter kept out every model that was tested on harder months.
def test_months_that_are_hard_for_every_model_keep_no_challenger_out(
    connection: psycopg.Connection, months: pd.DataFrame
) -> None:
    build_features(connection, months)
    service.train_model(connection, None)
    harder = months.copy()
    tested = np.sort(months.loc[months["is_churned_90d"].notna(), "month"].unique())[-3:]
    is_tested = harder["month"].isin(tested)
    harder.loc[is_tested, "is_churned_90d"] = (
        harder.loc[is_tested, "is_churned_90d"].sample(frac=1, random_state=1).to_numpy()
    )
    build_features(connection, harder)
    trained = service.train_model(connection, None)
    second, first = registry.versions(connection, "churn")
    assert second.metrics["auc"] < first.metrics["auc"] - max(service.AUC_TOLERANCE, 2 * second.metrics["auc_se"])
    assert trained.state == "trained, in service"


# Regression: a row dated too late moved the data's clock on; corrected, its scores stayed the ones that were served.
def test_predictions_of_days_that_have_not_come_go(connection: psycopg.Connection, months: pd.DataFrame) -> None:
    build_features(connection, months)
    service.train_model(connection, None)
    service.score_customers(connection, None)
    before = predictions(connection)
    build_features(connection, pd.concat([months, latest(months).assign(month=pd.Timestamp("2026-03-01"))]))
    service.score_customers(connection, None)
    build_features(connection, months)
    assert service.score_customers(connection, None).state == "scored"
    assert predictions(connection) == before


@pytest.mark.parametrize("rows", [0, 50])
def test_too_little_data_is_said_in_words(connection: psycopg.Connection, months: pd.DataFrame, rows: int) -> None:
    build_features(connection, months.head(rows))
    trained = service.train_model(connection, None)
    assert f"{rows} customer-months have a complete 90-day label window" in trained.state
    scored = service.score_customers(connection, None)
    assert scored.state.startswith("no predictions")
    assert predictions(connection) == []
    assert service.train_model(connection, None).state == "unchanged"


def test_no_table_is_one_sentence(warehouse_url: str) -> None:
    with psycopg.connect(warehouse_url) as connection, pytest.raises(UserError, match="build the dbt model"):
        storage.read_customer_months(connection)


def test_read_types_do_not_depend_on_nulls(connection: psycopg.Connection, months: pd.DataFrame) -> None:
    empty = months.head(3).assign(service_type=None, is_municipal=None, overdue_ratio=None, satisfaction_avg_180d=None)
    build_features(connection, months)
    full = storage.read_customer_months(connection)
    build_features(connection, empty)
    read = storage.read_customer_months(connection)
    kinds = {name: str(dtype) for name, dtype in read.dtypes.items()}
    assert kinds == {name: str(dtype) for name, dtype in full.dtypes.items()}
    assert kinds["overdue_ratio"] == "float64"
    assert kinds["is_municipal"] == "boolean"
    assert kinds["service_type"] == "object"


class _Here(WarehouseResource):
    """The resource, pointed at the test's database."""

    url: str

    @property
    def databases(self) -> Any:
        import dataclasses

        from warehouse_assets.database.databases import resolve

        return dataclasses.replace(resolve(self.settings), warehouse=self.url)


def run_assets(url: str, home: Any) -> ExecuteInProcessResult:
    @asset(key_prefix=["features"])
    def customer_month() -> None:
        """Stands where dbt's model stands in the graph."""

    with DagsterInstance.ephemeral() as instance:
        return materialize(
            [customer_month, *build_churn_assets()],
            resources={"warehouse": _Here(home=str(home), url=url), "options": RunOptions()},
            instance=instance,
            raise_on_error=False,
        )


def check_of(result: ExecuteInProcessResult, name: str) -> Any:
    return next(found for found in result.get_asset_check_evaluations() if found.check_name == name)


def test_a_bad_row_stops_scoring_and_is_named(
    connection: psycopg.Connection, warehouse_url: str, settings: Any, months: pd.DataFrame
) -> None:
    build_features(connection, months)
    good = run_assets(warehouse_url, settings.home)
    assert good.success
    assert check_of(good, "customer_months_sound").passed
    metadata = good.asset_materializations_for_node("ml__churn_prediction")[0].metadata
    assert metadata["state"].value == "scored"
    before = predictions(connection)
    connection.commit()
    assert before

    # planted without any build noticing: same state tables, one impossible value in today's rows
    connection.execute(
        """
        update features.customer_month set overdue_ratio = -7
        where (customer_id, month) = (select min(customer_id), max(month) from features.customer_month
                                      where month = (select max(month) from features.customer_month))
        """
    )
    connection.commit()
    bad = run_assets(warehouse_url, settings.home)
    assert not bad.success
    verdict = check_of(bad, "customer_months_sound")
    assert not verdict.passed
    named = before[0][1]
    assert f"customer_id={named}" in (verdict.description or "")
    assert AssetKey(["ml", "churn_prediction"]) not in {
        event.asset_key for event in bad.get_asset_materialization_events()
    }
    assert predictions(connection) == before

    # put right: everything goes on
    build_features(connection, months)
    assert run_assets(warehouse_url, settings.home).success


def test_a_bad_row_stops_a_run_of_the_asset_alone(connection: psycopg.Connection, months: pd.DataFrame) -> None:
    build_features(connection, months)
    service.train_model(connection, None)
    service.score_customers(connection, None)
    before = predictions(connection)
    build_features(connection, months.assign(tenure_months=-1.0))
    for act in (service.train_model, service.score_customers):
        with pytest.raises(UserError, match=r"cannot be true .*customer_id=C-"):
            act(connection, None)
    assert predictions(connection) == before


# statement that plants bad rows → how many it must plant
UNSOUND = [
    ("update features.customer_month set customer_id = null where month = '2025-01-01' and customer_id = 'C-0001'", 1),
    ("insert into features.customer_month select * from features.customer_month order by 1, 2 limit 1", 1),
    ("update features.customer_month set month = null where customer_id = 'C-0001' and month = '2025-01-01'", 1),
    ("update features.customer_month set satisfaction_avg_180d = 0 where customer_id = 'C-0001'", 1),
    ("update features.customer_month set tenure_months = 'infinity' where customer_id = 'C-0001'", 1),
]


@pytest.mark.parametrize(("statement", "least"), UNSOUND)
def test_sql_and_great_expectations_see_the_same(
    connection: psycopg.Connection, months: pd.DataFrame, statement: str, least: int
) -> None:
    from warehouse_assets.quality.expectations import judge_frame

    build_features(connection, months)
    assert unsound_rows(connection) == []
    assert connection.execute(statement).rowcount >= least
    assert len(unsound_rows(connection)) >= least
    frame = storage.read_customer_months(connection)
    assert judge_frame(frame, feature_expectations(list(frame.columns)), KEY).has_errors
