"""What the summary of a run claims: only what this run or an earlier one did, and advice that fits the source."""

from dataclasses import replace

import pytest

from warehouse_assets.commands.launch import RunOutcome
from warehouse_assets.commands.status_told import scores_in_words
from warehouse_assets.commands.summary import checks_line, churn_line, forecast_lines, next_step

FORECASTS = [
    ("tons", "day", 15, 30, "2026-12-20", 1234.4, 1100.0, None),
    ("lifts", "day", 8, 30, "2026-12-20", 4500.0, None, "2026-11-16"),
    ("tickets", "day", 2, 30, "2026-12-20", None, None, None),
]


# Regression: a run that failed before the models said that they had found nothing to predict.
@pytest.mark.parametrize(
    ("customers", "is_made", "line"),
    [
        (60, True, "Churn: 60 customers scored, mean probability 0.1, 5 at high risk"),
        (60, False, "Churn: 60 customers scored, mean probability 0.1, 5 at high risk, by an earlier run"),
        (0, True, "Churn: no predictions. Two customers left, a model needs 20."),
        (0, False, "Churn: not reached in this run"),
    ],
)
def test_churn_is_told_as_this_runs_an_earlier_runs_or_not_reached(customers: int, is_made: bool, line: str) -> None:
    why = "Two customers left, a model needs 20."
    assert churn_line(customers, 0.1, 5, is_made=is_made, why_none=why) == line


def test_forecasts_are_told_as_this_runs_an_earlier_runs_or_not_reached() -> None:
    assert forecast_lines(FORECASTS, is_made=True) == [
        "Forecast tons by day: 15 series to 2026-12-20; company 1,234 in 30 days, 1,100 in the 30 before",
        "Forecast lifts by day: 8 series to 2026-12-20; company 4,500 in 30 days (its facts end on 2026-11-16)",
        "Forecast tickets by day: 2 series to 2026-12-20",
    ]
    assert forecast_lines(FORECASTS[2:], is_made=False) == [
        "Forecast tickets by day: 2 series to 2026-12-20, by an earlier run"
    ]
    assert forecast_lines([], is_made=True) == ["Forecast: no series to forecast"]
    assert forecast_lines([], is_made=False) == ["Forecast: not reached in this run"]


# Regression: a test that waits for the model of another job was told in the run's log alone.
def test_tests_that_wait_are_told_where_the_rest_was_judged() -> None:
    outcome = RunOutcome("1", is_success=True, checks_passed=80, checks_warned=["a"])
    assert checks_line(outcome, planned=81) == "Checks: 80 passed, 1 warned, 0 failed"
    assert checks_line(outcome, planned=82).startswith("Checks: 80 passed, 1 warned, 0 failed, 1 waiting for a run of")
    assert checks_line(replace(outcome, is_success=False), planned=82) == "Checks: 80 passed, 1 warned, 0 failed"


# Regression: who had brought data of their own was told to simulate, which is then refused.
def test_the_next_step_fits_the_source() -> None:
    assert "warehouse simulate" in next_step(is_success=True, is_simulated=True)
    own = next_step(is_success=True, is_simulated=False)
    assert "simulate" not in own
    assert "`warehouse run` again when your source has new data" in own
    assert next_step(is_success=False, is_simulated=True).startswith("Next: mend what is named above")


def test_scores_are_told_beside_their_baselines_and_without_what_was_not_measured() -> None:
    churn = {"auc": 0.85, "ece": 0.013, "factor_score": {"auc": 0.816}, "logistic": None, "auc_se": 0.02}
    assert scores_in_words(churn) == "AUC 0.850 (eight factors 0.816), calibration error 0.013"
    forecast = {"mase": 0.5, "mase_seasonal_naive": None, "coverage": None, "series": 7, "seconds": 3.2}
    assert scores_in_words(forecast) == "MASE 0.500, 7 series"
    assert scores_in_words({}) == ""
