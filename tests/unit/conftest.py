"""Fixtures of the unit tests."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from profile_files import write_profile

from warehouse_assets.source.profiles import FilesProfile


@pytest.fixture
def profile_of(tmp_path: Path) -> Callable[..., FilesProfile]:
    """Writes a profile over one file into a folder of the test's own, and opens it."""
    return partial(write_profile, tmp_path)
