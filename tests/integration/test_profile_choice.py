"""Which profile a warehouse is bound to, by whichever command or run comes first."""

from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from warehouse_assets.commands.run import RunRequest, run_warehouse
from warehouse_assets.database.connections import connect
from warehouse_assets.database.databases import Databases
from warehouse_assets.errors import UserError
from warehouse_assets.settings import Settings
from warehouse_assets.source.profiles.choice import remember_profile, stored_profile


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


# Regression: meant for one file, it let the next one pass that broke off, and rows were taken for deleted.
def test_unreadable_rows_pass_for_one_run_alone(own: Databases) -> None:
    typed = {"loads": "a.csv", "unreadable_rows": "quarantine"}
    assert remember_profile(own, "austin", typed) == ("austin", typed)
    assert remember_profile(own, None, None) == ("austin", {"loads": "a.csv"})


# Regression: a mistyped location took the place of the good one, and every later run failed.
def test_a_location_without_a_file_is_not_kept(own: Databases, tmp_path: Path) -> None:
    (tmp_path / "loads.csv").touch()
    remember_profile(own, "austin", {"loads": str(tmp_path / "loads.csv")})
    settings = Settings(tmp_path, own.warehouse, own.warehouse, own.warehouse)
    with pytest.raises(UserError, match=r"There is no file .*lods\.csv"):
        run_warehouse(settings, RunRequest(settings={"loads": str(tmp_path / "lods.csv")}), Console(quiet=True))
    assert remember_profile(own, None, None) == ("austin", {"loads": str(tmp_path / "loads.csv")})


# Regression: `dg launch` over a warehouse that no command had made ended in a traceback.
def test_a_warehouse_without_tables_of_its_own_is_one_sentence(operational_url: str) -> None:
    with (
        connect(operational_url, application_name="test") as connection,
        pytest.raises(UserError, match=r"has no tables of its own yet; run `warehouse migrate`"),
    ):
        stored_profile(connection)
