"""The folder everything lives under: Dagster's home inside it, and the environment of processes started for it."""

import os
import shutil
from pathlib import Path

from warehouse_assets.errors import UserError
from warehouse_assets.settings import PROJECT_ROOT, Settings


def dagster_home(settings: Settings) -> Path:
    """Dagster's home below this home, with the project's ``dagster.yaml`` in it.

    Raises:
        UserError: the folder cannot be written.
    """
    home = settings.home / "dagster"
    try:
        home.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(PROJECT_ROOT / "dagster.yaml", home / "dagster.yaml")
    except OSError as error:
        raise UserError(
            f"{home} cannot be written ({error.strerror}); point WAREHOUSE_HOME at a folder you own."
        ) from error
    return home


def process_environment(settings: Settings) -> dict[str, str]:
    """The environment for Dagster processes of this home."""
    return {
        **os.environ,
        "WAREHOUSE_HOME": str(settings.home),
        "DAGSTER_HOME": str(dagster_home(settings)),
        "DAGSTER_DISABLE_TELEMETRY": "yes",
    }
