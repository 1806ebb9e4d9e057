"""What `warehouse sql` answers: header and rows, one after another, of queries alone."""

from itertools import islice

import pytest

from warehouse_assets.errors import UserError
from warehouse_assets.operate.query import rows_of
from warehouse_assets.settings import Settings


@pytest.fixture(name="own")
def own_fixture(warehouse_url: str, settings: Settings) -> Settings:
    """Settings whose warehouse is a fresh database."""
    return Settings(settings.home, warehouse_url, warehouse_url, warehouse_url)


def answer(own: Settings, query: str) -> list[list[object]]:
    return [list(row) for row in rows_of(own, "warehouse", query)]


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("select 1 as one, '50 %' as \"größe\"", [["one", "größe"], [1, "50 %"]]),
        ("select 1 as one where false", [["one"]]),
        ("show server_encoding", [["server_encoding"], ["UTF8"]]),
        ("values (true), (null);", [["column1"], [True], [None]]),
        ("select 1 as one; select 2 as two", [["one"], [1]]),
    ],
)
def test_a_query_gives_its_header_and_rows(own: Settings, query: str, rows: list[list[object]]) -> None:
    assert answer(own, query) == rows


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("set work_mem = '1MB'", "returns no rows; `warehouse sql` answers queries only"),
        ("", "returns no rows"),
        ("selct 1", 'PostgreSQL refuses the query: syntax error at or near "selct"'),
        ("select 1 / (3 - i) from generate_series(1, 5) as i", "PostgreSQL refuses the query: division by zero"),
        ("create table t (i integer)", "PostgreSQL refuses the query: .*read-only transaction"),
        ("delete from etl.setting returning key", "PostgreSQL refuses the query: .*read-only transaction"),
    ],
)
def test_what_is_no_query_is_refused_in_one_sentence(own: Settings, query: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence) as error:
        answer(own, query)
    assert "\n" not in str(error.value)


# Regression: all rows of a result were held before the first was printed.
def test_rows_are_handed_on_as_they_come(own: Settings) -> None:
    rows = rows_of(own, "warehouse", "select i, 1 / (50000 - i) from generate_series(1, 60000) as i")
    assert [row[0] for row in islice(rows, 3)] == ["i", 1, 2]
    with pytest.raises(UserError, match="division by zero"):
        list(rows)
