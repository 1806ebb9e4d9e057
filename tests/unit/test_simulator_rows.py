"""How rows look at a moment: appearing, changing, vanishing, and the two ways to get to the same table."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from warehouse_assets.source.simulator.keeping import load_blocks, save_blocks
from warehouse_assets.source.simulator.rows import NEVER, Block, Fault, Rows, Stage

DAY = np.datetime64("2026-01-01T00:00:00", "us")
HOUR = np.timedelta64(3_600_000_000, "us")


def times(*hours: float | None) -> np.ndarray:
    return np.array([NEVER if hour is None else DAY + int(hour) * HOUR for hour in hours], dtype="datetime64[us]")


def run_block() -> Block:
    """Two route runs: one starts at 6 and ends at 14, one is called off at 5."""
    return Block(
        "route_runs",
        Rows(route_run_id=np.array([1, 2]), status=np.array([2, 3]), miles=np.array([80.5, np.nan])),
        times(2, 2),
        [
            Stage(times(None, 5), {"status": 0}),
            Stage(times(6, None), {"status": 0}),
            Stage(times(14, None), {"status": 1, "miles": np.nan}),
        ],
        times(None, 20),
        [Fault("late", np.array([1]), times(2))],
    )


@pytest.mark.parametrize(
    ("hour", "keys", "status", "updated"),
    [
        (1, [], [], []),
        (2, [1, 2], [0, 0], [2, 2]),
        (5, [1, 2], [0, 3], [2, 5]),
        (7, [1, 2], [1, 3], [6, 5]),
        (14, [1, 2], [2, 3], [14, 5]),
        (20, [1], [2], [14]),
    ],
)
def test_a_row_appears_changes_and_vanishes(hour: int, keys: list[int], status: list[int], updated: list[int]) -> None:
    rows = run_block().seen(DAY + hour * HOUR)
    assert rows["route_run_id"].tolist() == keys
    assert rows["status"].tolist() == status
    assert rows["updated_at"].tolist() == times(*updated).tolist()


def test_a_value_that_has_not_come_yet_is_not_shown() -> None:
    assert np.isnan(run_block().seen(DAY + 13 * HOUR)["miles"][0])
    assert run_block().seen(DAY + 14 * HOUR)["miles"][0] == 80.5


@given(
    st.lists(
        st.tuples(*[st.one_of(st.none(), st.integers(0, 40))] * 3, st.one_of(st.none(), st.integers(0, 40))),
        min_size=1,
        max_size=12,
    ),
    st.lists(st.integers(0, 45), min_size=1, max_size=6),
)
def test_many_steps_forward_give_the_table_of_one(life: list[tuple[int | None, ...]], stops: list[int]) -> None:
    visible = times(*(row[0] if row[0] is not None else 3 for row in life))
    first = np.fmax(times(*(row[1] for row in life)), visible)
    second = np.fmax(times(*(row[2] for row in life)), first)
    count = len(life)
    block = Block(
        "loads",
        Rows(load_id=np.arange(count), a=np.full(count, 3), b=np.full(count, 9.0)),
        visible,
        [Stage(first, {"a": np.full(count, 1)}), Stage(second, {"a": 2, "b": np.nan})],
        np.fmax(times(*(row[3] for row in life)), visible),
    )
    table: dict[int, tuple[object, ...]] = {}
    since = DAY - HOUR
    for stop in sorted(stops):
        now = DAY + stop * HOUR
        for gone in block.vanished(now, since).get("load_id", np.zeros(0)).tolist():
            del table[gone]  # a row that never stood there must not be deleted
        rows = block.seen(now, since)
        for key, *values in zip(*(rows[name].tolist() for name in ("load_id", "a", "b", "updated_at")), strict=True):
            table[key] = tuple(str(value) for value in values)
        since = now
    rows = block.seen(since)
    at_once = {
        key: tuple(str(value) for value in values)
        for key, *values in zip(*(rows[name].tolist() for name in ("load_id", "a", "b", "updated_at")), strict=True)
    }
    assert table == at_once


def test_unfinished_rows_are_those_that_still_change() -> None:
    left = run_block().unfinished(DAY + 14 * HOUR)
    assert left.columns["route_run_id"].tolist() == [2]  # it will be deleted at 20
    assert left.faults[0].which.tolist() == [0]
    assert len(run_block().unfinished(DAY + 20 * HOUR)) == 0


def test_blocks_survive_their_bytes() -> None:
    (block,) = load_blocks(save_blocks([run_block()]))
    for hour in (1, 2, 5, 7, 14, 20):
        was, now = run_block().seen(DAY + hour * HOUR), block.seen(DAY + hour * HOUR)
        assert was.keys() == now.keys()
        for name, values in was.items():
            np.testing.assert_array_equal(values, now[name])
    assert (block.faults[0].kind, block.faults[0].which.tolist()) == ("late", [1])


def test_rows_with_other_columns_are_not_mixed() -> None:
    rows = Rows(a=np.array([1]))
    with pytest.raises(ValueError, match="columns differ"):
        rows.append(Rows(b=np.array([1])))
