"""The words and tables in which `warehouse status` and the summary tell what the warehouse holds."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table

from warehouse_assets.commands.status import CheckStatus, LastRun, ModelStatus, RunFailure, TableStatus, WarehouseStatus
from warehouse_assets.operate.job_names import EVERYTHING

#: What is told of a model's metrics, and beside it of its baselines' on the same data.
_SCORES = {
    "AUC {auc:.3f}": ("eight factors {factor_score[auc]:.3f}", "logistic regression {logistic[auc]:.3f}"),
    "PR-AUC {pr_auc:.3f}": (),
    "lift {lift_top_decile:.1f} in the top tenth": (),
    "Brier {brier:.3f}": (),
    "calibration error {ece:.3f}": (),
    "blend of {blend}": (),
    "MASE {mase:.3f}": ("seasonal naive {mase_seasonal_naive:.3f}",),
    "intervals cover {coverage:.3f}": (),
    "{series} series": (),
}


def scores_in_words(metrics: Mapping[str, Any]) -> str:
    """The scores of a model, beside those of its baselines; what was not measured is left out."""
    told = []
    for words, baselines in _SCORES.items():
        if score := _told(words, metrics):
            beside = ", ".join(filter(None, (_told(baseline, metrics) for baseline in baselines)))
            told.append(f"{score} ({beside})" if beside else score)
    return ", ".join(told)


def _told(words: str, metrics: Mapping[str, Any]) -> str | None:
    try:
        return words.format_map(metrics)
    except (KeyError, TypeError):
        return None


def _age(moment: datetime | None) -> str:
    if moment is None:
        return "never"
    minutes = (datetime.now(UTC) - moment).total_seconds() / 60
    if minutes < 90:
        return f"{minutes:.0f} min"
    return f"{minutes / 60:.0f} h" if minutes < 72 * 60 else f"{minutes / 1440:.0f} d"


def print_status(console: Console, status: WarehouseStatus) -> None:
    """Print the status as tables; at the end, where a terminal stands, what did not pass and how runs went."""
    if status == WarehouseStatus():
        console.print("Nothing here yet; begin with `warehouse run`.", highlight=False)
        return
    passed = [check for check in status.checks if check.passed]
    console.print(_tables_shown(status.tables))
    console.print(_checks_shown("Checks that passed", passed))
    console.print(_models_shown(status.models))
    if others := [check for check in status.checks if not check.passed]:
        console.print(_checks_shown("Checks that did not pass", others))
    console.print(f"{len(passed)} of {len(status.checks)} checks passed.", highlight=False)
    for run in status.last_runs:
        name = "assets chosen by hand" if run.job.startswith("__") else f"the job {run.job}"
        outcome = "succeeded" if run.is_success else "was cancelled" if run.is_cancelled else "failed"
        console.print(f"The last run of {name} {outcome} {_age(run.ended_at)} ago ({run.run_id}).", highlight=False)
    for tick in status.failed_ticks:
        console.print(
            f"The {tick.kind} {tick.name} last failed {_age(tick.failed_at)} ago: {tick.sentence}", highlight=False
        )
    standing = [failure for failure in status.run_failures if not _is_healed(failure, status.last_runs)]
    for failure in standing:
        console.print(f"Failed run {failure.run_id} ({failure.job}, {_age(failure.failed_at)} ago): {failure.sentence}")
    if healed := len(status.run_failures) - len(standing):
        runs = "run that failed has" if healed == 1 else "runs that failed have"
        console.print(f"{healed} {runs} been made up for since; `warehouse status --json` lists them.", highlight=False)


def _is_healed(failure: RunFailure, last_runs: list[LastRun]) -> bool:
    """Whether its job, or the one that does all, has succeeded since."""
    return any(
        run.is_success and run.ended_at > failure.failed_at and run.job in (failure.job, EVERYTHING)
        for run in last_runs
    )


def _tables_shown(tables: list[TableStatus]) -> Table:
    shown = Table(title="Tables", title_justify="left")
    shown.add_column("table")
    for heading in ("rows", "MiB", "age", "batch"):
        shown.add_column(heading, justify="right")
    for table in tables:
        batch = "" if table.batch_id is None else str(table.batch_id)
        age = "unknown" if table.rows and table.updated_at is None else _age(table.updated_at)
        shown.add_row(table.table, f"{table.rows:,}", f"{table.bytes / 2**20:,.1f}", age, batch)
    return shown


def _checks_shown(title: str, checks: list[CheckStatus]) -> Table:
    shown = Table(title=title, title_justify="left")
    shown.add_column("result")
    shown.add_column("check", overflow="fold")
    shown.add_column("age", justify="right")
    for check in sorted(checks, key=lambda each: each.check):
        result = "passed" if check.passed else ("warned" if check.severity == "WARN" else "FAILED")
        reason = f": {check.reason}" if check.reason and not check.passed else ""
        shown.add_row(result, f"{check.check}{reason}", _age(check.at))
    return shown


def _models_shown(models: list[ModelStatus]) -> Table:
    shown = Table(title="Models", title_justify="left")
    for heading in ("model", "version", "algorithm", "scores", "trained"):
        shown.add_column(heading, overflow="fold")
    for model in models:
        scores = scores_in_words(model.metrics)
        shown.add_row(model.model, str(model.version), model.algorithm, scores, _age(model.created_at))
    return shown
