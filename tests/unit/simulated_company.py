"""Companies simulated in memory, for the unit tests of the simulator. Tests do not belong here."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache

import numpy as np

from warehouse_assets.source.simulator.business_calendar import moment
from warehouse_assets.source.simulator.month import live_month
from warehouse_assets.source.simulator.plan import Plan, make_plan
from warehouse_assets.source.simulator.rows import Array, Block, Rows
from warehouse_assets.source.simulator.world import MASTERS, World, local_time, month_number

AS_OF = datetime(2026, 3, 17, 15, tzinfo=UTC)


@dataclass
class Life:
    """A company's life: the blocks of each table, and what was planted."""

    plan: Plan
    world: World
    blocks: dict[str, list[Block]] = field(default_factory=lambda: defaultdict(list))
    churn: Rows = field(default_factory=Rows)
    hazard: Rows = field(default_factory=Rows)

    @property
    def now(self) -> np.datetime64:
        """The plan's as_of."""
        return moment(self.plan.as_of)

    def seen(self, table: str, now: np.datetime64 | None = None, since: np.datetime64 | None = None) -> Rows:
        """The table as it stands at ``now`` (default: the plan's as_of)."""
        at = self.now if now is None else now
        blocks = self.blocks[table]
        if table in MASTERS:  # the block of the month that ``now`` lies in knows them
            began = [block for block in blocks if block.columns["_opening"][0] <= at]
            blocks = (began or blocks[:1])[-1:]
        rows = Rows()
        for block in blocks:
            part = block.seen(at, since)
            if len(part):
                rows.append(part)
        return rows

    def left_within(self, days: int) -> tuple[Array, Array]:
        """Planted probabilities of leaving, and whether each customer left within ``days``; only settled rows."""
        agreements = self.world.masters["service_agreements"]
        ended = ~np.isnat(agreements["end_date"])
        ends = np.unique(
            (agreements["customer_id"][ended] - 1) * 1_000_000 + agreements["end_date"][ended].astype(np.int64)
        )
        key = self.churn["customer"] * 1_000_000 + self.churn["as_of"].astype(np.int64)
        following = np.r_[ends, np.iinfo(np.int64).max][np.searchsorted(ends, key)]
        settled = self.churn["as_of"] + np.timedelta64(days, "D") <= self.now.astype("datetime64[D]")
        return self.churn["probability"][settled], (following - key < days)[settled]


@lru_cache(maxsize=4)
def live(customers: int = 500, days: int = 480, depots: int = 2, seed: int = 7, **settings: float) -> Life:
    """Simulate a company in memory; the same arguments give the same object."""
    overrides = {"customers": customers, "days": days, "depots": depots, **settings}
    plan = make_plan("small", seed, AS_OF, overrides)
    local = local_time(plan, plan.as_of.date())
    life = Life(plan, World(plan))
    for _ in range(month_number(plan, local.today(plan.as_of)) + 1):
        opening = local.utc(np.array([life.world.start], dtype="datetime64[D]"), 0)[0]
        lived = live_month(life.world, local)
        for block in lived.blocks:
            if block.table in MASTERS:
                block.columns["_opening"] = np.full(len(block), opening)
            life.blocks[block.table].append(block)
        life.churn.append(lived.churn)
        life.hazard.append(lived.hazard)
    return life


def auc(score: Array, outcome: Array) -> float:
    """Area under the ROC curve: the probability that a positive row scores above a negative one (Mann-Whitney)."""
    order = np.argsort(score, kind="stable")
    ranks = np.empty(len(score))
    _, first, counts = np.unique(score[order], return_index=True, return_counts=True)
    ranks[order] = np.repeat(first + (counts + 1) / 2, counts)
    positive = outcome.astype(bool)
    wins = ranks[positive].sum() - positive.sum() * (positive.sum() + 1) / 2
    return float(wins / (positive.sum() * (~positive).sum()))
