"""What the benchmarks compare with: psql finds its database."""

import subprocess

from benchmarks.psql import PSQL, psql_environment
from warehouse_assets.database.embedded import EmbeddedServer


# Regression: the URL stood among psql's arguments, password included, where every user of the machine could read it.
def test_psql_finds_a_database_without_arguments(server: EmbeddedServer) -> None:
    said = subprocess.run(
        [PSQL, "-qtAc", "select current_user || '@' || current_database()"],
        env=psql_environment(server.url("warehouse")),
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout == "warehouse@warehouse\n"
