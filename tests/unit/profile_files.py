"""Profiles over one file, for the tests of file profiles. Tests do not belong here."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from warehouse_assets.source.contract import load_contract
from warehouse_assets.source.profiles import FilesProfile, Reject, open_profile

LOADS = "select id as load_id, day as service_date, weight as weight_lb, tipped as tipped_at from loads_file"

Read = tuple[list[dict[str, Any]], list[Reject]]


def write_profile(
    directory: Path,
    content: bytes | str,
    name: str = "loads.csv",
    selects: Mapping[str, str] | None = None,
    source: str = "",
    extra: str = "",
    **settings: str,
) -> FilesProfile:
    """Write a profile over one file source and open it."""
    folder = directory / "acme"
    folder.mkdir()
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    (folder / "profile.yml").write_text(
        f"kind: files\ntime_zone: America/Chicago\n{extra}\nfiles:\n  loads_file:\n    location: {name}\n{source}"
    )
    for table, select in (selects or {"loads": LOADS}).items():
        (folder / f"{table}.sql").write_text(select)
    profile = open_profile(str(folder), settings)
    assert isinstance(profile, FilesProfile)
    return profile


def read(profile: FilesProfile, table: str = "loads") -> Read:
    with profile.read(load_contract().table(table)) as batches:
        rows = [row for batch in batches for row in batch.to_pylist()]
        assert batches.rows == len(rows)
        return rows, batches.rejects
