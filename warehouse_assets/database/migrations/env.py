"""Runs the migrations on the connection handed over by ``migrate``; Alembic executes this file."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    version_table="alembic_version",
    version_table_schema="etl",
)
with context.begin_transaction():
    context.run_migrations()
