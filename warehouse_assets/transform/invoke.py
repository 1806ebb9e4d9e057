"""Starting dbt for a build. dagster-dbt turns what it says into Dagster events; nothing else calls dbt to build."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

from dagster import AssetExecutionContext
from dagster_dbt import DagsterDbtTranslator, DbtCliInvocation
from packaging.version import Version

from warehouse_assets.database.databases import Databases
from warehouse_assets.database.trouble import DISK_FULL, STOPPED, names_full_disk, names_gone_server
from warehouse_assets.options import RunOptions
from warehouse_assets.settings import DBT_PROJECT_DIR, Settings
from warehouse_assets.transform.project import dbt_environment, ensure_manifest, target_dir


def dbt_build_args(models: Sequence[str], tests: Sequence[str], full_refresh: bool) -> list[str]:
    """The arguments of the one ``dbt build`` that builds ``models`` and runs ``tests``, and no other test."""
    args = ["build", "--select", *models, *tests, "--indirect-selection", "empty"]
    return [*args, "--full-refresh"] if full_refresh else args


def dbt_sentence(message: str) -> str:
    """What dbt says of its errors, without its progress, its macros and the words it has for a test that fails.

    ``message`` is dagster-dbt's: first the command, which names up to a hundred models, then dbt's words.
    """
    _, _, said = message.partition("Errors parsed from dbt logs:")
    words = " ".join(said.split())
    if not words:
        return "dbt was ended before it was done; what it had committed stays, run again"
    if names_full_disk(words):
        return DISK_FULL
    if names_gone_server(words):
        return STOPPED
    words = re.sub(r"\d+ of \d+ (FAIL|ERROR) [^\[]*\[\1[^\]]*\] ?", "", words) or words
    words = re.sub(r" > (in|called by) \w+ \S+ \(\S+\)", "", words)
    words = re.sub(r" QUERY: .*?(?= compiled code at |$)", "", words)
    words = re.sub(r"Failure in (model|test) \S+ \(\S+\) (?=\w+ Error in \1 )", "", words)
    return re.sub(
        r"Failure in test (\S+) \((\S+)\) Got (\d+) results?, configured to fail if \S+ \S+",
        lambda found: f"test {found[1]} found {found[3]} row{'s' * (found[3] != '1')} ({found[2]});",
        words,
    ).rstrip(";")


def start_dbt_build(
    manifest: Mapping[str, Any],
    models: Sequence[str],
    tests: Sequence[str],
    translator: DagsterDbtTranslator,
    context: AssetExecutionContext,
    settings: Settings,
    databases: Databases,
    options: RunOptions,
) -> DbtCliInvocation:
    """Start dbt on ``models`` and ``tests`` and return the invocation, whose ``stream()`` gives Dagster events.

    ``DbtCliResource.cli`` is not used: it starts ``dbt --version`` and a second adapter first, 4 s a build.
    """
    ensure_manifest(settings, databases.warehouse)
    parsed, target = target_dir(settings), target_dir(settings) / "build"
    target.mkdir(parents=True, exist_ok=True)
    if (parsed / "partial_parse.msgpack").exists():
        shutil.copy(parsed / "partial_parse.msgpack", target)
    environment = {
        **os.environ,
        **dbt_environment(settings, databases.warehouse),
        **options.dbt_environment(),
        "DBT_LOG_FORMAT": "json",
        "DBT_WRITE_JSON": "false",  # a second of manifest and results that nobody reads: the events say it all
        "DBT_TARGET_PATH": str(target),
        "DBT_LOG_PATH": str(target),
        "DBT_PROJECT_DIR": str(DBT_PROJECT_DIR),
        "DBT_PROFILES_DIR": str(DBT_PROJECT_DIR),
        "PYTHONUNBUFFERED": "1",
    }
    return DbtCliInvocation.run(
        args=[str(Path(sys.executable).with_name("dbt")), *dbt_build_args(models, tests, options.full_refresh)],
        env=environment,
        manifest=manifest,
        dagster_dbt_translator=translator,
        project_dir=DBT_PROJECT_DIR,
        target_path=target,
        raise_on_error=True,
        context=context,
        adapter=None,
        cli_version=Version(installed_version("dbt-core")),
    )


@contextmanager
def ended_on_leaving(process: "subprocess.Popen[bytes]", seconds: float = 10) -> Iterator[None]:
    """End the program of dbt when this is left: where raw stands still no more, none goes on that nobody waits for.

    Asked to end, it has the server give up its statements; after some seconds it is killed, and its transactions go.
    """
    try:
        yield
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
