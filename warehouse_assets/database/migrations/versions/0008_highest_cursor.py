"""The highest cursor that was read of a table, also one dated ahead of now."""

from warehouse_assets.database.migrations import run_sql_beside

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Run the SQL file of the same name."""
    run_sql_beside(__file__)
