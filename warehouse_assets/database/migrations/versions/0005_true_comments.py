"""Comments of tables that said more, or less, than is so."""

from warehouse_assets.database.migrations import run_sql_beside

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Run the SQL file of the same name."""
    run_sql_beside(__file__)
