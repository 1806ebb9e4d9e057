"""What the control tables say of past builds. dbt moves the state of models; which tests have passed is noted here."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg

from warehouse_assets.transform.plan import ModelState

_BUILD_LOCK = 7_305_001
_CODE = "dbt:code"  # the dbt project keeps the version of a model's code beside the batches it has seen
_TESTS = "dbt:tests"  # the version of its data tests, once they have passed on the model as it is


@dataclass(frozen=True)
class WarehouseState:
    """The last changed batch by source table, what each model has seen, and the relations that exist."""

    changed_batches: dict[str, int]
    models: ModelState
    existing: frozenset[str]


def read_state(connection: psycopg.Connection) -> WarehouseState:
    """Read the state of every source table and model of the warehouse."""
    batches = connection.execute("select source_table, coalesce(changed_batch_id, 0) from etl.table_state").fetchall()
    seen = connection.execute("select model, source_table, batch_id from etl.model_state").fetchall()
    relations = connection.execute(
        """
        select relname
        from pg_class
        where relnamespace in (
            select oid from pg_namespace where nspname in ('staging', 'intermediate', 'features', 'marts')
        )
        and relkind in ('r', 'p', 'v', 'm')
        """
    ).fetchall()
    return WarehouseState(
        changed_batches=dict(batches),
        models=ModelState(
            codes={model: batch for model, table, batch in seen if table == _CODE},
            seen={(model, table): batch for model, table, batch in seen},
            tests={model: batch for model, table, batch in seen if table == _TESTS},
        ),
        existing=frozenset(name for (name,) in relations),
    )


@contextmanager
def noting_passed_tests(connection: psycopg.Connection, versions: Mapping[str, int]) -> Iterator[None]:
    """Note that the tests of models (name → version) have passed when the block has: until then they count as failed.

    A failed build, or one that is killed between a model and its tests, leaves them to the next run.
    """
    with connection.transaction():
        connection.execute(
            "delete from etl.model_state where source_table = %s and model = any(%s)", (_TESTS, list(versions))
        )
    yield
    with connection.transaction():
        connection.execute(
            """
            insert into etl.model_state (model, source_table, batch_id)
            select model, %s, version
            from unnest(%s::text[], %s::bigint[]) as passed (model, version)
            """,
            (_TESTS, list(versions), list(versions.values())),
        )


@contextmanager
def build_lock(connection: psycopg.Connection) -> Iterator[None]:
    """Hold the right to build models: a second build waits here instead of racing for the same tables.

    The server releases the lock by itself when the process dies.
    """
    connection.execute("select pg_advisory_lock(%s)", [_BUILD_LOCK])
    connection.commit()
    try:
        yield
    finally:
        connection.rollback()
        connection.execute("select pg_advisory_unlock(%s)", [_BUILD_LOCK])
        connection.commit()
