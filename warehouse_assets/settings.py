"""Every setting the product reads from the environment, typed, in one place. No I/O beyond the environment."""

import os
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from warehouse_assets.errors import UserError

PROJECT_ROOT = Path(__file__).resolve().parent.parent
DBT_PROJECT_DIR = PROJECT_ROOT / "dbt_project"


def is_time_zone(name: str) -> bool:
    """Whether this machine knows the time zone; "America" alone is a folder of them."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


@dataclass(frozen=True)
class Settings:
    """Where things live and how they run.

    ``home`` holds everything the product writes outside its databases. Each ``*_url`` is None when the
    embedded server provides that database; ``port`` pins that server's port, None lets it choose one.
    """

    home: Path
    warehouse_url: str | None = None
    source_url: str | None = None
    dagster_url: str | None = None
    time_zone: str = "America/Chicago"
    threads: int = 2
    profile: str | None = None
    port: int | None = None

    @classmethod
    def from_env(cls, environ: dict[str, str] | None = None) -> "Settings":
        """Read the settings from ``environ`` (default: the process environment); an empty variable counts as unset.

        Raises:
            UserError: a variable holds a value that cannot be used.
        """
        env = {name: value for name, value in (os.environ if environ is None else environ).items() if value}
        time_zone = env.get("WAREHOUSE_TIME_ZONE", cls.time_zone)
        if not is_time_zone(time_zone):
            raise UserError(
                f"WAREHOUSE_TIME_ZONE is {time_zone!r}, which is no time zone name; use one such as America/Chicago."
            )
        threads_text = env.get("WAREHOUSE_THREADS", str(os.cpu_count() or 2))
        if not threads_text.isdecimal() or int(threads_text) < 1:
            raise UserError(f"WAREHOUSE_THREADS is {threads_text!r}; use a whole number of 1 or more.")
        port_text = env.get("WAREHOUSE_PORT", "")
        if port_text and not (port_text.isdecimal() and 1024 <= int(port_text) <= 65535):
            raise UserError(f"WAREHOUSE_PORT is {port_text!r}; use a port number from 1024 to 65535, or unset it.")
        return cls(
            home=Path(env.get("WAREHOUSE_HOME", ".warehouse")).resolve(),
            warehouse_url=env.get("WAREHOUSE_DATABASE_URL"),
            source_url=env.get("WAREHOUSE_SOURCE_URL"),
            dagster_url=env.get("DAGSTER_POSTGRES_URL"),
            time_zone=time_zone,
            threads=int(threads_text),
            profile=env.get("WAREHOUSE_PROFILE"),
            port=int(port_text) if port_text else None,
        )
