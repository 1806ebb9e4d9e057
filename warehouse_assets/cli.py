"""The ``warehouse`` command: reads the arguments, calls one function, prints. No other work belongs here."""

import contextlib
import csv
import errno
import io
import json
import os
import signal
import sys
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from warehouse_assets.database.place import explain
from warehouse_assets.database.trouble import trouble
from warehouse_assets.errors import UserError
from warehouse_assets.operate.job_names import EVERYTHING, JOB_NAMES
from warehouse_assets.settings import Settings

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="The analytics warehouse of a waste hauler: from operational tables to predictions.",
    epilog="Everything lives under WAREHOUSE_HOME (default .warehouse). Start with `warehouse run`.",
)
profile_app = typer.Typer(no_args_is_help=True, help="Check a source profile, or write the skeleton of a new one.")
app.add_typer(profile_app, name="profile")

for _name in ("stdout", "stderr"):
    if getattr(sys, _name) is None:  # closed by whoever started us
        setattr(sys, _name, open(os.devnull, "w"))  # noqa: SIM115  open as long as the process
# Messages hold file names such as loads[a-z].csv, which are no markup.
console = Console(file=sys.stdout, soft_wrap=not sys.stdout.isatty(), markup=False, emoji=False)


class Preset(StrEnum):
    """Sizes of the simulated company."""

    small = "small"
    demo = "demo"
    large = "large"


class Database(StrEnum):
    """Databases that can be asked."""

    warehouse = "warehouse"
    operational = "operational"
    dagster = "dagster"


class Frequency(StrEnum):
    """Steps of a series, in pandas' letters."""

    day = "D"
    week = "W"
    month = "MS"
    hour = "h"


SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="A setting of the profile or the simulator; may be repeated."),
]


def required(context: typer.Context, parameter: typer.CallbackParam, value: Any) -> Any:
    """Refuse a missing argument: this typer tells click 8.3 and later that its default is None."""
    if value is None and not context.resilient_parsing:
        raise typer.BadParameter("it is required.", ctx=context, param=parameter)
    return value


#: What every argument and option without a default is declared with.
_REQUIRED: dict[str, Any] = {"callback": required, "show_default": False}


def parse_settings(pairs: list[str] | None) -> dict[str, str]:
    """Turn ``key=value`` words into a mapping; paths become absolute.

    Raises:
        UserError: a word has no ``=`` or names a key twice.
    """
    settings: dict[str, str] = {}
    for pair in pairs or []:
        key, sign, value = pair.partition("=")
        if not sign or not key:
            raise UserError(f"--set {pair!r} is not KEY=VALUE, such as --set loads=loads.csv.")
        if key in settings:
            raise UserError(f"--set names {key!r} twice; give each key once.")
        settings[key] = absolute_path(value)
    return settings


def absolute_path(value: str) -> str:
    """Make a value that names a local file, folder or pattern absolute: later runs start elsewhere."""
    from warehouse_assets.source.profiles.fetch import format_of

    if not value or "://" in value:
        return value
    is_local_path = any(sign in value for sign in "*?") and ("/" in value or format_of(value) is not None)
    with contextlib.suppress(OSError):  # too long for a name, as a secret may be
        is_local_path = is_local_path or Path(value).exists()
    return str(Path(value).absolute()) if is_local_path else value


@app.command(
    epilog="Examples: `warehouse run` · `warehouse run --preset small` · `warehouse run --job route` · "
    "`warehouse run --profile austin --set loads=loads.csv` · "
    "`warehouse run --rebuild-from 2026-03-01 --rebuild-to 2026-03-31`"
)
def run(
    preset: Annotated[Preset | None, typer.Option(help="Size of the company to simulate on the first run.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the simulated company.")] = None,
    profile: Annotated[
        str | None,
        typer.Option(help="Source profile: a shipped name, or a folder (./NAME where a shipped one has its name)."),
    ] = None,
    settings: SetOption = None,
    job: Annotated[str, typer.Option(help=f"Job to run: {', '.join(JOB_NAMES)}.")] = EVERYTHING,
    full_refresh: Annotated[bool, typer.Option(help="Read every source row again and rebuild every model.")] = False,
    rebuild_from: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="First business date to rebuild.")
    ] = None,
    rebuild_to: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Last business date to rebuild.")
    ] = None,
) -> None:
    """Fill the warehouse, train the models, check everything, and print a summary."""
    from warehouse_assets.commands.run import RunRequest, run_warehouse

    if job not in JOB_NAMES:
        raise UserError(f"There is no job {job!r}; use one of {', '.join(JOB_NAMES)}.")
    if (rebuild_from is None) != (rebuild_to is None):
        raise UserError("--rebuild-from and --rebuild-to go together; give both dates.")
    if rebuild_from and rebuild_to and rebuild_from > rebuild_to:
        raise UserError(f"--rebuild-from {rebuild_from:%Y-%m-%d} is after --rebuild-to {rebuild_to:%Y-%m-%d}.")
    outcome = run_warehouse(
        Settings.from_env(),
        RunRequest(
            job=job,
            preset=preset.value if preset else None,
            seed=seed,
            profile=profile,
            settings=parse_settings(settings),
            full_refresh=full_refresh,
            rebuild_from=rebuild_from.date() if rebuild_from else None,
            rebuild_to=rebuild_to.date() if rebuild_to else None,
        ),
        console,
    )
    if not outcome.is_success:
        raise typer.Exit(1)


