"""psql, the measure of the product: the wheel's own, and how it is told its database."""

import os

from warehouse_assets.database.connections import url_parameters
from warehouse_assets.database.place import wheel_binaries

PSQL = str(wheel_binaries(18) / "psql")

_VARIABLES = {"host": "PGHOST", "port": "PGPORT", "dbname": "PGDATABASE", "user": "PGUSER", "password": "PGPASSWORD"}


def psql_environment(url: str) -> dict[str, str]:
    """This process's environment with the database of ``url``, which has no other parameters than these.

    Not in psql's arguments, which every user of the machine can read.
    """
    return {**os.environ, **{_VARIABLES[name]: value for name, value in url_parameters(url).items()}}
