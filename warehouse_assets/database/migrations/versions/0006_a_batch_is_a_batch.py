"""Batches alone in `etl.model_state`; versions of code and what checks remember stand in columns of their own."""

from warehouse_assets.database.migrations import run_sql_beside

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Run the SQL file of the same name."""
    run_sql_beside(__file__)
