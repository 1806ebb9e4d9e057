"""``warehouse profile check`` and ``warehouse profile new``, without their option parsing."""

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from warehouse_assets.settings import Settings
from warehouse_assets.source.contract import load_contract

if TYPE_CHECKING:
    from rich.console import Console


def check_command(name: str, values: Mapping[str, str], settings: Settings, console: "Console") -> bool:
    """Check a profile, print the report, and tell whether everything in it can be loaded.

    Raises:
        UserError: the profile cannot be opened or its source database cannot be reached.
    """
    from warehouse_assets.database.connections import connect_to_source
    from warehouse_assets.database.databases import resolve
    from warehouse_assets.source.profiles import open_profile
    from warehouse_assets.source.profiles.check import check_profile
    from warehouse_assets.source.profiles.report import render, say

    contract = load_contract()
    with closing(open_profile(name, values, settings.source_url, contract)) as profile:
        if profile.kind == "files":
            report = check_profile(profile, contract)
        else:
            url = profile.source_url or resolve(settings).operational
            with closing(
                connect_to_source(url, application_name="warehouse profile check", autocommit=True)
            ) as connection:
                connection.execute("set default_transaction_read_only = on")
                report = check_profile(profile, contract, connection)
    render(report, console)
    if report.blocks and report.kind == "postgres" and settings.source_url is None:
        say(console, "This was the embedded operational database; set WAREHOUSE_SOURCE_URL to check your own.")
    return not report.blocks


def new_command(directory: Path, kind: str, console: "Console") -> None:
    """Write a skeleton and print what to do next.

    Raises:
        UserError: see ``skeleton.new_profile``.
    """
    from warehouse_assets.source.profiles.report import say
    from warehouse_assets.source.profiles.skeleton import new_profile

    written = new_profile(directory, kind, load_contract())
    say(
        console,
        f"Written: {len(written)} files in {directory}. Next: fill in at least one <table>.sql, then "
        f"`warehouse profile check {directory}`.",
    )
