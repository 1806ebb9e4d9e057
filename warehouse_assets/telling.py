"""What a step says of long work: into its run's log, and to whoever watches the run in the same process."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dagster import AssetExecutionContext

Tell = Callable[[str], None]

WATCHED = logging.getLogger("warehouse_assets.watched")
WATCHED.setLevel(logging.INFO)
WATCHED.propagate = False  # the run's log has it already

PROGRESS_SECONDS = 10.0


def tell_run(context: AssetExecutionContext) -> Tell:
    """What puts a sentence into the log of the run, and before whoever watches it."""

    def tell(text: str) -> None:
        context.log.info(text)
        WATCHED.info(text)

    return tell


def now_and_then(tell: Tell) -> Callable[[str, str], None]:
    """What tells of a subject every ``PROGRESS_SECONDS``, and nothing of what ends sooner."""
    told: dict[str, float] = {}

    def tell_of(subject: str, text: str) -> None:
        now = time.monotonic()
        if now - told.setdefault(subject, now) >= PROGRESS_SECONDS:
            told[subject] = now
            tell(f"{subject}: {text}")

    return tell_of
