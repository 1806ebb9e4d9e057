"""What the company is at the start of a month: its masters, memories and counters, and how they are kept.

The world moves a month at a time (``month.py``); it is a pure function of the plan and of the world before.
"""

import io
from dataclasses import dataclass, field
from datetime import date, timedelta

import numpy as np

from warehouse_assets.source.simulator.business_calendar import LocalTime, days_between, month_start, next_month
from warehouse_assets.source.simulator.plan import Plan
from warehouse_assets.source.simulator.randomness import stream
from warehouse_assets.source.simulator.rows import NEVER, Array, Block, Fault, Rows, Stage

#: tables whose rows live on and change; all others only receive rows
MASTERS = (
    "depots",
    "disposal_sites",
    "tip_fees",
    "vehicles",
    "drivers",
    "technicians",
    "routes",
    "customers",
    "service_locations",
    "service_agreements",
    "service_agreement_prices",
    "containers",
)


@dataclass
class World:
    """The company at the start of month number ``month`` (0 is the first, which may begin in mid-month).

    ``masters`` holds the rows of the master tables; their ``_changed_at`` is when each last changed. ``memory``
    holds what later months need of earlier ones and no table shows.
    """

    plan: Plan
    month: int = 0
    counters: dict[str, int] = field(default_factory=dict)
    masters: dict[str, Rows] = field(default_factory=dict)
    memory: dict[str, Rows] = field(default_factory=dict)

    @property
    def start(self) -> date:
        """First day of the month."""
        day = self.plan.start
        for _ in range(self.month):
            day = next_month(day)
        return day

    @property
    def end(self) -> date:
        """First day after the month."""
        return next_month(self.start)

    def ids(self, table: str, count: int) -> Array:
        """Take ``count`` new keys of ``table``."""
        first = self.counters.get(table, 1)
        self.counters[table] = first + count
        return np.arange(first, first + count)

    def save(self) -> bytes:
        """Return the world as bytes (numpy's npz), read back by ``load``."""
        arrays: dict[str, Array] = {
            "month": np.array(self.month),
            "counter_names": np.array(list(self.counters), dtype="S"),
            "counters": np.array(list(self.counters.values()), dtype=np.int64),
        }
        for kind, tables in (("masters", self.masters), ("memory", self.memory)):
            for table, rows in tables.items():
                for name, values in rows.items():
                    arrays[f"{kind}/{table}/{name}"] = values
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)  # type: ignore[arg-type]  # numpy types the keywords as allow_pickle's bool
        return buffer.getvalue()

    @classmethod
    def load(cls, plan: Plan, data: bytes) -> "World":
        """Return the world that ``save`` wrote."""
        world = cls(plan)
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            world.month = int(arrays["month"])
            names = (name.decode() for name in arrays["counter_names"])
            world.counters = dict(zip(names, map(int, arrays["counters"]), strict=True))
            for path in arrays.files:
                if "/" in path:
                    kind, table, name = path.split("/")
                    kept = world.masters if kind == "masters" else world.memory
                    kept.setdefault(table, Rows())[name] = arrays[path]
        return world


class Month:
    """One month in the making: the world it changes, its days, and the blocks of rows it brings."""

    def __init__(self, world: World, local: LocalTime, *, is_first: bool = False):
        self.world = world
        self.plan = world.plan
        self.number = world.month
        self.start, self.end = world.start, world.end
        self.days = days_between(self.start, self.end)
        self.local = local
        self.is_first = is_first
        self.blocks: list[Block] = []
        self._stages: dict[str, list[Stage]] = {}
        self._faults: dict[str, list[Fault]] = {}
        self.added: dict[str, list[Array]] = {}
        self.opening = local.utc(self.days[:1], 0)[0]

    def rng(self, purpose: str) -> np.random.Generator:
        """The month's random stream for ``purpose``."""
        return stream(self.plan.seed, self.number, purpose)

    @property
    def share_of_month(self) -> float:
        """Length of the month in months of 30.4 days."""
        return len(self.days) / 30.4

    def master(self, table: str) -> Rows:
        """The rows of a master table."""
        return self.world.masters[table]

    def memory(self, name: str) -> Rows:
        """The rows remembered under ``name``."""
        return self.world.memory[name]

    def bring(self, block: Block) -> Block:
        """Add a block of new rows to the month. Nothing may appear before the month, save in the first."""
        if not self.is_first and len(block):
            block.visible_at = np.maximum(block.visible_at, self.opening)
        self.blocks.append(block)
        return block

    def add(self, table: str, rows: Rows, appears_at: Array) -> None:
        """Add new rows to a master table."""
        if not self.is_first:
            appears_at = np.maximum(appears_at, self.opening)
        rows["_changed_at"] = appears_at.astype("datetime64[us]")
        master = self.world.masters.setdefault(table, Rows())
        self.added.setdefault(table, []).append(np.arange(len(master), len(master) + len(rows)))
        master.append(rows)

    def change(self, table: str, which: Array, at: Array, values: dict[str, Array]) -> None:
        """Change columns of rows ``which`` (positions) of a master table at the moments ``at`` in this month."""
        if len(which) == 0:
            return
        rows = self.master(table)
        moments = np.full(len(rows), NEVER)
        moments[which] = at
        before = {name: rows[name].copy() for name in values}
        for name, value in values.items():
            rows[name][which] = value
        self._stages.setdefault(table, []).append(Stage(moments, before))

    def plant(self, table: str, fault: Fault) -> None:
        """Note a fault planted in rows of a master table."""
        self._faults.setdefault(table, []).append(fault)

    def close(self) -> list[Block]:
        """Return all blocks of the month, masters included, and roll the world on to the next month."""
        for table in MASTERS:
            rows = self.master(table)
            stages = []
            for stage in self._stages.get(table, []):
                stages.append(self._padded(stage, rows))
            block = Block(table, Rows(rows), rows["_changed_at"].copy(), stages, None, self._faults.get(table, []))
            self.blocks.append(block)
        changed: dict[str, Array] = {}
        for block in self.blocks[-len(MASTERS) :]:
            last = block.visible_at
            for stage in block.stages:
                last = np.fmax(last, stage.at)
            changed[block.table] = last
        for table, last in changed.items():
            copy = Rows({name: values.copy() for name, values in self.master(table).items()})
            copy["_changed_at"] = last
            self.world.masters[table] = copy
        self.world.month += 1
        return self.blocks

    @staticmethod
    def _padded(stage: Stage, rows: Rows) -> Stage:
        """Extend a stage to rows added after it, which it does not concern."""
        missing = len(rows) - len(stage.at)
        if missing == 0:
            return stage
        at = np.concatenate([stage.at, np.full(missing, NEVER)])
        before = {name: np.concatenate([value, rows[name][-missing:]]) for name, value in stage.before.items()}
        return Stage(at, before)


def month_number(plan: Plan, day: date) -> int:
    """Return the number of the month that ``day`` lies in."""
    first, there = month_start(plan.start), month_start(day)
    return (there.year - first.year) * 12 + there.month - first.month


def local_time(plan: Plan, until: date) -> LocalTime:
    """Return the company's clock, from twelve years before the plan to two years after ``until``."""
    return LocalTime(plan.time_zone, plan.start - timedelta(days=4_500), until + timedelta(days=800))
