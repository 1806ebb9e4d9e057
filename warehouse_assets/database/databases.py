"""Which databases are in force: the user's own where their URLs are set, else the embedded server's."""

import os
from dataclasses import dataclass, field

from warehouse_assets.database.connections import url_parameters
from warehouse_assets.database.embedded import EmbeddedServer
from warehouse_assets.errors import UserError
from warehouse_assets.settings import Settings

#: What the user exports for servers of another place, and no parameter of a URL can set aside.
_NO_URL_OUTDOES = ("PGSERVICE", "PGTZ", "PGDATESTYLE", "PGGEQO")


@dataclass(frozen=True)
class Databases:
    """The URLs in force. ``planted`` is None where the operational database is the user's own."""

    operational: str = field(repr=False)
    warehouse: str = field(repr=False)
    dagster: str = field(repr=False)
    planted: str | None = field(repr=False)
    is_warehouse_own: bool = False

    @property
    def another_warehouse(self) -> str:
        """What the user does for an empty warehouse; `warehouse reset` does not touch one of the user's own."""
        if self.is_warehouse_own:
            return "use another WAREHOUSE_HOME, with another, empty database in WAREHOUSE_DATABASE_URL"
        return "use another WAREHOUSE_HOME, or empty this one with `warehouse reset --yes`"


def embedded_server(settings: Settings) -> EmbeddedServer:
    """Return the embedded server of this home (not started)."""
    return EmbeddedServer(settings.home, port=settings.port)


def needs_embedded(settings: Settings) -> bool:
    """Tell whether any database is left for the embedded server to provide."""
    return None in (settings.warehouse_url, settings.source_url, settings.dagster_url)


def refuse_unreadable_urls(settings: Settings) -> None:
    """Refuse a URL of the user's that libpq cannot read, by the name of its variable.

    Raises:
        UserError: one cannot be read.
    """
    for variable, url in (
        ("WAREHOUSE_DATABASE_URL", settings.warehouse_url),
        ("WAREHOUSE_SOURCE_URL", settings.source_url),
        ("DAGSTER_POSTGRES_URL", settings.dagster_url),
    ):
        try:
            url_parameters(url or "")
        except UserError as error:
            raise UserError(f"{variable}: {error}") from None


def resolve(settings: Settings) -> Databases:
    """Return the URL of each database: the user's own where set, else the embedded server's, started if it is down.

    Raises:
        UserError: a URL cannot be read, or the embedded server cannot be started.
    """
    refuse_unreadable_urls(settings)
    if settings.source_url and settings.warehouse_url and settings.dagster_url:
        return Databases(settings.source_url, settings.warehouse_url, settings.dagster_url, None, is_warehouse_own=True)
    if settings.source_url is settings.warehouse_url is settings.dagster_url is None:
        for name in _NO_URL_OUTDOES:
            os.environ.pop(name, None)
    server = embedded_server(settings)
    server.start()
    return Databases(
        operational=settings.source_url or server.shielded_url("operational"),
        warehouse=settings.warehouse_url or server.shielded_url("warehouse"),
        dagster=settings.dagster_url or server.shielded_url("dagster"),
        planted=None if settings.source_url else server.shielded_url("planted"),
        is_warehouse_own=settings.warehouse_url is not None,
    )
