"""`warehouse profile check` against a database: exit status, and which database was asked."""

import io
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from rich.console import Console

from warehouse_assets.database.embedded import EmbeddedServer
from warehouse_assets.errors import UserError
from warehouse_assets.settings import Settings
from warehouse_assets.source.profiles.commands import check_command


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "profile.yml").write_text("name: acme\nkind: postgres\n")
    (tmp_path / "routes.sql").write_text("select code as route_id, weekday as service_weekday from lines")
    return tmp_path


def check(folder: Path, settings: Settings) -> tuple[bool, str]:
    out = io.StringIO()
    is_well = check_command(str(folder), {}, settings, Console(file=out, width=100))
    return is_well, out.getvalue()


def test_the_user_s_own_database_is_checked_and_not_written(
    folder: Path, tmp_path: Path, postgres16: EmbeddedServer, make_database: Callable[..., str]
) -> None:
    url = make_database(postgres16)
    settings = Settings(home=tmp_path / "home", source_url=url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("create table lines (code text, weekday text)")
        connection.execute("insert into lines values ('R1', '3')")
        assert check(folder, settings)[0]
        connection.execute("insert into lines values ('R2', 'Monday')")
        is_well, text = check(folder, settings)
        assert not is_well
        assert 'invalid input syntax for type integer: "Monday"' in text
        (folder / "routes.sql").write_text("select nextval('s')::text as route_id")
        connection.execute("create sequence s")
        is_well, text = check(folder, settings)
        assert "cannot execute nextval() in a read-only transaction" in text
        assert not is_well
        assert connection.execute("select is_called from s").fetchone() == (False,)
    assert not (tmp_path / "home").exists()


def test_without_a_url_the_embedded_database_is_asked_and_named(folder: Path, settings: Settings) -> None:
    is_well, text = check(folder, settings)
    assert not is_well
    assert 'relation "lines" does not exist' in text
    assert "set WAREHOUSE_SOURCE_URL to check your own" in text


def test_a_source_that_does_not_answer_is_told(folder: Path, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home", source_url="postgresql://reader:s3cret@127.0.0.1:1/operations")
    with pytest.raises(UserError, match="No server answers") as error:
        check(folder, settings)
    assert "s3cret" not in str(error.value)
