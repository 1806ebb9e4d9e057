"""Dagster's own storage: the database ``DAGSTER_POSTGRES_URL`` names, else ``dagster`` on the embedded server."""

from collections.abc import Mapping
from typing import Any

from dagster._serdes import ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage

from warehouse_assets.database.connections import resolve
from warehouse_assets.settings import Settings


class WarehouseStorage(DagsterPostgresStorage):
    """PostgreSQL storage whose URL comes from the settings, so that no file holds a password.

    Every entry point (``dagster dev``, ``dg``, the daemon, a run worker) reaches the same database, and the
    embedded server is started by whichever comes first.
    """

    @classmethod
    def config_type(cls) -> Mapping[str, Any]:
        """There is nothing to configure."""
        return {}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> "WarehouseStorage":
        """Open the storage; called by Dagster."""
        return cls(
            postgres_url=resolve(Settings.from_env()).dagster, should_autocreate_tables=True, inst_data=inst_data
        )
