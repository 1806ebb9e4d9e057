"""What company to simulate: presets, overrides and what follows from them. No random numbers belong here."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from warehouse_assets.errors import UserError
from warehouse_assets.settings import is_time_zone

#: Accounts opened in a year, as a share of the accounts at the start.
YEARLY_ARRIVALS = 0.20


@dataclass(frozen=True)
class Plan:
    """Everything that, with the seed, decides the company's life.

    ``customers`` is the number of accounts ever opened by ``as_of``; ``start`` the first simulated business day.
    ``dirt_scale``, ``churn_scale`` and ``failure_scale`` multiply the rates of planted faults, of leaving and of
    vehicle failures.
    """

    preset: str
    seed: int
    as_of: datetime
    customers: int
    days: int
    depots: int
    start: date
    time_zone: str = "America/Chicago"
    dirt_scale: float = 1.0
    churn_scale: float = 1.0
    failure_scale: float = 1.0

    @property
    def accounts_at_start(self) -> int:
        """Accounts open on the first day."""
        return max(1, round(self.customers / (1 + YEARLY_ARRIVALS * self.days / 365)))

    @property
    def arrivals_per_day(self) -> float:
        """Accounts opened a day."""
        return (self.customers - self.accounts_at_start) / self.days

    def to_json(self) -> str:
        """Return the plan as JSON text, read back by ``from_json``."""
        return json.dumps(asdict(self) | {"as_of": self.as_of.isoformat(), "start": self.start.isoformat()})

    @classmethod
    def from_json(cls, text: str) -> "Plan":
        """Return the plan that ``to_json`` wrote."""
        values = json.loads(text)
        return cls(
            **values | {"as_of": datetime.fromisoformat(values["as_of"]), "start": date.fromisoformat(values["start"])}
        )


#: preset → customers, days, depots
PRESETS: dict[str, tuple[int, int, int]] = {
    "small": (150, 150, 2),
    "demo": (1_500, 730, 4),
    "large": (15_000, 730, 8),
}


def override_keys() -> tuple[str, ...]:
    """Names that ``--set`` may set."""
    return tuple(field.name for field in fields(Plan) if field.name != "preset")


def _number(key: str, value: object, kind: type, low: float, high: float) -> float:
    try:
        number = kind(str(value))
    except ValueError:
        number = None
    if number is None or not low <= number <= high:
        what = "a whole number" if kind is int else "a number"
        raise UserError(f"{key} is {value!r}; set it to {what} from {low:,.10g} to {high:,.10g}.")
    return float(number)


_RANGES: dict[str, tuple[type, float, float]] = {
    "seed": (int, 0, 2**31),
    "customers": (int, 10, 100_000),
    "days": (int, 2, 3_660),
    "depots": (int, 1, 16),
    "dirt_scale": (float, 0, 20),
    "churn_scale": (float, 0, 20),
    "failure_scale": (float, 0, 20),
}


def _moment(value: object) -> datetime:
    if isinstance(value, datetime):
        moment = value
    else:
        try:
            moment = datetime.fromisoformat(str(value))
        except ValueError:
            raise UserError(f"as_of is {value!r}; write a time such as 2026-03-01T14:00Z.") from None
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    if not 1980 <= moment.year <= 2090:
        raise UserError(f"as_of is {value!r}; use a year from 1980 to 2090.")
    return moment.replace(microsecond=0)


def make_plan(
    preset: str,
    seed: int,
    as_of: datetime | None = None,
    overrides: Mapping[str, object] | None = None,
) -> Plan:
    """Return the plan of ``preset`` with ``overrides`` (values may be texts, as typed after ``--set``).

    ``as_of`` defaults to the current hour, in UTC; ``start`` to ``days`` before it.

    Raises:
        UserError: the preset or a key is unknown, or a value cannot be used; lists what can.
    """
    if preset not in PRESETS:
        raise UserError(f"There is no preset {preset!r}; choose one of {', '.join(PRESETS)}.")
    given = dict(overrides or {})
    for key in given:
        if key not in override_keys():
            raise UserError(f"The simulator has no setting {key!r}; it has {', '.join(override_keys())}.")
    customers, days, depots = PRESETS[preset]
    values: dict[str, float] = {"seed": seed, "customers": customers, "days": days, "depots": depots}
    for key, (kind, low, high) in _RANGES.items():
        if key in given or key in values:
            values[key] = _number(key, given.get(key, values.get(key)), kind, low, high)
    time_zone = str(given.get("time_zone", Plan.time_zone))
    if not is_time_zone(time_zone):
        raise UserError(f"time_zone is {time_zone!r}, which is no time zone name; use one such as UTC.")
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    moment = _moment(given.get("as_of") or as_of or now)
    today = moment.astimezone(ZoneInfo(time_zone)).date()
    if "start" in given:
        try:
            start = date.fromisoformat(str(given["start"]))
        except ValueError:
            raise UserError(f"start is {given['start']!r}; write a date such as 2025-01-01.") from None
        if not timedelta(days=1) < today - start < timedelta(days=3_661):
            raise UserError(f"start is {start}; choose a day from 2 to 3660 days before {today}.")
        if "days" not in given:
            values["days"] = (today - start).days
    else:
        start = today - timedelta(days=int(values["days"]))
    return Plan(
        preset=preset,
        seed=int(values["seed"]),
        as_of=moment,
        customers=int(values["customers"]),
        days=int(values["days"]),
        depots=int(values["depots"]),
        start=start,
        time_zone=time_zone,
        dirt_scale=values.get("dirt_scale", 1.0),
        churn_scale=values.get("churn_scale", 1.0),
        failure_scale=values.get("failure_scale", 1.0),
    )
