"""What a long copy tells while it runs."""

import pytest

from warehouse_assets.extract import assets


def test_a_long_copy_tells_of_itself_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 4.0, 11.0, 12.0, 22.0])
    monkeypatch.setattr(assets.time, "monotonic", lambda: next(clock))
    told: list[str] = []
    on_table = assets.progress_to(told.append)
    for rows in (1_000, 400_000, 1_100_000, 1_200_000, 2_200_000):
        on_table("route_stops", rows)
    assert told == ["route_stops: 1,100,000 rows so far", "route_stops: 2,200,000 rows so far"]
