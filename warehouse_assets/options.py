"""How a run is asked to behave. One resource, so that the launchpad, ``dg`` and the command line say it alike."""

from datetime import date

from dagster import ConfigurableResource
from pydantic import Field

from warehouse_assets.errors import UserError

_RANGE = ("rebuild_from", "rebuild_to")


class RunOptions(ConfigurableResource):  # type: ignore[type-arg]  # the resource is handed out as itself
    """Options of one run; the defaults are an ordinary incremental run of the profile this home was filled from."""

    profile: str | None = Field(default=None, description="Source profile: a shipped name or a folder.")
    profile_settings: dict[str, str] = Field(default={}, description="Settings of the profile, such as file paths.")
    full_refresh: bool = Field(default=False, description="Read every source row again and rebuild every model.")
    rebuild_from: str | None = Field(default=None, description="First business date to rebuild, YYYY-MM-DD.")
    rebuild_to: str | None = Field(default=None, description="Last business date to rebuild, YYYY-MM-DD.")

    def require_range(self) -> None:
        """See that the dates are dates, both or neither, in order. Asked by steps: a run failed by one is not retried.

        Raises:
            UserError: they are not; names the field.
        """
        days = {name: _day(name, value) for name in _RANGE if (value := getattr(self, name)) is not None}
        if len(days) == 1:
            raise UserError("rebuild_from and rebuild_to go together: give both dates, or neither.")
        if days and days["rebuild_from"] > days["rebuild_to"]:
            raise UserError(f"rebuild_from {self.rebuild_from} is after rebuild_to {self.rebuild_to}.")

    @property
    def rebuilds(self) -> bool:
        """Whether models are built even where nothing moved."""
        return self.full_refresh or self.rebuild_from is not None

    def dbt_environment(self) -> dict[str, str]:
        """The variables that carry a forced rebuild of days to dbt."""
        if self.rebuild_from is None or self.rebuild_to is None:
            return {}
        return {"WAREHOUSE_REBUILD_FROM": self.rebuild_from, "WAREHOUSE_REBUILD_TO": self.rebuild_to}


def _day(name: str, value: str) -> date:
    try:
        day = date.fromisoformat(value)
    except ValueError:
        day = None
    if day is None or day.isoformat() != value:
        raise UserError(f"{name} {value!r} is no date; write it as YYYY-MM-DD.")
    return day
