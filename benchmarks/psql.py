"""psql, the measure of the product: the wheel's own, and how it is told its database."""

import os

from psycopg import pq

from warehouse_assets.database.connections import url_parameters
from warehouse_assets.database.place import wheel_binaries

PSQL = str(wheel_binaries(18) / "psql")

_VARIABLES = {option.keyword.decode(): option.envvar.decode() for option in pq.Conninfo.get_defaults() if option.envvar}


def psql_environment(url: str) -> dict[str, str]:
    """This process's environment with the database of ``url`` and its parameters, as far as a variable carries them.

    Not in psql's arguments, which every user of the machine can read.
    """
    return {
        **os.environ,
        **{_VARIABLES[name]: value for name, value in url_parameters(url).items() if name in _VARIABLES},
    }
