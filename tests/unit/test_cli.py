"""The command line's own judgement: what it refuses before anything is started."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from warehouse_assets.cli import absolute_path, app, console, parse_settings
from warehouse_assets.commands import run as commands_run
from warehouse_assets.commands.doctor import Finding, examine, print_findings
from warehouse_assets.commands.launch import RunOutcome
from warehouse_assets.commands.progress import progress
from warehouse_assets.commands.run import RunRequest
from warehouse_assets.commands.status import CheckStatus, ModelStatus, RunFailure, WarehouseStatus
from warehouse_assets.commands.status_told import print_status
from warehouse_assets.errors import UserError
from warehouse_assets.settings import Settings
from warehouse_assets.source.profiles.profile import SHIPPED, profile_directory

NOW = datetime.now(UTC)


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
    assert parse_settings(["loads=loads.csv"]) == {"loads": str(tmp_path / "loads.csv")}
    assert absolute_path("data/*.csv") == str(tmp_path / "data" / "*.csv")
    assert absolute_path("https://example.org/loads.csv?x=1") == "https://example.org/loads.csv?x=1"
    assert absolute_path("loads_?.csv.gz") == str(tmp_path / "loads_?.csv.gz")


# Regression: an empty value became the working directory, and a long or questioning secret a path or an OSError.
@pytest.mark.parametrize("value", ["150", "", "s3cret" * 50, "abc?def", "what*ever", "a\0b"])
def test_what_names_no_file_stays(value: str) -> None:
    assert absolute_path(value) == value


# Regression: a folder of a shipped profile's name was taken by `run`, the shipped profile by `profile check`.
@pytest.mark.parametrize(("typed", "is_shipped"), [("austin", True), ("./austin", False), ("mine", False)])
def test_a_shipped_name_wins_over_a_folder_unless_a_path_is_given(
    typed: str, is_shipped: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[RunRequest] = []

    def remember(_settings: object, request: RunRequest, _console: object) -> RunOutcome:
        asked.append(request)
        return RunOutcome("1", is_success=True)

    monkeypatch.setattr(commands_run, "run_warehouse", remember)
    monkeypatch.chdir(tmp_path)
    for name in ("austin", "mine"):
        (tmp_path / name).mkdir()
    app(["run", "--profile", typed], standalone_mode=False)
    assert asked[0].profile == typed
    assert profile_directory(typed).resolve() == (SHIPPED / typed if is_shipped else tmp_path / typed)


# Regression: brackets were taken for markup, so that names lost letters or the message ended in a MarkupError.
def test_messages_show_brackets_and_colons_as_they_are() -> None:
    text = "There is no file /data/[/old]/loads[a-z].csv; mend :car: [red]it."
    status = WarehouseStatus(
        checks=[CheckStatus("raw/loads: [a-z]", True, "WARN", NOW)],
        models=[ModelStatus("churn", 1, "[/old]", NOW, {})],
        run_failures=[RunFailure("1", "route", NOW, text)],
    )
    with console.capture() as captured:
        print_status(console, status)
        print_findings(console, iter([Finding("home", False, text)]))
    shown = captured.get()
    assert shown.count(text) == 2
    assert "raw/loads: [a-z]" in shown
    assert "[/old] " in shown


# Regression: the bar on a terminal took brackets for markup, and showed loads.csv.
def test_progress_on_a_terminal_shows_brackets_as_they_are() -> None:
    shown = StringIO()
    with progress(Console(file=shown, force_terminal=True, width=120), "Reading") as report:
        report("loads[a-z].csv", 1, 2)
    assert "Reading: loads[a-z].csv" in shown.getvalue()


# Regression: a home that cannot be used was said to be well, and then ended in a traceback or was made.
@pytest.mark.parametrize(
    ("home", "sentence"),
    [
        ("/dev/null", "/dev/null is not a directory"),
        ("/dev/null/below", "/dev/null is not a directory"),
        ("/proc/x", "/proc/x cannot be written"),
        ('{tmp}/a"b', "holds a quote"),
    ],
)
def test_the_doctor_finds_a_home_that_cannot_be_used(home: str, sentence: str, tmp_path: Path) -> None:
    *_, last = examine(Settings(home=Path(home.format(tmp=tmp_path))))
    assert (last.subject, last.is_well) == ("home", False)
    assert sentence in last.sentence
    assert not any(tmp_path.iterdir())


# Regression: all was said to be well, while `warehouse run` refused the profile.
def test_the_doctor_finds_a_profile_that_is_not_there(tmp_path: Path) -> None:
    def found(profile: str) -> Finding:
        findings = examine(Settings(home=tmp_path, profile=profile))
        return next(finding for finding in findings if finding.subject == "profile")

    assert not found("nosuch").is_well
    assert "There is no profile 'nosuch'" in found("nosuch").sentence
    assert found("austin").is_well


# Regression: an empty WAREHOUSE_TIME_ZONE or WAREHOUSE_THREADS was refused.
def test_an_empty_variable_counts_as_unset() -> None:
    names = ("HOME", "DATABASE_URL", "SOURCE_URL", "TIME_ZONE", "THREADS", "PORT", "PROFILE")
    assert Settings.from_env({f"WAREHOUSE_{name}": "" for name in names}) == Settings.from_env({})


# Regression: a folder of time zones and a digit that is no number ended in tracebacks.
@pytest.mark.parametrize(
    ("name", "value"), [("TIME_ZONE", "America"), ("TIME_ZONE", "Mars/Base"), ("THREADS", "²"), ("PORT", "²²²²")]
)
def test_a_variable_that_cannot_be_used_is_named(name: str, value: str) -> None:
    with pytest.raises(UserError, match=f"WAREHOUSE_{name} is '{value}'"):
        Settings.from_env({f"WAREHOUSE_{name}": value})


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


@pytest.mark.parametrize(
    ("arguments", "missing"),
    [
        (["sql"], "QUERY"),
        (["profile", "check"], "NAME|DIR"),
        (["profile", "new"], "DIR"),
        (["forecast", "--horizon", "3", "--output", "x.csv"], "INPUT"),
        (["forecast", "README.md", "--output", "x.csv"], "--horizon"),
        (["forecast", "README.md", "--horizon", "3"], "--output"),
    ],
)
def test_what_is_missing_is_named(arguments: list[str], missing: str, tmp_path: Path) -> None:
    ended = warehouse(*arguments, home=tmp_path)
    assert ended.returncode == 2
    assert f"Invalid value for '{missing}': it is required." in ended.stderr


# Regression: a traceback before any work, for the sake of three dots.
def test_an_output_that_knows_no_dots_gets_a_question_mark() -> None:
    code = "from warehouse_assets import cli; cli.app = lambda: print('Starting …'); cli.main()"
    ascii_only = {**os.environ, "PYTHONIOENCODING": "ascii"}
    made = subprocess.run([sys.executable, "-c", code], check=False, env=ascii_only, capture_output=True)
    assert (made.returncode, made.stdout.strip()) == (0, b"Starting ?")


def ended(code: str, ignored: Sequence[str] = (), **streams: object) -> subprocess.CompletedProcess[str]:
    """Run ``code`` as the command's application, started where signals are ``ignored`` and no other."""
    heed = "".join(
        f"signal.signal(signal.{name}, signal.{'SIG_IGN' if name in ignored else handler})\n"
        for name, handler in (("SIGINT", "default_int_handler"), ("SIGTERM", "SIG_DFL"), ("SIGHUP", "SIG_DFL"))
    )
    script = (
        "import os, signal, time; from warehouse_assets import cli\n"
        f"{heed}command = cli.typer.Typer()\n{code}\ncli.main()"
    )
    return subprocess.run(
        [sys.executable, "-c", script], check=False, text=True, stderr=subprocess.PIPE, **streams  # type: ignore[call-overload]
    )  # fmt: skip


