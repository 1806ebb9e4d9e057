"""profile.yml, settings and folders: what is understood, and the sentence for what is not."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from warehouse_assets.errors import UserError
from warehouse_assets.source.contract import load_contract
from warehouse_assets.source.profiles import PostgresProfile, open_profile, shipped_profiles
from warehouse_assets.source.profiles.skeleton import new_profile

LOADS = {"loads.sql": "select 1 as load_id, date '2024-01-01' as service_date"}


def write(folder: Path, manifest: str, files: Mapping[str, str] = LOADS) -> str:
    folder.mkdir(exist_ok=True)
    (folder / "profile.yml").write_text(manifest)
    for name, text in files.items():
        (folder / name).write_text(text)
    return str(folder)


def test_the_default_profile_takes_every_table_as_it_stands() -> None:
    profile = open_profile("default", {}, "postgresql://somewhere/database")
    assert isinstance(profile, PostgresProfile)
    assert profile.kind == "postgres"
    assert profile.source_url == "postgresql://somewhere/database"
    assert profile.tables == tuple(load_contract().tables)
    assert profile.select("route_stops") == 'select * from "public"."route_stops"'


def test_shipped_profiles_open_by_name() -> None:
    assert shipped_profiles() == ("austin", "default")
    assert open_profile("austin", {"loads": "loads.csv"}).tables == (
        "depots", "disposal_sites", "routes", "route_runs", "loads"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "settings", "sentence"),
    [
        # profile       settings                what the reader is told
        (
            "austn",
            {},
            r"There is no profile 'austn' \(did you mean 'austin'\?\): use one of austin, default, or the folder",
        ),
        ("austin", {}, "Profile 'austin' needs --set loads=VALUE; mandatory are loads: path, glob or URL"),
        (
            "austin",
            {"lods": "x"},
            r"Profile 'austin' has no setting 'lods' \(did you mean 'loads'\?\); it has loads, unreadable_rows",
        ),
        ("austin", {"loads": "x", "unreadable_rows": "drop"}, "unreadable_rows is 'drop'; use stop or quarantine"),
        ("default", {"loads": "x"}, "Profile 'default' has no setting 'loads'; it has none"),
    ],
)
def test_an_unknown_profile_or_setting_is_told_with_what_exists(
    name: str, settings: dict[str, str], sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        open_profile(name, settings)


@pytest.mark.parametrize(
    ("manifest", "sentence"),
    [
        # profile.yml                                             what the reader is told
        ("kind: [", "is not valid YAML"),
        ("- a", "is no mapping"),
        ("name: x", "has no kind"),
        ("kind: mysql", "kind is 'mysql'; use one of postgres, files"),
        ("kind: files\ntime_zone: Texas", "time_zone 'Texas' is not known"),
        ("kind: files\ntime_zone: America", "time_zone 'America' is not known"),
        ("kind: files\nsetings: {}", r"unknown key 'setings' \(did you mean 'settings'\?\)"),
        ("kind: files\nsettings: {Loads: {}}", "setting 'Loads': use another name"),
        ("kind: files\nsettings: {unreadable_rows: {}}", "use another name"),
        ("kind: files\nsettings: {a: {defalt: 1}}", r"unknown key 'defalt' \(did you mean 'default'\?\)"),
        ("kind: files\nsettings: {a: {secret: true}}", "setting 'a' is secret: name the variable"),
        ("kind: files\nfiles: {f: {}}", "file 'f' has no location"),
        ("kind: files\nfiles: {f: {location: a, format: xls}}", "format is 'xls'; use one of csv, json, xml, parquet"),
        ("kind: files\nfiles: {f: {location: a, delimiter: ;;}}", "delimiter is ';;'; use one character"),
        ("kind: files\nfiles: {f: {location: a, encoding: klingon}}", "encoding 'klingon' is not known"),
        ("kind: files\nfiles: {f: {location: a, columns: id}}", "columns must be a list"),
        # Regression: the text None meant null, and a cell NULL stayed text.
        ("kind: files\nfiles: {f: {location: a, nulls: [NULL]}}", "an item of nulls as null; write it in quotes"),
        ("kind: files\nfiles: {f: {location: a, columns: [id, no]}}", "an item of columns as false; write it in"),
        ("kind: files\nfiles: {'f g': {location: a}}", "file 'f g': use a name"),
        ("kind: files\nunreadable_rows: ignore", "use one of stop, quarantine"),
        ("kind: postgres\nfiles: {f: {location: a}}", "a profile of kind postgres has no files"),
        ("kind: files\ntables_from: public", "tables_from is for profiles of kind postgres"),
    ],
)
def test_a_profile_yml_that_cannot_be_meant_is_refused(tmp_path: Path, manifest: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence) as error:
        open_profile(write(tmp_path / "p", manifest), {})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        # files                                     what the reader is told
        ({"lods.sql": "select 1"}, r"is for no contracted table \(did you mean 'loads'\?\)"),
        ({"loads.sql": "-- select 1"}, "has no SELECT"),
        ({"loads.sql": "delete from x"}, "does not begin with select or with"),
        ({}, "has no SELECT"),
    ],
)
def test_the_sql_files_are_judged(tmp_path: Path, files: dict[str, str], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        open_profile(write(tmp_path / "p", "kind: postgres", files), {})


def test_a_folder_without_profile_yml_is_told_apart(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has no profile\.yml"):
        open_profile(str(tmp_path), {})


def test_settings_come_from_set_then_environment_then_default(tmp_path: Path) -> None:
    folder = write(
        tmp_path / "p",
        "kind: postgres\nsettings:\n  since: {default: 2020-01-01, env: ACME_SINCE}\n  depot: {optional: true}\n",
        {"loads.sql": "select * from l where day >= {since} and depot = {depot} and note <> '{other}' ; "},
    )

    def select(settings: dict[str, str], environ: dict[str, str]) -> str:
        return open_profile(folder, settings, environ=environ).select("loads")

    rest = "and depot = NULL and note <> '{other}'"
    start = "select * from l where day >= "
    assert select({}, {}) == start + f"'2020-01-01' {rest}"
    assert select({}, {"ACME_SINCE": "2021-01-01"}) == start + f"'2021-01-01' {rest}"
    assert select({"since": "x'; drop table l"}, {"ACME_SINCE": "y"}) == (start + f"'x''; drop table l' {rest}")


def test_a_secret_comes_from_its_variable_only(tmp_path: Path) -> None:
    manifest = "kind: postgres\nsettings:\n  token: {secret: true, env: ACME_TOKEN}\n"
    folder = write(tmp_path / "p", manifest, {"loads.sql": "select {token} as load_id from l"})
    with pytest.raises(UserError, match=r"is secret, .* put it into the variable ACME_TOKEN") as refused:
        open_profile(folder, {"token": "hunter2"}, environ={})
    assert "hunter2" not in str(refused.value)
    with pytest.raises(UserError, match="needs the variable ACME_TOKEN"):
        open_profile(folder, {}, environ={})
    assert "'hunter2'" in open_profile(folder, {}, environ={"ACME_TOKEN": "hunter2"}).select("loads")


@pytest.mark.parametrize("kind", ["postgres", "files"])
def test_a_skeleton_explains_every_column_and_opens_once_filled_in(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "mine"
    contract = load_contract()
    written = new_profile(folder, kind, contract)
    assert {path.name for path in written} == {"profile.yml", *(f"{name}.sql" for name in contract.tables)}
    with pytest.raises(UserError, match="has no SELECT"):
        open_profile(str(folder), {})
    for table in contract:
        text = (folder / f"{table.name}.sql").read_text()
        assert all(line.startswith("--") for line in text.splitlines())
        for column in table.columns:
            assert column.description in text
        bare = "\n".join(
            line.removeprefix("--").removeprefix(" ")
            for line in text.splitlines()
            if line.startswith(("-- select", "--     ", "-- from"))
        )
        (folder / f"{table.name}.sql").write_text(bare)
    assert open_profile(str(folder), {}).tables == tuple(contract.tables)


def test_a_skeleton_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="is not empty, and nothing is overwritten"):
        new_profile(tmp_path, "files", load_contract())
    with pytest.raises(UserError, match="is a file"):
        new_profile(tmp_path / "notes.txt", "files", load_contract())
    with pytest.raises(UserError, match="--kind is 'excel'; use postgres or files"):
        new_profile(tmp_path / "x", "excel", load_contract())
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_settings_in_a_location_must_be_declared(tmp_path: Path) -> None:
    from warehouse_assets.source.profiles import FilesProfile

    folder = write(
        tmp_path / "p",
        'kind: files\nfiles: {f: {location: "{lods}/a.csv"}}\nsettings: {loads: {default: x}}',
        {"loads.sql": "select * from f"},
    )
    profile = open_profile(folder, {})
    assert isinstance(profile, FilesProfile)
    with pytest.raises(UserError, match=r"names setting 'lods'; profile\.yml declares loads"):
        profile.read(load_contract().table("loads"))
