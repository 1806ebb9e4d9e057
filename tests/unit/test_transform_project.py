"""What dbt is told of the connection, and when the project is parsed."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from warehouse_assets.errors import UserError
from warehouse_assets.settings import DBT_PROJECT_DIR, Settings
from warehouse_assets.transform import project
from warehouse_assets.transform.plan import code_version

SETTINGS = Settings(home=Path("/nowhere"))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        # URL                                                  what dbt reads
        ("postgresql://bob:p%40ss@db:6000/wh", {"HOST": "db", "PORT": "6000", "USER": "bob", "DBNAME": "wh"}),
        ("postgresql+psycopg2://bob:x@db/wh", {"HOST": "db", "PORT": "5432", "USER": "bob", "DBNAME": "wh"}),
        ("postgresql://bob@/wh?host=/run/pg", {"HOST": "/run/pg", "USER": "bob", "DBNAME": "wh"}),
        ("postgresql://bob@/wh?hostaddr=10.0.0.5", {"HOST": "10.0.0.5", "USER": "bob", "DBNAME": "wh"}),
        ("postgresql://bob@", {"HOST": "", "USER": "bob", "DBNAME": "bob"}),
        ("postgresql://b@db/wh?sslmode=verify-full", {"SSLMODE": "verify-full"}),
    ],
)
def test_dbt_connects_where_the_product_does(url: str, expected: dict[str, str]) -> None:
    environment = project.dbt_environment(SETTINGS, url)
    assert {name: environment[f"WAREHOUSE_DBT_{name}"] for name in expected} == expected


def test_certificates_and_options_pass_through() -> None:
    url = "postgresql://b@db/wh?sslrootcert=/ca.pem&sslcert=/c.pem&sslkey=/k.pem&options=-csearch_path%3Dx"
    environment = project.dbt_environment(SETTINGS, url)
    names = ("PGSSLROOTCERT", "PGSSLCERT", "PGSSLKEY", "PGOPTIONS")
    assert [environment[name] for name in names] == ["/ca.pem", "/c.pem", "/k.pem", "-csearch_path=x"]


class Parser:
    """Stands for dbt's parser: counts, and may end half way."""

    def __init__(self) -> None:
        self.runs = 0
        self.is_killed = False

    def parse(self, target: Path, environment: dict[str, str]) -> None:
        """Write a manifest, or half of one."""
        self.runs += 1
        (target / "manifest.json").write_text("{" if self.is_killed else json.dumps({"nodes": {}}))
        if self.is_killed:
            raise KeyboardInterrupt


@pytest.fixture(name="parser")
def parser_fixture(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Parser:
    folder = tmp_path / "target" / "dbt_project"  # a checkout below a folder that bears dbt's name
    (folder / "models").mkdir(parents=True)
    (folder / "macros").mkdir()
    (folder / "models" / "a.sql").write_text("select 1")
    (folder / "dbt_project.yml").write_text("name: a")
    parser = Parser()
    monkeypatch.setattr(project, "DBT_PROJECT_DIR", folder)
    monkeypatch.setattr(project, "run_dbt_parse", parser.parse)
    return parser


def test_the_project_is_parsed_when_a_file_has_changed(parser: Parser, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home")
    for _ in range(2):
        project.ensure_manifest(settings)
    assert parser.runs == 1
    (project.DBT_PROJECT_DIR / "models" / "a.sql").write_text("select 2")
    project.ensure_manifest(settings)
    assert parser.runs == 2


# Regression: two releases that shared a home were taken for each other, and the older could not be gone back to.
@pytest.mark.parametrize("change", ["file", "folder", "version"])
def test_what_dbt_knows_of_another_release_is_forgotten(
    parser: Parser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    settings = Settings(home=tmp_path / "home")
    project.ensure_manifest(settings)
    known = tmp_path / "home" / "dbt" / "partial_parse.msgpack"
    known.write_text("what dbt knows")
    project.ensure_manifest(settings, "postgresql://b@db/wh")
    assert known.exists(), "another connection is no other release"
    if change == "file":
        (project.DBT_PROJECT_DIR / "models" / "a.sql").write_text("select 2")
    elif change == "folder":
        monkeypatch.setattr(project, "DBT_PROJECT_DIR", project.DBT_PROJECT_DIR.rename(tmp_path / "dbt_project"))
    else:
        monkeypatch.setattr(project, "version", lambda package: f"another {package}")
    project.ensure_manifest(settings)
    assert parser.runs == 3
    assert not known.exists()


# Regression: a changed macro reached no view, and of a table by days only the days to come.
def test_a_changed_macro_or_variable_is_other_code(parser: Parser) -> None:
    model = {"name": "a", "checksum": {"checksum": "1"}, "config": {}, "depends_on": {"nodes": []}}
    manifest = {"nodes": {"model.w.a": model}}
    versions = []
    for path, text in (("macros/tons.sql", "1"), ("macros/tons.sql", "2"), ("dbt_project.yml", "vars: {a: 1}")):
        (project.DBT_PROJECT_DIR / path).write_text(text)
        versions.append(
            (
                code_version(manifest, "model.w.a", "UTC", project.macros_version()),
                project.dbt_environment(SETTINGS, None),
            )
        )
    codes, environments = zip(*versions, strict=True)
    assert len(set(codes)) == 3
    assert len({environment["WAREHOUSE_DBT_MACROS"] for environment in environments}) == 3


# Regression: a parser that the kernel had ended for want of memory was told as a project that cannot be read.
def test_a_parser_that_was_killed_is_told_as_such(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nkill -9 $$\n")
    python.chmod(0o755)
    monkeypatch.setattr(project.sys, "executable", str(python))
    with pytest.raises(UserError, match="ended by signal 9 while it read its project; run again"):
        project.run_dbt_parse(tmp_path, {})


def test_a_parse_that_was_killed_is_not_taken_for_a_finished_one(parser: Parser, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home")
    url = "postgresql://b@db/wh"
    project.ensure_manifest(settings)
    parser.is_killed = True
    with pytest.raises(KeyboardInterrupt):
        project.ensure_manifest(settings, url)
    parser.is_killed = False
    assert json.loads(project.ensure_manifest(settings).read_text()) == {"nodes": {}}


# Regression: `warehouse parse` ended in a traceback where the home is somebody else's.
def test_a_home_that_cannot_be_written_is_told(parser: Parser, tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file, not a folder")
    with pytest.raises(UserError, match=r"home/dbt cannot be written .*; point WAREHOUSE_HOME at a folder"):
        project.ensure_manifest(Settings(home=tmp_path / "home"))


# Regression: dbt warned at every build of a configured folder that was not there.
def test_every_folder_that_is_configured_has_models() -> None:
    project = yaml.safe_load((DBT_PROJECT_DIR / "dbt_project.yml").read_text())

    def folders(config: dict[str, Any], path: Path) -> Iterator[Path]:
        for name, below in config.items():
            if not name.startswith("+"):
                yield path / name
                yield from folders(below, path / name)

    configured = list(folders(project["models"]["warehouse"], DBT_PROJECT_DIR / "models"))
    assert [folder.name for folder in configured if not any(folder.rglob("*.sql"))] == []
