"""What has been judged and found sound, by content: importing Great Expectations takes longer than reading a table.

A table that holds to the last value what it held when its rules last held is sound still; anything planted, even behind
dbt's back, changes its fingerprint and is judged.
"""

import hashlib
import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any

import psycopg
from dagster import AssetCheckResult
from psycopg import sql

from warehouse_assets.errors import UserError
from warehouse_assets.quality.expectations import FrameVerdict, as_check_result

#: What a check says of a table it need not judge again.
UNCHANGED = "unchanged since the rules last held"


def judge_unless_held(
    connection: psycopg.Connection,
    schema: str,
    table: str,
    rules: ModuleType | Callable[..., Any],
    judge: Callable[[], FrameVerdict],
) -> AssetCheckResult:
    """Judge a table, unless it holds what it held when these rules last held.

    Args:
        connection: where the table is; what has held is remembered in its open transaction.
        schema: the table's schema.
        table: its name.
        rules: what the rules are written in; other code means that the table is judged again.
        judge: reads the table and judges it.

    Raises:
        UserError: there is no such table.
    """
    check = f"{schema}.{table}: sound"
    found = fingerprint(connection, schema, table, inspect.getsource(rules))
    if has_held(connection, check, found):
        return AssetCheckResult(passed=True, description=UNCHANGED)
    verdict = judge()
    if not verdict.broken:
        remember_held(connection, check, found)
    return as_check_result(verdict)


def fingerprint(connection: psycopg.Connection, schema: str, table: str, rules: str) -> int:
    """A number for the rows of a table, in whatever order, and for the text of the rules that judge them.

    Raises:
        UserError: there is no such table.
    """
    query = sql.SQL("select count(*), coalesce(sum(hash_record_extended(each, 0)), 0)::text from {} as each")
    try:
        row = connection.execute(query.format(sql.Identifier(schema, table))).fetchone()
    except psycopg.errors.UndefinedTable as error:
        raise UserError(f"The table {schema}.{table} does not exist; build the dbt model {table} first.") from error
    digest = hashlib.sha256(f"{row} {rules}".encode()).digest()
    return int.from_bytes(digest[:7], "big")


def has_held(connection: psycopg.Connection, check: str, found: int) -> bool:
    """Whether the rules of ``check`` held for just this content when they were last judged."""
    row = connection.execute("select fingerprint from etl.check_pass where check_name = %s", (check,)).fetchone()
    return row is not None and row[0] == found


def remember_held(connection: psycopg.Connection, check: str, found: int) -> None:
    """Remember, in the caller's transaction, that the rules of ``check`` hold for this content."""
    connection.execute(
        """
        insert into etl.check_pass (check_name, fingerprint) values (%s, %s)
        on conflict (check_name) do update set fingerprint = excluded.fingerprint, passed_at = excluded.passed_at
        """,
        (check, found),
    )
