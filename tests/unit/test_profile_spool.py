"""Temporary files of file profiles: gone with the profile, also after a kill; a full disk is told."""

import os
import resource
import signal
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from profile_files import read

from warehouse_assets.errors import UserError
from warehouse_assets.source.profiles import FilesProfile


def folders() -> set[Path]:
    return set(Path(tempfile.gettempdir()).glob("warehouse-profile-*"))


@pytest.fixture
def own_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.mark.usefixtures("own_temporary_folder")
def test_temporary_files_go_with_the_profile(profile_of: Callable[..., FilesProfile]) -> None:
    profile = profile_of("id,day,weight,tipped\n1,2024-03-05,5,\n")
    read(profile)
    assert folders()
    profile.close()
    assert not folders()


def test_what_a_killed_process_left_is_removed(
    profile_of: Callable[..., FilesProfile], own_temporary_folder: Path
) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    left = own_temporary_folder / f"warehouse-profile-{ended.pid}-x"
    left.mkdir()
    mine = own_temporary_folder / f"warehouse-profile-{os.getpid()}-x"
    mine.mkdir()
    read(profile_of("id,day,weight,tipped\n1,2024-03-05,5,\n"))
    assert not left.exists()
    assert mine.exists()


def test_a_full_disk_is_told(profile_of: Callable[..., FilesProfile], own_temporary_folder: Path) -> None:
    profile = profile_of("id,day,weight,tipped\n" + "".join(f"{n * 7919},2024-03-05,5,\n" for n in range(50_000)))
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limit[1]))
    try:
        with pytest.raises(UserError, match=f"the disk of {own_temporary_folder} has space, or set TMPDIR"):
            read(profile)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, before)
    assert len(read(profile)[0]) == 50_000
