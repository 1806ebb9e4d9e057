"""The warehouse's churn model on simulated customer-months: split, leakage, artifact, reasons, factors."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from customer_months import customer_months, latest

from warehouse_assets.churn import training
from warehouse_assets.churn.checks import quality_problems
from warehouse_assets.churn.factors import FACTORS, factor_scores
from warehouse_assets.churn.reasons import (
    ACTIONS,
    FEWEST_REASONS,
    GENERAL_ACTION,
    MOST_REASONS,
    NO_ACTION,
    TITLES,
    factor_contributions,
    risk_tier,
    suggested_action,
)
from warehouse_assets.errors import UserError
from warehouse_assets.settings import DBT_PROJECT_DIR


@pytest.fixture(scope="module")
def months() -> pd.DataFrame:
    return customer_months()


@pytest.fixture(scope="module")
def model(months: pd.DataFrame) -> training.ChurnModel:
    return training.train(months)


def test_split_leaves_ninety_days_between(months: pd.DataFrame) -> None:
    known = training.labelled(months)
    split = training.split_by_time(known)
    assert split.kind == "time"
    last_window_ends = known["month"].iloc[split.train].max() + pd.Timedelta(days=90)
    assert last_window_ends <= known["month"].iloc[split.test].min()
    assert known["month"].iloc[split.test].nunique() == 3
    assert known["month"].iloc[split.test].max() == known["month"].max()


def test_short_history_holds_customers_back() -> None:
    known = training.labelled(customer_months(months=6))
    assert known["month"].nunique() == 3
    split = training.split_by_time(known)
    assert split.kind == "customers"
    assert not set(known["customer_id"].iloc[split.train]) & set(known["customer_id"].iloc[split.test])


def test_metrics_stand_beside_factor_score_and_logistic(model: training.ChurnModel) -> None:
    for scores in (model.metrics, model.metrics["factor_score"], model.metrics["logistic"]):
        assert {"auc", "pr_auc", "lift_top_decile", "brier", "ece"} <= set(scores)
    assert model.metrics["auc"] > 0.65
    assert sum(float(share.split("%")[0]) for share in model.metrics["blend"].split(", ")) == pytest.approx(100)
    assert "eight factors" in model.metrics["blend"]
    assert model.metrics["test_churners"] >= training.FEWEST_CHURNERS_TESTED
    assert model.features[0] == training.Feature("service_type", "text")
    assert not {feature.name for feature in model.features} & training.NOT_FEATURES


def test_what_the_source_keeps_of_today_alone_is_neither_feature_nor_factor(months: pd.DataFrame) -> None:
    # Regression: a company that ends auto-renewal and discounts when notice comes had told the label of past months.
    leaves = months["is_churned_90d"].fillna(False)
    told = months.assign(is_auto_renew=~leaves, discount_ratio=leaves.astype(float), days_to_agreement_end=30.0)
    untold = told.drop(columns=["is_auto_renew", "discount_ratio"])
    assert training.describe(told) == training.describe(untold)
    pd.testing.assert_frame_equal(factor_scores(told), factor_scores(untold))


def test_months_whose_label_is_not_known_teach_nothing(months: pd.DataFrame, model: training.ChurnModel) -> None:
    moved = months.copy()
    unknown = moved["is_churned_90d"].isna()
    assert unknown.any()
    moved.loc[unknown, "missed_pickups_90d"] = np.random.default_rng(1).poisson(30, int(unknown.sum()))
    moved.loc[unknown, "service_type"] = "unheard of"
    more = customer_months(seed=9)[lambda frame: frame["is_churned_90d"].isna()]
    after = training.train(pd.concat([moved, more], ignore_index=True).sample(frac=1.0, random_state=3))
    assert after.parameters["data_hash"] == model.parameters["data_hash"]
    today = latest(months)
    expected = training.score(model, today)["churn_probability"]
    np.testing.assert_allclose(training.score(after, today)["churn_probability"], expected, rtol=0, atol=1e-12)
    # and the past does matter
    past = months.assign(missed_pickups_90d=months["missed_pickups_90d"].to_numpy()[::-1])
    assert training.data_hash(past) != model.parameters["data_hash"]


def test_text_form_scores_alike_and_holds_no_pickle(model: training.ChurnModel, months: pd.DataFrame) -> None:
    text = model.to_text()
    item = json.loads(text)
    assert item["ensemble"]["folds"][0]["linear"]["coefficients"]
    again = training.ChurnModel.from_text(text)
    expected, found = training.score(model, latest(months)), training.score(again, latest(months))
    pd.testing.assert_frame_equal(found, expected)
    with pytest.raises(UserError, match="format 99"):
        training.ChurnModel.from_text(json.dumps({**item, "format": 99}))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: f.drop(columns="overdue_ratio"), "missing: overdue_ratio"),
        (lambda f: f.assign(surprise=1.0), "not known to the model: surprise"),
        (lambda f: f.assign(overdue_ratio="high"), "overdue_ratio is text, was number"),
        (lambda f: f[["service_type", *f.columns.drop("service_type")][::-1]], "another order"),
        (lambda f: f.drop(columns="month"), "lacks month"),
        (lambda f: pd.concat([f, f[["overdue_ratio"]]], axis=1), "more than one column named 'overdue_ratio'"),
    ],
)
def test_other_features_are_refused(model: training.ChurnModel, months: pd.DataFrame, change: Any, words: str) -> None:
    with pytest.raises(UserError, match=words):
        training.score(model, change(latest(months)))


def test_scores_name_reasons_tier_factors_and_action(model: training.ChurnModel, months: pd.DataFrame) -> None:
    today = latest(months).copy()
    scored = training.score(model, today)
    assert list(scored["customer_id"]) == list(today["customer_id"])
    assert scored["churn_probability"].between(0, 1).all()
    worst = scored.loc[scored["churn_probability"].idxmax()]
    assert FEWEST_REASONS <= len(worst["reasons"]) <= MOST_REASONS
    sizes = [abs(reason["contribution"]) for reason in worst["reasons"]]
    assert sizes == sorted(sizes, reverse=True)
    for reason in worst["reasons"]:
        assert (reason["contribution"] > 0) == (reason["direction"] == "raises")
        assert reason["text"].endswith(f"({reason['direction']} the risk)")
    assert set(worst["factors"]) == {factor.name for factor in FACTORS}
    json.dumps([scored["reasons"].tolist(), scored["factors"].tolist()], allow_nan=False)
    assert worst["risk_tier"] == risk_tier(worst["churn_probability"])


def test_contributions_add_up_to_the_log_odds(model: training.ChurnModel, months: pd.DataFrame) -> None:
    table = training.with_factors(latest(months), model.features)
    total = model.ensemble.contributions(table).sum(axis=1).to_numpy()
    # what is left over is the base, the same for every customer, once calibration is undone
    if model.ensemble.calibration.method == "identity":
        base = model.ensemble.log_odds(table) - total
        np.testing.assert_allclose(base, base[0], atol=1e-6)
    else:
        assert np.corrcoef(model.ensemble.log_odds(table), total)[0, 1] > 0.99


@pytest.mark.parametrize("rows", [0, 1, 40])
def test_too_little_says_so(months: pd.DataFrame, rows: int) -> None:
    reason = training.too_little(months.head(rows))
    assert reason is not None
    assert "300" in reason
    with pytest.raises(UserError, match="No model was trained"):
        training.train(months.head(rows))


def test_too_few_churners_says_so(months: pd.DataFrame) -> None:
    nobody = months.assign(is_churned_90d=months["is_churned_90d"].where(months["is_churned_90d"].isna(), False))
    assert "0 customers who left" in (training.too_little(nobody) or "")


def test_factor_weights_and_actions_are_complete() -> None:
    assert len(FACTORS) == 8
    assert sum(factor.weight for factor in FACTORS) == pytest.approx(1.0)
    assert set(ACTIONS) == {factor.name for factor in FACTORS}
    for factor in FACTORS:
        for rule in (*factor.rules, *factor.multipliers):
            values = [point[0] for point in rule.points]
            assert values == sorted(values)
        assert all(0 <= score <= 100 for rule in factor.rules for _, score in rule.points)


# column → (value, factor, score): read off the rules by hand
FACTOR_CASES = [
    ({"days_past_due_max": 30}, "payment_delinquency", 50),
    ({"days_past_due_max": 45}, "payment_delinquency", 65),
    ({"days_past_due_max": 4000}, "payment_delinquency", 100),
    ({"days_past_due_max": 30, "overdue_ratio": 1.0}, "payment_delinquency", 100),
    ({"missed_pickup_ratio_90d": 0.05}, "missed_pickups", 45),
    ({"complaints_90d": 2}, "complaints", 55),
    ({"satisfaction_avg_180d": 1.0}, "satisfaction", 100),
    ({"satisfaction_avg_180d": None}, "satisfaction", 0),
    ({"tons_change_90d_ratio": -0.5}, "volume_decline", 80),
    ({"tons_change_90d_ratio": 0.5}, "volume_decline", 0),
    ({"portal_sessions_change_90d_ratio": -1.0}, "engagement_decline", 90),
    ({"price_increase_365d_ratio": 0.1, "days_since_price_increase": 10}, "price_increase", 70),
    ({"price_increase_365d_ratio": 0.1, "days_since_price_increase": 365}, "price_increase", 21),
    ({"days_to_agreement_end": 30}, "agreement_expiry", 90),
]


@pytest.mark.parametrize(("values", "factor", "score"), FACTOR_CASES)
def test_factor_rules(values: dict[str, object], factor: str, score: float) -> None:
    found = factor_scores(pd.DataFrame([values]))
    assert found[factor].iloc[0] == pytest.approx(score)
    others = [other.name for other in FACTORS if other.name != factor]
    assert (found[others].iloc[0] == 0).all()
    weight = next(f.weight for f in FACTORS if f.name == factor)
    assert found["churn_score"].iloc[0] == pytest.approx(weight * score, abs=0.01)


@pytest.mark.parametrize(
    ("probability", "tier"),
    [(0.0, "low"), (0.0499, "low"), (0.05, "medium"), (0.2, "high"), (0.35, "critical"), (1, "critical")],
)
def test_risk_tiers(probability: float, tier: str) -> None:
    assert risk_tier(probability) == tier


def test_suggested_action_answers_the_factor_that_raises_the_risk_most() -> None:
    # Regression: the heaviest factor of the score decided, also where the reasons told beside it were others.
    both = {"missed_pickups": 100.0, "price_increase": 100.0}
    action = ACTIONS["price_increase"][0][1]
    assert suggested_action("high", both, {"missed_pickups": 0.2, "price_increase": 0.5}) == action
    assert suggested_action("high", {"satisfaction": 40.0}, {"satisfaction": 0.1}) == ACTIONS["satisfaction"][1][1]
    # one that lowers the risk, or whose score is below every rule, is passed over
    assert suggested_action("high", both, {"missed_pickups": -0.2, "price_increase": 0.1}) == action
    assert suggested_action("high", {**both, "complaints": 5.0}, {"complaints": 0.9, "price_increase": 0.1}) == action
    assert suggested_action("critical", both, {"missed_pickups": -0.2}) == GENERAL_ACTION
    assert suggested_action("low", {"payment_delinquency": 100.0}, {"payment_delinquency": 1.0}) == NO_ACTION


def test_what_a_factor_adds_is_its_own_share_and_that_of_the_columns_it_reads() -> None:
    features = {
        "overdue_ratio": [0.2],
        "payment_delinquency_factor": [0.3],
        "days_since_price_increase": [-0.1],
        "x": [9],
    }
    (row,) = factor_contributions(pd.DataFrame(features)).to_dict(orient="records")
    assert row["payment_delinquency"] == pytest.approx(0.5)
    assert row["price_increase"] == pytest.approx(-0.1)
    assert sum(abs(row[factor.name]) for factor in FACTORS) == pytest.approx(0.6)


def test_every_feature_has_a_title_for_its_reason() -> None:
    # Regression: two columns were told by their names, such as "Late invoice ratio 180d: 67%".
    models = yaml.safe_load((DBT_PROJECT_DIR / "models/features/_features.yml").read_text())["models"]
    columns = next(model["columns"] for model in models if model["name"] == "customer_month")
    assert {column["name"] for column in columns} - training.NOT_FEATURES - set(TITLES) == set()


# metrics → words of the problems
QUALITY = [
    ({"auc": 0.8, "ece": 0.01, "factor_score": {"auc": 0.7}, "logistic": {"auc": 0.75}}, []),
    ({"auc": 0.7, "ece": 0.01, "factor_score": {"auc": 0.75}, "logistic": {"auc": 0.6}}, ["eight-factor"]),
    ({"auc": 0.7, "ece": 0.2, "factor_score": {"auc": 0.6}, "logistic": {"auc": 0.75}}, ["logistic", "calibration"]),
    ({}, []),
]


@pytest.mark.parametrize(("metrics", "words"), QUALITY)
def test_quality_problems(metrics: dict[str, Any], words: list[str]) -> None:
    problems = quality_problems(metrics)
    assert len(problems) == len(words)
    assert all(word in problem for word, problem in zip(words, problems, strict=True))
