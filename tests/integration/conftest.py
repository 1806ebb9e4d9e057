"""Fixtures that several integration tests share. What every test may need lives one folder above."""

from collections.abc import Iterator

import pytest
from dbt_company import DbtCompany, simulated

from warehouse_assets.database.embedded import EmbeddedServer


@pytest.fixture(scope="session")
def company(server: EmbeddedServer, _template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DbtCompany]:
    """60 customers over 100 days, extracted and built once a session; tests change it and build on."""
    folder = tmp_path_factory.mktemp("dbt")
    with simulated(server, _template, "dbt", folder, customers=60, days=100, depots=2) as made:
        made.extract()
        made.dbt("run")
        yield made
