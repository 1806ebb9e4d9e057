"""Control tables of extraction and dbt, and the tables of the models."""

from warehouse_assets.database.migrations import run_sql_beside

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Run the SQL file of the same name."""
    run_sql_beside(__file__)
