"""The Great Expectations adapter: verdicts that name the rows, severities that mean something."""

import pandas as pd
import pytest


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return pd.DataFrame({"customer_id": ["a", "b", "c", "c"], "mrr_usd": [10.0, 20.0, -5.0, None]})


def test_a_broken_rule_names_its_rows(frame: pd.DataFrame) -> None:
    from great_expectations import expectations as gxe

    from warehouse_assets.quality.expectations import as_check_result, judge_frame

    verdict = judge_frame(
        frame,
        [
            gxe.ExpectColumnValuesToBeBetween(column="mrr_usd", min_value=0),
            gxe.ExpectColumnValuesToBeUnique(column="customer_id"),
            gxe.ExpectColumnValuesToNotBeNull(column="customer_id"),
        ],
        ["customer_id"],
    )
    assert verdict.has_errors
    assert {rule.rows for rule in verdict.broken} == {1, 2}
    result = as_check_result(verdict)
    assert not result.passed
    assert "customer_id=c" in str(result.description)


def test_a_warning_shows_but_does_not_fail_the_frame(frame: pd.DataFrame) -> None:
    from dagster import AssetCheckSeverity
    from great_expectations import expectations as gxe

    from warehouse_assets.quality.expectations import as_check_result, judge_frame

    verdict = judge_frame(
        frame, [gxe.ExpectColumnValuesToNotBeNull(column="mrr_usd", severity="warning")], ["customer_id"]
    )
    assert not verdict.has_errors
    assert [rule.severity for rule in verdict.broken] == ["warning"]
    assert as_check_result(verdict).severity is AssetCheckSeverity.WARN


def test_a_missing_column_is_an_error_not_a_pass(frame: pd.DataFrame) -> None:
    from great_expectations import expectations as gxe

    from warehouse_assets.quality.expectations import judge_frame

    verdict = judge_frame(frame, [gxe.ExpectColumnValuesToNotBeNull(column="gone")], ["customer_id"])
    assert verdict.has_errors
    # Regression: it was "broken by 0 rows", without the reason.
    assert "gone column values to not be null could not be judged:" in verdict.broken[0].sentence
    assert '"gone" in BatchData does not exist' in verdict.broken[0].sentence
