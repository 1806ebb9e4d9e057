"""What the control tables say of past builds, read in one round trip. Nothing is written here: dbt moves the state."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg

from warehouse_assets.transform.plan import ModelState

_BUILD_LOCK = 7_305_001
_CODE = "dbt:code"  # the dbt project keeps the version of a model's code beside the batches it has seen


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
        ),
        existing=frozenset(name for (name,) in relations),
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