@app.command(epilog="Examples: `warehouse simulate --hours 1` · `warehouse simulate --days 7`, then `warehouse run`")
def simulate(
    hours: Annotated[int, typer.Option(min=0, help="Hours to move forward.")] = 0,
    days: Annotated[int, typer.Option(min=0, help="Days to move forward.")] = 0,
) -> None:
    """Move the simulated company forward; the next run is incremental."""
    from warehouse_assets.commands.progress import progress
    from warehouse_assets.commands.run import advance_company

    if hours + days == 0:
        raise UserError("Say how far to move the company: --hours N or --days N.")
    with progress(console, "Simulating"):
        summary = advance_company(Settings.from_env(), hours=hours + 24 * days)
    console.print(summary, highlight=False)


@app.command(epilog="Examples: `warehouse status` · `warehouse status --json | jq .models`")
def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Show tables, check results and models: what is here, how fresh, how good."""
    from warehouse_assets.commands.status import read_status
    from warehouse_assets.commands.status_told import print_status

    state = read_status(Settings.from_env())
    if as_json:
        print(json.dumps(state.as_dict(), default=str, indent=2))
    else:
        print_status(console, state)


@app.command(epilog='Example: `warehouse sql "select * from marts.route_run order by service_date desc limit 10"`')
def sql(
    query: Annotated[str, typer.Argument(help="One query; its result is printed as CSV.", **_REQUIRED)],
    database: Annotated[Database, typer.Option(help="Database to ask.")] = Database.warehouse,
) -> None:
    """Run one query in a read-only transaction and print its result as CSV."""
    from warehouse_assets.commands.query import rows_of

    writer = csv.writer(sys.stdout, lineterminator="\n")
    for row in rows_of(Settings.from_env(), database.value, query):
        writer.writerow(row)


@app.command(epilog="Example: `warehouse ui --port 3001`")
def ui(port: Annotated[int, typer.Option(min=1, max=65535, help="Port on 127.0.0.1.")] = 3000) -> None:
    """Serve the Dagster UI with the daemon, schedules running, until Ctrl-C. Their log is log/ui.log in the home.

    PostgreSQL is stopped with it unless another program uses it.
    """
    from warehouse_assets.commands.server import stop_server
    from warehouse_assets.commands.ui import serve_ui

    settings = Settings.from_env()
    exit_status = serve_ui(settings, port)
    console.print(stop_server(settings, unless_used=True), highlight=False)
    raise typer.Exit(exit_status)


@app.command()
def start() -> None:
    """Start the embedded PostgreSQL server."""
    from warehouse_assets.commands.server import start_server

    console.print(start_server(Settings.from_env()), highlight=False)


@app.command()
def stop() -> None:
    """Stop the embedded PostgreSQL server."""
    from warehouse_assets.commands.server import stop_server

    console.print(stop_server(Settings.from_env()), highlight=False)


@app.command(epilog="Example: `warehouse reset --yes`")
def reset(yes: Annotated[bool, typer.Option("--yes", help="Really do it.")] = False) -> None:
    """Remove what the warehouse has under WAREHOUSE_HOME: databases, runs, logs. Nothing of yours is touched."""
    from warehouse_assets.commands.server import reset_home

    console.print(reset_home(Settings.from_env(), yes), highlight=False)


@app.command()
def doctor() -> None:
    """Examine this installation and say what is wrong with it and how to mend it."""
    from warehouse_assets.commands.doctor import examine, print_findings

    if not print_findings(console, examine(Settings.from_env())):
        raise typer.Exit(1)


@app.command(epilog="Example: `warehouse parse` when an image is built")
def parse() -> None:
    """Parse the dbt project, so that later commands find its manifest ready."""
    from warehouse_assets.transform.project import ensure_manifest

    console.print(f"Parsed: {ensure_manifest(Settings.from_env())}", highlight=False)


@app.command()
def migrate() -> None:
    """Bring the warehouse's own tables and Dagster's storage up to date (an init step; `run` does it by itself)."""
    from warehouse_assets.commands.server import migrate_all

    console.print(migrate_all(Settings.from_env()), highlight=False)


@app.command(epilog="Example: `warehouse forecast sales.csv --horizon 13 --freq W --level 90 --output forecast.csv`")
def forecast(
    input_path: Annotated[
        Path, typer.Argument(metavar="INPUT", help="CSV with the columns unique_id, ds, y.", **_REQUIRED)
    ],
    horizon: Annotated[int, typer.Option(help="Steps to forecast.", **_REQUIRED)],
    output: Annotated[
        Path, typer.Option(help="CSV to write: unique_id, ds, yhat, yhat_lower, yhat_upper.", **_REQUIRED)
    ],
    freq: Annotated[Frequency, typer.Option(help="Step of the series.")] = Frequency.day,
    level: Annotated[int, typer.Option(min=1, max=99, help="Level of the interval, per cent.")] = 90,
) -> None:
    """Forecast every series of a file; needs no database."""
    from warehouse_assets.commands.progress import progress
    from warehouse_assets.forecast.file import forecast_file

    with progress(console, f"Forecasting {input_path.name}") as on_progress:
        forecast_file(
            input_path,
            output,
            horizon=horizon,
            freq=freq.value,
            level=level,
            threads=Settings.from_env().threads,
            on_progress=on_progress,
        )
    console.print(f"Written: {output}", highlight=False)


@profile_app.command("check", epilog="Example: `warehouse profile check austin --set loads=loads.csv`")
def profile_check(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME|DIR",
            help="A shipped name, or a folder (./NAME where a shipped one has its name).",
            **_REQUIRED,
        ),
    ],
    settings: SetOption = None,
) -> None:
    """Tell, table by table and column by column, what is mapped, missing or of the wrong type. Loads nothing."""
    from warehouse_assets.source.profiles.commands import check_command

    if not check_command(name, parse_settings(settings), Settings.from_env(), console):
        raise typer.Exit(1)


@profile_app.command("new", epilog="Example: `warehouse profile new my_company --kind postgres`")
def profile_new(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder to write; it must not exist or be empty.", **_REQUIRED)
    ],
    kind: Annotated[str, typer.Option(help="postgres or files.")] = "postgres",
) -> None:
    """Write a commented skeleton of a profile."""
    from warehouse_assets.source.profiles.commands import new_command

    new_command(directory, kind, console)


_INTERRUPTED = 130
"""What typer exits with at a KeyboardInterrupt."""


def main() -> None:
    """Run the command line; a user's error is one sentence on standard error and exit status 1."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal or pipe that knows no "…" gets a question mark
    names = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    ignored = {name for name in names if signal.getsignal(name) is signal.SIG_IGN}  # by `nohup`, by a script's `&`
    received = [signal.SIGINT]

    def interrupt(number: int, _frame: object) -> None:
        if number not in ignored:
            received.append(signal.Signals(number))
            raise KeyboardInterrupt

    # One handler for all, as Dagster leaves SIGTERM with whatever SIGINT has. What `nohup` ignores, children must too.
    for name in names:
        if name is signal.SIGINT or name not in ignored:
            signal.signal(name, interrupt)
    try:
        app()
    except SystemExit as end:
        if end.code == _INTERRUPTED:
            print(f"warehouse: Ended by {received[-1].name}; what was finished stays.", file=sys.stderr)
            sys.exit(128 + received[-1])
        raise
    except UserError as error:
        print(f"warehouse: {error}", file=sys.stderr)
        sys.exit(1)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.ENAMETOOLONG):
            raise
        print(f"warehouse: {explain(error, Path('the output'))}", file=sys.stderr)
        sys.exit(1)
    except Exception as error:
        if (sentence := trouble(error)) is None:
            raise
        print(f"warehouse: {sentence}", file=sys.stderr)
        sys.exit(1)
