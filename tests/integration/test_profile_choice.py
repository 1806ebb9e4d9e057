"""Which profile a warehouse is bound to, by whichever command or run comes first."""

from dataclasses import replace
from pathlib import Path

import pytest

from warehouse_assets.database.databases import Databases
from warehouse_assets.errors import UserError
from warehouse_assets.source.profiles.choice import remember_profile


@pytest.fixture(name="own")
def own_fixture(warehouse_url: str) -> Databases:
    """Databases whose warehouse is fresh."""
    return Databases(warehouse_url, warehouse_url, warehouse_url, None)


# Regression: WAREHOUSE_PROFILE=./mine was kept as it is; the UI, which starts elsewhere, did not find the folder.
@pytest.mark.parametrize("typed", ["mine", "./mine", "./austin"])
def test_a_folder_is_remembered_by_its_whole_path(
    typed: str, own: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / typed).mkdir()
    monkeypatch.chdir(tmp_path)
    expected = (str(tmp_path / typed), {"loads": "a.csv"})
    assert remember_profile(own, typed, {"loads": "a.csv"}) == expected
    assert remember_profile(own, str(tmp_path / typed), None) == expected
    monkeypatch.chdir("/")
    assert remember_profile(own, None, None) == expected
    with pytest.raises(UserError, match=r"is filled from profile '/.*', not 'austin'"):
        remember_profile(own, "austin", None)


# Regression: who had named a database of his own was told to empty it with `warehouse reset`, which does not touch it.
@pytest.mark.parametrize(
    ("is_own", "remedy"), [(True, "empty database in WAREHOUSE_DATABASE_URL"), (False, "reset --yes")]
)
def test_another_profile_is_refused_with_the_remedy_that_fits_the_warehouse(
    own: Databases, is_own: bool, remedy: str
) -> None:
    databases = replace(own, is_warehouse_own=is_own)
    remember_profile(databases, "default", None)
    with pytest.raises(UserError, match=remedy):
        remember_profile(databases, "austin", None)


# Regression: `warehouse migrate` bound the warehouse to a misspelt WAREHOUSE_PROFILE; the right one was refused then.
def test_a_profile_that_is_not_there_is_not_remembered(own: Databases) -> None:
    with pytest.raises(UserError, match="There is no profile 'austn'"):
        remember_profile(own, "austn", None)
    assert remember_profile(own, "austin", None) == ("austin", {})
