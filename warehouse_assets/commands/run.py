"""What ``warehouse run`` does: databases, company, manifest, one job, and a true summary of it."""

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date

from rich.console import Console

from warehouse_assets.commands.home import check_storage
from warehouse_assets.commands.launch import RunOutcome, launch_job, prepare_instance
from warehouse_assets.commands.progress import progress
from warehouse_assets.commands.summary import print_summary
from warehouse_assets.database.connections import connect
from warehouse_assets.database.databases import Databases, resolve
from warehouse_assets.database.migrate import migrate
from warehouse_assets.errors import UserError
from warehouse_assets.operate.job_names import EVERYTHING
from warehouse_assets.settings import Settings
from warehouse_assets.source.profiles import FilesProfile, open_profile
from warehouse_assets.source.profiles.choice import DEFAULT_PROFILE, remember_profile, stored_profile
from warehouse_assets.transform.project import ensure_manifest


@dataclass(frozen=True)
class RunRequest:
    """What the user asked for; None means: as before, else the default."""

    job: str = EVERYTHING
    preset: str | None = None
    seed: int | None = None
    profile: str | None = None
    settings: Mapping[str, str] | None = None
    full_refresh: bool = False
    rebuild_from: date | None = None
    rebuild_to: date | None = None


def simulate_if_needed(databases: Databases, request: RunRequest, console: Console) -> None:
    """Fill the embedded operational database with a simulated company; one that is there gains what the contract did.

    Raises:
        UserError: it holds another company than the one asked for, or cannot gain a required column.
    """
    from warehouse_assets.source.simulator import complete_company, simulate_company, simulation_state
    from warehouse_assets.source.simulator.plan import make_plan

    settings = request.settings or {}
    if simulation_state(databases.operational) is None:
        with progress(console, "Simulating the company") as on_progress:
            simulate_company(
                databases.operational,
                databases.planted,
                preset=request.preset or "demo",
                seed=7 if request.seed is None else request.seed,
                overrides=settings,
                on_progress=lambda done, months: on_progress("months", done, months),
                replace=False,
            )
    # Also after simulating: another run may have been first.
    if (state := simulation_state(databases.operational)) is None:
        raise AssertionError("there is a company by now")
    seed = state.seed if request.seed is None else request.seed
    asked = make_plan(request.preset or state.preset, seed, state.plan.as_of, settings)
    for name in ("preset", "seed", *settings):
        wanted, present = getattr(asked, name), getattr(state.plan, name)
        if wanted != present:
            raise UserError(
                f"This home holds a company simulated with {name} {present}, not {wanted}: "
                f"{databases.another_warehouse}."
            )
    complete_company(databases.operational)


def run_warehouse(settings: Settings, request: RunRequest, console: Console) -> RunOutcome:
    """Do everything a run does and print its summary.

    Raises:
        UserError: the run could not start; what happens inside it is in the outcome.
    """
    started = time.monotonic()
    with progress(console, "Starting the databases"):
        databases = resolve(settings)
        check_storage(settings)
        # dbt reads its project (5 s, a process of its own) while the company is simulated.
        parsing = ThreadPoolExecutor(1).submit(ensure_manifest, settings, databases.warehouse)
        migrate(databases.warehouse)
    wanted = request.profile or settings.profile
    with connect(databases.warehouse, application_name="warehouse run") as connection:
        known, known_settings = stored_profile(connection) or (None, {})
    name = wanted or known or DEFAULT_PROFILE
    is_default = name == DEFAULT_PROFILE
    if not is_default:
        # A profile that cannot be opened, or a setting that names no file, is refused before either is kept.
        opened = open_profile(name, {**known_settings, **(request.settings or {})}, databases.operational)
        try:
            if request.settings and isinstance(opened, FilesProfile):
                opened.require_files()
        finally:
            opened.close()
    elif request.settings and settings.source_url is not None:
        raise UserError("--set has nothing to set: the profile 'default' over your own database takes no settings.")
    profile, profile_settings = remember_profile(databases, wanted, {} if is_default else request.settings)
    if is_default and settings.source_url is None:
        simulate_if_needed(databases, request, console)
    with progress(console, "Materializing the assets") as on_progress:
        prepare_instance(settings)
        parsing.result()
        outcome = launch_job(
            settings,
            request.job,
            {
                "profile": profile,
                "profile_settings": profile_settings,
                "full_refresh": request.full_refresh,
                "rebuild_from": request.rebuild_from.isoformat() if request.rebuild_from else None,
                "rebuild_to": request.rebuild_to.isoformat() if request.rebuild_to else None,
            },
            on_progress,
        )
    print_summary(console, databases, outcome, time.monotonic() - started)
    return outcome


def advance_company(settings: Settings, hours: int) -> str:
    """Move the simulated company forward and return what to tell the user.

    Raises:
        UserError: the source is the user's own, or no company was simulated yet.
    """
    from warehouse_assets.source.simulator import advance, simulation_state

    if settings.source_url is not None:
        raise UserError("WAREHOUSE_SOURCE_URL is your own database, which is never written to; unset it to simulate.")
    databases = resolve(settings)
    if simulation_state(databases.operational) is None:
        raise UserError("No company has been simulated here yet; begin with `warehouse run`.")
    summary = advance(databases.operational, databases.planted, hours=hours)
    rows = ", ".join(f"{table} {count:,}" for table, count in summary.rows.items() if count)
    return f"The company's clock stands at {summary.as_of:%Y-%m-%d %H:%M} UTC. New and changed rows: {rows or 'none'}."
