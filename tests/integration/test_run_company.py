"""Which company a run works on: simulated once as asked, and never quietly another than the one asked for."""

import pytest
from rich.console import Console

from warehouse_assets.commands.run import RunRequest, simulate_if_needed
from warehouse_assets.database.databases import Databases
from warehouse_assets.errors import UserError
from warehouse_assets.source import simulator
from warehouse_assets.source.simulator import simulation_state

SETTINGS = {"customers": "40", "days": "20", "depots": "1", "as_of": "2026-03-21T14:00"}


# Regression: --set on a company that was there already had no effect, and nothing said so.
def test_a_company_is_simulated_once_and_another_one_is_refused(operational_url: str) -> None:
    databases = Databases(operational_url, operational_url, operational_url, None)

    def run(preset: str | None = None, seed: int | None = None, **settings: str) -> None:
        simulate_if_needed(databases, RunRequest(preset=preset, seed=seed, settings=settings), Console(quiet=True))

    run("small", 3, **SETTINGS)
    made = simulation_state(operational_url)
    assert made is not None
    run("small", 3, **SETTINGS)  # the same command again
    run()
    run(customers="40", start="2026-03-01")
    for asked, sentence in (
        ({"preset": "demo"}, "simulated with preset small, not demo"),
        ({"seed": 4}, "simulated with seed 3, not 4"),
        ({"customers": "50"}, "simulated with customers 40, not 50: use another WAREHOUSE_HOME"),
        ({"customers": "40", "days": "21"}, "simulated with days 20, not 21"),
        ({"as_of": "2026-03-22T14:00"}, "simulated with as_of 2026-03-21 14:00:00.00:00, not 2026-03-22"),
        ({"costumers": "40"}, "The simulator has no setting 'costumers'"),
    ):
        with pytest.raises(UserError, match=sentence):
            run(**asked)  # type: ignore[arg-type]  # mixed by design
    assert simulation_state(operational_url) == made


# Regression: of two first runs at once, the second put its company in the place of the first, and both succeeded.
def test_a_company_that_came_first_is_neither_replaced_nor_taken_for_another(
    operational_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    databases = Databases(operational_url, operational_url, operational_url, None)
    simulate_if_needed(databases, RunRequest(preset="small", seed=3, settings=SETTINGS), Console(quiet=True))
    made = simulation_state(operational_url)
    answers = [None, made]  # the first look was before the other run's company was there
    monkeypatch.setattr(simulator, "simulation_state", lambda url: answers.pop(0))
    with pytest.raises(UserError, match="simulated with seed 3, not 4"):
        simulate_if_needed(databases, RunRequest(preset="small", seed=4, settings=SETTINGS), Console(quiet=True))
    assert simulation_state(operational_url) == made
