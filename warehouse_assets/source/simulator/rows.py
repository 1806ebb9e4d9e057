"""Rows in columns, and how a row looks at a given moment. What the rows mean belongs in the domain modules.

A *block* holds the rows that a month brings to one table, as they will be in the end, with the moments at
which they appear, change and vanish. ``seen`` tells what stands in the table at a moment, so a full load and
every later step forward are two questions about the same life.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

NEVER = np.datetime64("NaT", "us")
NO_DAY = np.datetime64("NaT", "D")


class Rows(dict[str, Array]):
    """Columns of one length by name. Names that begin with ``_`` are the simulator's own and never reach a table."""

    def __len__(self) -> int:
        for values in self.values():
            return len(values)
        return 0

    def __bool__(self) -> bool:
        return len(self) > 0

    def take(self, which: Array) -> "Rows":
        """Return the rows that ``which`` (a mask or positions) names."""
        return Rows({name: values[which] for name, values in self.items()})

    def append(self, more: Mapping[str, Array]) -> None:
        """Add the rows of ``more``, which has the same columns."""
        if not self:
            self.update(more)
            return
        if self.keys() != more.keys():
            raise ValueError(f"columns differ: {sorted(self.keys() ^ more.keys())}")
        for name, values in self.items():
            self[name] = np.concatenate([values, more[name]])


@dataclass(eq=False)
class Stage:
    """A change that comes to rows at ``at`` (NaT: never); until then the columns have the values of ``before``."""

    at: Array
    before: dict[str, Any]


@dataclass(eq=False)
class Fault:
    """A planted fault: rows ``which`` (positions) of the block, visible as such from ``at`` on."""

    kind: str
    which: Array
    at: Array
    detail: str = ""


@dataclass(eq=False)
class Block:
    """The rows of one table: final values, and when they appear (``visible_at``), change and are deleted."""

    table: str
    columns: Rows
    visible_at: Array
    stages: list[Stage] = field(default_factory=list)
    deleted_at: Array | None = None
    faults: list[Fault] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.visible_at)

    def _last_change(self) -> Array:
        last = self.visible_at
        for moment in [*(stage.at for stage in self.stages), *([] if self.deleted_at is None else [self.deleted_at])]:
            last = np.fmax(last, moment)
        return last

    def updated_at(self, now: np.datetime64) -> Array:
        """When each row last changed, seen at ``now``."""
        last = self.visible_at
        for stage in self.stages:
            last = np.where(stage.at <= now, np.fmax(last, stage.at), last)
        return last

    def take(self, which: Array) -> "Block":
        """Return the part of the block that ``which`` (positions or a mask) names."""
        positions = np.flatnonzero(which) if which.dtype == bool else which
        place = np.full(len(self), -1)
        place[positions] = np.arange(len(positions))
        stages = [
            Stage(
                stage.at[positions],
                {
                    name: value[positions] if isinstance(value, np.ndarray) and value.ndim else value
                    for name, value in stage.before.items()
                },
            )
            for stage in self.stages
        ]
        faults = []
        for fault in self.faults:
            kept = place[fault.which] >= 0
            if kept.any():
                faults.append(Fault(fault.kind, place[fault.which][kept], fault.at[kept], fault.detail))
        deleted = None if self.deleted_at is None else self.deleted_at[positions]
        return Block(self.table, self.columns.take(positions), self.visible_at[positions], stages, deleted, faults)

    def unfinished(self, now: np.datetime64) -> "Block":
        """The rows that still appear, change or vanish after ``now``."""
        return self.take(self._last_change() > now)

    def seen(self, now: np.datetime64, since: np.datetime64 | None = None) -> Rows:
        """The rows as they stand at ``now``, with ``updated_at``; only those changed after ``since``, if given."""
        updated_at = self.updated_at(now)
        there = updated_at <= now
        if self.deleted_at is not None:
            there &= ~(self.deleted_at <= now)
        if since is not None:
            there &= updated_at > since
        if there.all():
            columns, which = Rows(self.columns), None
        else:
            which = np.flatnonzero(there)
            columns, updated_at = self.columns.take(which), updated_at[which]
        for stage in reversed(self.stages):
            at = stage.at if which is None else stage.at[which]
            coming = at > now
            if not coming.any():
                continue
            for name, value in stage.before.items():
                earlier = value
                if isinstance(value, np.ndarray) and value.ndim:
                    earlier = (value if which is None else value[which])[coming]
                changed = columns[name].copy()
                changed[coming] = earlier
                columns[name] = changed
        public = Rows({name: values for name, values in columns.items() if not name.startswith("_")})
        public["updated_at"] = updated_at
        return public

    def vanished(self, now: np.datetime64, since: np.datetime64) -> Rows:
        """The rows deleted after ``since`` and by ``now``, of those that stood there at ``since``."""
        if self.deleted_at is None:
            return Rows()
        gone = (self.deleted_at > since) & (self.deleted_at <= now) & (self.visible_at <= since)
        return self.columns.take(np.flatnonzero(gone)) if gone.any() else Rows()
