"""What long work tells while it goes on."""

import pytest
from dagster import DagsterInstance

from warehouse_assets import telling
from warehouse_assets.commands.launch import Watch


def test_long_work_tells_of_itself_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 4.0, 11.0, 12.0, 22.0])
    monkeypatch.setattr(telling.time, "monotonic", lambda: next(clock))
    told: list[str] = []
    tell_of = telling.now_and_then(told.append)
    for rows in (1_000, 400_000, 1_100_000, 1_200_000, 2_200_000):
        tell_of("route_stops", f"{rows:,} rows so far")
    assert told == ["route_stops: 1,100,000 rows so far", "route_stops: 2,200,000 rows so far"]


def test_who_watches_a_run_hears_what_it_tells_until_it_ends() -> None:
    shown: list[tuple[str, float, float]] = []
    with DagsterInstance.ephemeral() as instance:
        with Watch(3, lambda *step: shown.append(step)).shown(instance, "no run yet"):
            telling.WATCHED.info("another run builds models")
        telling.WATCHED.info("nobody hears this")
    assert shown == [("another run builds models", 0, 3)]
