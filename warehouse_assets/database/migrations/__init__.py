"""Alembic migrations of the warehouse database, written in plain SQL.

A migration is a numbered pair in ``versions``: ``0002_what_it_adds.py`` (revision "0002", down_revision
"0001") and ``0002_what_it_adds.sql``. What dbt builds does not belong here.
"""

from pathlib import Path
from typing import cast

import psycopg


def run_sql_beside(migration: str) -> None:
    """Run the SQL file that has the same name as ``migration`` (a migration's ``__file__``) on Alembic's connection."""
    from alembic import op

    connection = cast(psycopg.Connection, op.get_bind().connection.driver_connection)
    connection.execute(Path(migration).with_suffix(".sql").read_text(encoding="utf-8"))
