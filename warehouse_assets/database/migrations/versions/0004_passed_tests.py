"""Which dbt tests have passed, on what: a test runs again when it has to, whichever job built the models it reads."""

from warehouse_assets.database.migrations import run_sql_beside

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Run the SQL file of the same name."""
    run_sql_beside(__file__)
