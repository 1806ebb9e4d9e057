"""How psql, the measure of the product, is told its database: not in its arguments, which every user can read."""

import os

from warehouse_assets.database.connections import url_parameters

_VARIABLES = {"host": "PGHOST", "port": "PGPORT", "dbname": "PGDATABASE", "user": "PGUSER", "password": "PGPASSWORD"}


def psql_environment(url: str) -> dict[str, str]:
    """This process's environment with the database of ``url``, which has no other parameters than these."""
    return {**os.environ, **{_VARIABLES[name]: value for name, value in url_parameters(url).items()}}
