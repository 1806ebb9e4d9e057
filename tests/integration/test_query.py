"""What `warehouse sql` answers: header and rows, one after another, of one query that reads."""

from itertools import islice

import pytest

from warehouse_assets.commands.query import rows_of
from warehouse_assets.errors import UserError
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
        # Regression: infinite and very old dates were refused, as was 24:00.
        ("select date 'infinity' as d, date '4713-01-01 BC' as e", [["d", "e"], ["infinity", "4713-01-01 BC"]]),
        ("select timestamptz '-infinity' as t, time '24:00' as u", [["t", "u"], ["-infinity", "24:00:00"]]),
        # Regression: JSON and arrays were printed as Python writes dictionaries and lists, which nothing else reads.
        ("""select '{"a": null}'::jsonb as j, array['x', null] as k""", [["j", "k"], ['{"a": null}', "{x,NULL}"]]),
        ("select 'NaN'::float8 as f, 1.50 as n, '\\x00ff'::bytea as b", [["f", "n", "b"], ["NaN", "1.50", "\\x00ff"]]),
        ("select row(1, 'a b') as r, int4range(1, 3) as i", [["r", "i"], ['(1,"a b")', "[1,3)"]]),
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
        ("create table t (i integer)", "returns no rows"),
        ("copy (select 1) to stdout", "returns no rows"),
        ("select 1; select 2", "PostgreSQL refuses the query: .*multiple commands"),
        ("select '\udcff'", "a byte that is not UTF-8"),
        ("delete from etl.setting returning key", "PostgreSQL refuses the query: .*read-only transaction"),
    ],
)
def test_what_is_no_query_is_refused_in_one_sentence(own: Settings, query: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence) as error:
        answer(own, query)
    assert "\n" not in str(error.value)


# Regression: a commit ended the read-only transaction, and what came after it was written.
def test_statements_after_a_commit_write_nothing(own: Settings) -> None:
    with pytest.raises(UserError, match="multiple commands"):
        answer(own, "commit; create table public.planted (i integer); select 1")
    assert answer(own, "select to_regclass('public.planted')") == [["to_regclass"], [None]]


# Regression: all rows of a result were held before the first was printed.
def test_rows_are_handed_on_as_they_come(own: Settings) -> None:
    rows = rows_of(own, "warehouse", "select i, 1 / (50000 - i) from generate_series(1, 60000) as i")
    assert [row[0] for row in islice(rows, 3)] == ["i", 1, 2]
    with pytest.raises(UserError, match="division by zero"):
        list(rows)
