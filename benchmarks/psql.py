"""psql, the measure of the product: the wheel's own, and how it is told its database."""

import os

from warehouse_assets.database.connections import libpq_environment
from warehouse_assets.database.place import wheel_binaries

PSQL = str(wheel_binaries(18) / "psql")


def psql_environment(url: str) -> dict[str, str]:
    """This process's environment with the database of ``url`` and its parameters, as far as a variable carries them."""
    return {**os.environ, **libpq_environment(url)}
