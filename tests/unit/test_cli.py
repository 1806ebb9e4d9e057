"""The command line's own judgement: what it refuses before anything is started."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from warehouse_assets.cli import absolute_path, parse_settings
from warehouse_assets.errors import UserError


def warehouse(*arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from warehouse_assets.cli import main; main()", *arguments],
        env={**os.environ, "WAREHOUSE_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_settings_are_key_value_pairs() -> None:
    assert parse_settings(["loads=a.csv", "url=http://x/?a=b"]) == {"loads": "a.csv", "url": "http://x/?a=b"}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["loads"], "is not KEY=VALUE"),
        (["=a.csv"], "is not KEY=VALUE"),
        (["a=1", "a=2"], "names 'a' twice"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(words: list[str], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        parse_settings(words)


def test_local_paths_become_absolute_and_urls_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loads.csv").touch()
    assert absolute_path("loads.csv") == str(tmp_path / "loads.csv")
    assert absolute_path("data/*.csv") == str(tmp_path / "data" / "*.csv")
    assert absolute_path("https://example.org/loads.csv?x=1") == "https://example.org/loads.csv?x=1"
    assert absolute_path("150") == "150"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        # what is typed                                                what is answered
        (["run", "--job", "rout"], "There is no job 'rout'; use one of everything, route"),
        (["run", "--rebuild-from", "2026-01-01"], "--rebuild-from and --rebuild-to go together"),
        (["run", "--rebuild-from", "2026-02-01", "--rebuild-to", "2026-01-01"], "is after --rebuild-to"),
        (["simulate"], "Say how far to move the company"),
        (["reset"], "warehouse reset --yes"),
    ],
)
def test_a_mistake_is_one_sentence_and_status_1(arguments: list[str], sentence: str, tmp_path: Path) -> None:
    outcome = warehouse(*arguments, home=tmp_path / "home")
    assert outcome.returncode == 1
    assert sentence in outcome.stderr
    assert outcome.stderr.count("\n") == 1
    assert not (tmp_path / "home").exists()


def test_help_gives_examples(tmp_path: Path) -> None:
    for command in ("run", "simulate", "status", "sql", "forecast"):
        assert "Example" in warehouse(command, "--help", home=tmp_path).stdout
