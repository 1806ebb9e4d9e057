"""What a check remembers: the same rows are known again in any order, any other row is not."""

from collections.abc import Iterator

import psycopg
import pytest

from warehouse_assets.errors import UserError
from warehouse_assets.quality.expectations import BrokenRule, FrameVerdict
from warehouse_assets.quality.memory import UNCHANGED, fingerprint, has_held, judge_unless_held, remember_held


@pytest.fixture
def connection(warehouse_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(warehouse_url) as opened:
        opened.execute("create schema features")
        opened.execute("create table features.some (id text, day date, value double precision, is_new boolean)")
        opened.execute("insert into features.some values ('a', '2024-01-01', 1.5, true), ('b', null, null, false)")
        yield opened


def found(connection: psycopg.Connection, rules: str = "rules") -> int:
    return fingerprint(connection, "features", "some", rules)


def test_the_order_of_rows_says_nothing(connection: psycopg.Connection) -> None:
    before = found(connection)
    connection.execute("create table features.copied as select * from features.some order by id desc")
    connection.execute("truncate features.some; insert into features.some select * from features.copied")
    assert found(connection) == before


@pytest.mark.parametrize(
    "statement",
    [
        "update features.some set value = 1.6 where id = 'a'",
        "update features.some set day = '2024-01-02' where id = 'a'",
        "update features.some set id = null where id = 'b'",
        "insert into features.some select * from features.some limit 1",
        "delete from features.some where id = 'b'",
    ],
)
def test_any_change_is_seen(connection: psycopg.Connection, statement: str) -> None:
    before = found(connection)
    connection.execute(statement)  # type: ignore[call-overload]  # a constant above
    assert found(connection) != before


def test_no_table_is_one_sentence(connection: psycopg.Connection) -> None:
    with pytest.raises(UserError, match=r"features\.gone does not exist; build the dbt model gone first"):
        fingerprint(connection, "features", "gone", "rules")


def test_only_what_held_last_is_known(connection: psycopg.Connection) -> None:
    held = found(connection)
    assert not has_held(connection, "some: sound", held)
    remember_held(connection, "some: sound", held)
    assert has_held(connection, "some: sound", held)
    assert not has_held(connection, "other: sound", held)
    assert not has_held(connection, "some: sound", found(connection, "other rules"))


def test_a_table_is_judged_until_it_holds_and_then_when_it_changes(connection: psycopg.Connection) -> None:
    broken, sound = FrameVerdict(2, 1, (BrokenRule("id unique", "error", 1, ()),)), FrameVerdict(2, 1, ())
    judged = []

    def told(verdict: FrameVerdict) -> tuple[bool, str | None]:
        result = judge_unless_held(connection, "features", "some", found, lambda: judged.append(verdict) or verdict)
        return result.passed, result.description

    assert not told(broken)[0]
    assert told(sound) == (True, "1 rules hold")
    assert told(broken) == (True, UNCHANGED)
    connection.execute("update features.some set value = 2 where id = 'a'")
    assert not told(broken)[0]
    assert judged == [broken, sound, broken]
