"""The warehouse as a Dagster resource. Opening connections belongs to ``connections``; no queries belong here."""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from dagster import ConfigurableResource, InitResourceContext
from pydantic import Field

from warehouse_assets.database.connections import connect
from warehouse_assets.database.databases import Databases, resolve
from warehouse_assets.database.run_lock import run_lock
from warehouse_assets.settings import Settings


class WarehouseResource(ConfigurableResource):  # type: ignore[type-arg]  # the resource is handed out as itself
    """The databases in force, as the environment names them.

    Nothing of it stands in run configuration, where a password would be stored with every run: ``home`` only points
    tests to another directory, whose embedded server keeps its own secrets.
    """

    home: str | None = Field(default=None, description="Directory instead of WAREHOUSE_HOME.")

    @property
    def settings(self) -> Settings:
        """The settings of the environment, with ``home`` replaced where it is configured.

        Raises:
            UserError: an environment variable holds a value that cannot be used.
        """
        settings = Settings.from_env()
        return settings if self.home is None else dataclasses.replace(settings, home=Path(self.home).resolve())

    @property
    def databases(self) -> Databases:
        """The URL of each database; the embedded server is started if it is needed and down.

        Raises:
            UserError: the embedded server cannot be started.
        """
        return resolve(self.settings)

    @contextmanager
    def yield_for_execution(self, context: InitResourceContext) -> Iterator["WarehouseResource"]:
        """Hold the lock of the run as long as it has the resource: the run lives where the lock is held."""
        if context.run is None:
            yield self
            return
        with run_lock(self.databases.warehouse, context.run.run_id):
            yield self

    @contextmanager
    def connect(self, application_name: str = "warehouse asset") -> Iterator[psycopg.Connection]:
        """Open a connection to the warehouse; it commits at the end, rolls back on an error, and closes.

        Raises:
            UserError: the warehouse cannot be reached.
        """
        with connect(self.databases.warehouse, application_name=application_name) as connection:
            yield connection
