"""Dagster's own storage: the database ``DAGSTER_POSTGRES_URL`` names, else ``dagster`` on the embedded server."""

import logging
import time
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from dagster import EventLogEntry
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable
from dagster._serdes import ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage, PostgresEventLogStorage
from dagster_postgres.utils import DagsterPostgresException
from sqlalchemy.engine import URL, Connection

from warehouse_assets.database.connections import url_parameters
from warehouse_assets.database.databases import resolve
from warehouse_assets.settings import Settings

#: How long no event is tried again and again after one was, in vain: a run tells a dozen more before it ends.
_GIVEN_UP_SECONDS = 60.0


class EventLog(PostgresEventLogStorage):
    """Dagster's event log, which does not ask at each event what its tables have (a second of a quiet run).

    Where the server is gone, the first event waits the ten seconds in which Dagster tries again; others fail at once.
    """

    _given_up_until = 0.0

    def store_event(self, event: EventLogEntry) -> None:
        """Store an event.

        Raises:
            sqlalchemy.exc.OperationalError: the server is gone, as it was when the event before was to be stored.
            DagsterPostgresException: it does not answer.
        """
        if time.monotonic() < self._given_up_until:
            self._engine.connect().close()
        try:
            super().store_event(event)
        except DagsterPostgresException:
            self._given_up_until = time.monotonic() + _GIVEN_UP_SECONDS
            raise

    def delete_events_for_run(self, conn: Connection, run_id: str) -> None:
        """Delete what a run has told; Dagster itself leaves the results of its checks."""
        super().delete_events_for_run(conn, run_id)
        conn.execute(AssetCheckExecutionsTable.delete().where(AssetCheckExecutionsTable.c.run_id == run_id))

    def has_table(self, table_name: str) -> bool:
        """Whether the table is there."""
        return self._has(super().has_table, table_name)

    def has_asset_key_col(self, column_name: str) -> bool:
        """Whether the table of asset keys has the column."""
        return self._has(super().has_asset_key_col, column_name)

    def _has(self, ask: Callable[[str], Any], name: str) -> bool:
        """Whether it is there, asked until it is: a migration may add it while this process runs."""
        found = (ask.__name__, name)
        if found not in self._found and ask(name):
            self._found.add(found)
        return found in self._found

    @cached_property
    def _found(self) -> set[tuple[str, str]]:
        return set()


class WarehouseStorage(DagsterPostgresStorage):
    """PostgreSQL storage whose URL comes from the settings, so that no file holds a password.

    Every entry point (``dagster dev``, ``dg``, the daemon, a run worker) reaches the same database, and the
    embedded server is started by whichever comes first.
    """

    def __init__(self, postgres_url: str, inst_data: ConfigurableClassData | None = None):
        # where the server is gone, dagster-postgres warns by a logger that would set up one that prints all, for good
        logging.getLogger().addHandler(logging.NullHandler())
        super().__init__(postgres_url=postgres_url, should_autocreate_tables=True, inst_data=inst_data)
        self._event_log_storage = EventLog(postgres_url, should_autocreate_tables=True)

    @classmethod
    def config_type(cls) -> Mapping[str, Any]:
        """There is nothing to configure."""
        return {}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> "WarehouseStorage":
        """Open the storage; called by Dagster.

        SQLAlchemy reads fewer ways of writing a URL than libpq does, so it is given what libpq read.
        """
        settings = Settings.from_env()
        parameters = url_parameters(settings.dagster_url or resolve(settings).dagster)
        url = URL.create("postgresql", query={"application_name": "dagster", **parameters})
        return cls(url.render_as_string(hide_password=False), inst_data)
