"""The simulated company: a waste hauler whose operational database can be made, and moved forward, from one seed.

What the company is and does belongs here, one module a domain, and the loading of its tables. Nothing
here reads the warehouse, and nothing of the warehouse may read the database of planted truths.
"""

from warehouse_assets.source.simulator.company import (
    CompanyState,
    SimulationSummary,
    advance,
    complete_company,
    simulate_company,
    simulation_state,
)
from warehouse_assets.source.simulator.plan import PRESETS, override_keys

__all__ = [
    "PRESETS",
    "CompanyState",
    "SimulationSummary",
    "advance",
    "complete_company",
    "override_keys",
    "simulate_company",
    "simulation_state",
]
