"""Great Expectations on a data frame: the one adapter. Which rules apply belongs beside the frame they judge."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    from dagster import AssetCheckResult

_NAMED_ROWS = 10


@dataclass(frozen=True)
class BrokenRule:
    """One expectation that does not hold: ``keys`` names the first rows that break it, ``rows`` counts all.

    ``trouble`` says why it could not be judged at all.
    """

    rule: str
    severity: str
    rows: int
    keys: tuple[str, ...]
    trouble: str | None = None

    @property
    def sentence(self) -> str:
        """The rule, how many rows break it, and which."""
        if self.trouble:
            return f"{self.rule} could not be judged: {self.trouble}"
        named = f": {', '.join(self.keys)}{' …' if self.rows > len(self.keys) else ''}" if self.keys else ""
        return f"{self.rule} broken by {self.rows} row{'' if self.rows == 1 else 's'}{named}"


@dataclass(frozen=True)
class FrameVerdict:
    """What came of judging a frame; warnings alone do not fail it."""

    rows: int
    rules: int
    broken: tuple[BrokenRule, ...]

    @property
    def has_errors(self) -> bool:
        """Whether a rule of severity error is broken."""
        return any(rule.severity == "error" for rule in self.broken)


def _rule_name(kind: str, arguments: dict[str, Any]) -> str:
    shown = {name: value for name, value in arguments.items() if name != "batch_id" and value is not None}
    subject = shown.pop("column", None) or ", ".join(shown.pop("column_list", []))
    details = ", ".join(f"{name} {value}" for name, value in shown.items())
    return f"{subject} {kind.removeprefix('expect_').replace('_', ' ')}{f' ({details})' if details else ''}".strip()


def _exception_message(info: dict[str, Any]) -> str | None:
    # flat, or one entry for each metric that could not be had
    for each in (info, *(entry for entry in info.values() if isinstance(entry, dict))):
        if message := each.get("exception_message"):
            return str(message)
    return None


def judge_frame(frame: "pd.DataFrame", expectations: Sequence[Any], key_columns: Sequence[str]) -> FrameVerdict:
    """Validate ``frame`` against Great Expectations ``expectations``.

    Args:
        frame: any frame that has the ``key_columns``.
        expectations: ``great_expectations.expectations`` objects; severity "warning" shows, any other blocks.
        key_columns: columns that name a row to the reader.
    """
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    batch = (
        context.data_sources.add_pandas("frame")
        .add_dataframe_asset("frame")
        .add_batch_definition_whole_dataframe("whole")
        .get_batch(batch_parameters={"dataframe": frame})
    )
    outcome = batch.validate(
        gx.ExpectationSuite(name="rules", expectations=list(expectations)),
        result_format={"result_format": "COMPLETE", "unexpected_index_column_names": list(key_columns)},
    )
    broken = []
    for result in outcome.results:
        if result.success:
            continue
        config = result.expectation_config
        rule = _rule_name(config.type, dict(config.kwargs))
        trouble = _exception_message(result.exception_info or {})
        found = result.result.get("unexpected_index_list") or []
        keys = tuple(" ".join(f"{column}={row.get(column)}" for column in key_columns) for row in found[:_NAMED_ROWS])
        severity = "warning" if str(getattr(config.severity, "value", config.severity)) == "warning" else "error"
        rows = int(result.result.get("unexpected_count") or len(found))
        broken.append(BrokenRule(rule, severity, rows, keys, trouble))
    return FrameVerdict(len(frame), len(outcome.results), tuple(broken))


def as_check_result(verdict: FrameVerdict, **names: Any) -> "AssetCheckResult":
    """The verdict as a Dagster check result: the description names the broken rules and their rows.

    Args:
        verdict: what :func:`judge_frame` returned.
        names: ``asset_key`` and ``check_name``, where the check cannot infer them.
    """
    from dagster import AssetCheckResult, AssetCheckSeverity

    return AssetCheckResult(
        passed=not verdict.broken,
        severity=AssetCheckSeverity.ERROR if verdict.has_errors else AssetCheckSeverity.WARN,
        description="; ".join(rule.sentence for rule in verdict.broken) or f"{verdict.rules} rules hold",
        metadata={
            "rows": verdict.rows,
            "rules": verdict.rules,
            **{f"broken: {rule.rule}"[:120]: rule.sentence for rule in verdict.broken},
        },
        **names,
    )
