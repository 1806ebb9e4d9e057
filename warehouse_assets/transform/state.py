"""What the control tables say of past builds. dbt moves the state of models; which tests have passed is noted here."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager

import psycopg
from psycopg.types.json import Jsonb

from warehouse_assets.database.errors import explain_error
from warehouse_assets.transform.plan import PassedTest, WarehouseState


def read_state(connection: psycopg.Connection) -> WarehouseState:
    """Read the state of every source table and model of the warehouse."""
    batches = connection.execute("select source_table, coalesce(changed_batch_id, 0) from etl.table_state").fetchall()
    seen = connection.execute("select model, source_table, batch_id from etl.model_state").fetchall()
    codes = connection.execute("select model, code_version from etl.model_build").fetchall()
    passed = connection.execute("select test, version, batches from etl.test_pass").fetchall()
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
        codes=dict(codes),
        seen={(model, table): batch for model, table, batch in seen},
        passes={test: PassedTest(version, batches) for test, version, batches in passed},
        existing=frozenset(name for (name,) in relations),
    )


def row_counts(connection: psycopg.Connection) -> dict[str, int]:
    """Rows of every table that a model has built, by model; a view is not counted.

    Raises:
        UserError: the server went away meanwhile.
    """
    with explain_error("reading how many rows the tables have"), connection.transaction():
        found = connection.execute(
            """
            select build.model, build.rows
            from etl.model_build as build
            inner join pg_class on pg_class.relname = build.model and pg_class.relkind in ('r', 'p')
            where pg_class.relnamespace in (
                select oid from pg_namespace where nspname in ('intermediate', 'features', 'marts')
            )
            """
        ).fetchall()
    return dict(found)


@contextmanager
def noting_passes(
    connection: psycopg.Connection, passes: Mapping[str, PassedTest], untouched: Collection[str]
) -> Iterator[None]:
    """Note that data tests have passed when the block has: until then all but ``untouched`` count as failed.

    A failed build, or one that is killed between a model and its tests, leaves them to the next run, as does one that
    builds a model without the tests that another job has of it.
    """
    with connection.transaction():
        connection.execute("delete from etl.test_pass where test <> all(%s)", (list(untouched),))
    yield
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(
            "insert into etl.test_pass (test, version, batches) values (%s, %s, %s)",
            [(test, passed.version, Jsonb(dict(passed.batches))) for test, passed in passes.items()],
        )