# Regression: it ended without a word.
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT"])
def test_a_signal_ends_it_with_a_sentence(name: str) -> None:
    made = ended(
        f"cli.app = command\n@command.command()\ndef wait(): os.kill(os.getpid(), signal.{name}); time.sleep(9)"
    )
    assert made.stderr == f"warehouse: Ended by {name}; what was finished stays.\n"
    assert made.returncode == 128 + signal.Signals[name]


# Regression: Dagster gives SIGTERM the handler of SIGINT, so that a run in a script's background heard neither.
def test_what_is_started_with_interrupts_ignored_still_heeds_a_termination() -> None:
    made = ended(
        "from dagster._utils.interrupts import setup_interrupt_handlers\n"
        "cli.app = command\n@command.command()\ndef wait():\n setup_interrupt_handlers()\n"
        " os.kill(os.getpid(), signal.SIGINT); os.kill(os.getpid(), signal.SIGHUP)\n"
        " print('a child ends with', os.system('kill -HUP $$'), flush=True)\n"
        " os.kill(os.getpid(), signal.SIGTERM); time.sleep(9)",
        ignored=["SIGINT", "SIGHUP"],
        stdout=subprocess.PIPE,
    )
    assert made.stdout == "a child ends with 0\n"
    assert made.stderr == "warehouse: Ended by SIGTERM; what was finished stays.\n"
    assert made.returncode == 128 + signal.SIGTERM


# Regression: tracebacks.
def test_an_output_that_is_closed_or_full_is_no_traceback() -> None:
    closed = ended("cli.app = lambda: cli.console.print('said')", preexec_fn=lambda: os.close(1))
    assert (closed.returncode, closed.stderr) == (0, "")
    with Path("/dev/full").open("w") as full:
        made = ended("cli.app = lambda: print('said', flush=True)", stdout=full)
    assert (made.returncode, made.stderr.count("\n")) == (1, 1)
    assert "The disk that holds the output is full" in made.stderr
