"""What has changed, and what an asset has seen: etl.table_state, etl.dirty_day and etl.model_state.

For tables written by Python and assets that follow the rule "nothing moved, nothing to do". Extraction's own
bookkeeping is in ``record``; dbt models move their state themselves.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date

import psycopg

from warehouse_assets.errors import UserError

_BATCHES = """
    select wanted.name, coalesce(state.changed_batch_id, build.batch_id, 0)
    from unnest(%(names)s::text[]) as wanted (name)
    left join etl.table_state as state on state.source_table = wanted.name
    left join etl.model_build as build on build.model = wanted.name
"""


def lock_table(connection: psycopg.Connection, source_table: str) -> None:
    """Hold the right to write a batch of ``source_table`` until the transaction ends; a second writer waits here."""
    connection.execute("select pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"extract.{source_table}",))


def next_batch(connection: psycopg.Connection) -> int:
    """Take the next batch number; the caller holds the table's lock, so that batch order is commit order."""
    row = connection.execute("select nextval('etl.batch_id')").fetchone()
    assert row is not None  # noqa: S101  a select without from has one row
    return int(row[0])


def mark_changed(
    connection: psycopg.Connection,
    source_table: str,
    days: Iterable[date],
    *,
    rows: int | None = None,
) -> int:
    """Record that a table written by Python has changed, in the caller's transaction; return the batch number.

    Call it once, in the transaction that writes the table and after the rows: from here to the commit other writers
    of the table wait.

    Args:
        connection: a connection to the warehouse.
        source_table: the table's name as dbt models and assets know it, such as "ml.forecast".
        days: business dates whose rows changed, in any order, repeats allowed; may be empty.
        rows: rows the table has now, where known.
    """
    lock_table(connection, source_table)
    batch_id = next_batch(connection)
    connection.execute(
        """
        insert into etl.table_state as state
            (source_table, profile, batch_id, changed_batch_id, rows_raw, extracted_at, changed_at)
        values (%(table)s, 'models', %(batch)s, %(batch)s, %(rows)s, now(), now())
        on conflict (source_table) do update
        set
            profile = excluded.profile,
            batch_id = excluded.batch_id,
            changed_batch_id = excluded.changed_batch_id,
            rows_raw = coalesce(excluded.rows_raw, state.rows_raw),
            extracted_at = excluded.extracted_at,
            changed_at = excluded.changed_at
        """,
        {"table": source_table, "batch": batch_id, "rows": rows},
    )
    write_dirty_days(connection, source_table, batch_id, days)
    return batch_id


def write_dirty_days(connection: psycopg.Connection, source_table: str, batch_id: int, days: Iterable[date]) -> int:
    """Write the business days that a batch touched; return how many."""
    distinct = sorted(set(days))
    connection.execute(
        """
        insert into etl.dirty_day (source_table, batch_id, business_date)
        select %s, %s::bigint, day
        from unnest(%s::date[]) as days (day)
        on conflict do nothing
        """,
        (source_table, batch_id, distinct),
    )
    return len(distinct)


def inputs_seen(connection: psycopg.Connection, source_tables: Sequence[str]) -> dict[str, int]:
    """Return the batch each input is at: a table's last changed batch, or the number of a dbt model's last build.

    An input that nothing has been recorded of counts as batch 0.
    """
    rows = connection.execute(_BATCHES, {"names": list(source_tables)}).fetchall()
    return dict(rows)


def inputs_moved(connection: psycopg.Connection, asset: str, source_tables: Sequence[str]) -> bool:
    """Tell whether any input has changed since ``asset`` recorded it, or was never recorded by it.

    Args:
        connection: a connection to the warehouse.
        asset: the name under which the asset records its inputs, such as "ml.churn_prediction".
        source_tables: raw tables ("invoices"), tables written by Python ("ml.forecast") and dbt models by their name
            ("customer_daily").
    """
    rows = connection.execute(
        "select source_table, batch_id from etl.model_state where model = %s and source_table = any(%s)",
        (asset, list(source_tables)),
    ).fetchall()
    recorded: dict[str, int] = dict(rows)
    return inputs_seen(connection, source_tables) != recorded


def record_inputs(
    connection: psycopg.Connection,
    asset: str,
    source_tables: Sequence[str],
    seen: Mapping[str, int] | None = None,
) -> None:
    """Record, in the caller's transaction, the batches that ``asset`` has worked from.

    Args:
        connection: a connection to the warehouse.
        asset: the name under which the asset records its inputs.
        source_tables: its inputs, as in ``inputs_moved``.
        seen: what ``inputs_seen`` said before the inputs were read. Give it where a batch may commit between the
            reading and this call; without it the batches of this instant are recorded.

    Raises:
        UserError: ``seen`` lacks one of the inputs.
    """
    batches = inputs_seen(connection, source_tables) if seen is None else seen
    if missing := [name for name in source_tables if name not in batches]:
        raise UserError(f"{asset} would record inputs it has not read: {', '.join(missing)}; pass them to inputs_seen.")
    connection.execute(
        """
        insert into etl.model_state (model, source_table, batch_id)
        select %s, source_table, batch_id
        from unnest(%s::text[], %s::bigint[]) as seen (source_table, batch_id)
        on conflict (model, source_table) do update
        set batch_id = excluded.batch_id
        """,
        (asset, list(source_tables), [batches[name] for name in source_tables]),
    )
