"""The parts under fit_predict: folds, blend, calibration, metrics, encoding."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from warehouse_assets.churn import cells, encode, ensemble
from warehouse_assets.churn.calibrate import Calibration, expit, fit_calibration, log_losses, logit
from warehouse_assets.churn.ensemble import Ensemble, blend_weights
from warehouse_assets.churn.folds import plan_folds
from warehouse_assets.churn.learners import fit_linear_path, fit_slope
from warehouse_assets.churn.metrics import auc, average_precision, calibration_error, lift, metrics


def panel(groups: int = 60, months: int = 5, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Rows of groups that each have their own level, which names the group; labels follow x."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(groups), months)
    frame = pd.DataFrame({"x": rng.normal(size=len(group)), "level": rng.normal(size=groups)[group]})
    label = (rng.random(len(group)) < expit(frame["x"].to_numpy() * 1.5 - 1)).astype(float)
    return frame, label, group


def test_folds_hold_out_every_row_and_part_no_group() -> None:
    _, label, group = panel()
    plan = plan_folds(label, group, 5)
    held = np.concatenate([rows for _, rows in plan])
    repeats = len(held) // len(label)
    assert np.array_equal(np.bincount(held), np.full(len(label), repeats))
    for train, test in plan:
        assert not set(group[train]) & set(group[test])
        assert 0 < label[train].sum() < len(train)


def test_all_cases_in_one_group_still_holds_out_every_row() -> None:
    group = np.repeat(np.arange(30), 10)
    label = (group == 4).astype(float)
    plan = plan_folds(label, group, 5)
    assert set(np.concatenate([rows for _, rows in plan])) == set(range(300))


def test_a_choice_is_kept_and_one_of_another_size_is_not() -> None:
    frame, label, group = panel(64)
    first = ensemble.fit(frame, label, group)
    again = ensemble.fit(frame, label, group, choice=first.choice)
    assert again.choice == first.choice
    small = ensemble.fit(frame[:150], label[:150], group[:150], choice=first.choice)
    assert len(small.choice.rounds) == 2


def test_text_form_is_exact() -> None:
    frame, label, _ = panel()
    frame["place"] = [f"p{i % 40}" for i in range(len(frame))]
    fitted = ensemble.fit(frame, label)
    again = Ensemble.from_json(json.loads(json.dumps(fitted.to_json())))
    np.testing.assert_array_equal(again.predict(frame), fitted.predict(frame))
    pd.testing.assert_frame_equal(again.contributions(frame), fitted.contributions(frame))


def test_blend_finds_the_better_learner() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=4000)
    label = (rng.random(4000) < expit(truth)).astype(float)
    scores = np.vstack([truth, rng.normal(size=4000) * 3, np.zeros(4000)])
    weights = blend_weights(scores, label)
    assert weights.sum() == pytest.approx(1)
    assert weights[0] >= 0.9


def test_blend_of_few_cases_leaves_more_than_one_learner_in() -> None:
    # Regression: of 30 rows the luckiest blend was taken, though others were as likely.
    rng = np.random.default_rng(1)
    truth = rng.normal(size=30)
    label = (rng.random(30) < expit(truth)).astype(float)
    scores = np.vstack([truth + rng.normal(0, 0.3, 30), truth + rng.normal(0, 0.3, 30), np.zeros(30)])
    weights = blend_weights(scores, label)
    assert weights.sum() == pytest.approx(1)
    assert (weights * 10 == np.round(weights * 10)).all()
    assert (weights[:2] >= 0.2).all()
    # a case told in three rows is no more than one
    np.testing.assert_array_equal(blend_weights(np.tile(scores, 3), np.tile(label, 3), 3.0), weights)


def test_known_score_carries_what_few_cases_cannot_teach() -> None:
    # Regression: on a small company the blend ranked below the score that was known beforehand.
    rng = np.random.default_rng(6)
    frame = pd.DataFrame(rng.uniform(0, 100, (1200, 30)), columns=[f"x{i}" for i in range(30)])
    points = {f"x{i}": 0.125 for i in range(8)}
    truth = frame[list(points)].to_numpy() @ np.asarray(list(points.values()))
    label = (rng.random(1200) < expit((truth - 65) / 7)).astype(float)
    plain = ensemble.fit(frame[:200], label[:200])
    helped = ensemble.fit(frame[:200], label[:200], known_score=points)
    assert helped.shares()["known_score"] >= 0.5
    assert auc(label[200:], helped.predict(frame[200:])) > auc(label[200:], plain.predict(frame[200:])) + 0.02
    # reasons add up to the log-odds before calibration, and the text form is exact
    raw = replace(helped, calibration=Calibration())
    base = raw.log_odds(frame) - raw.contributions(frame).sum(axis=1).to_numpy()
    np.testing.assert_allclose(base, base[0], atol=1e-6)
    again = Ensemble.from_json(json.loads(json.dumps(helped.to_json())))
    np.testing.assert_array_equal(again.predict(frame), helped.predict(frame))


def test_known_score_of_no_use_is_left_out() -> None:
    frame, label, group = panel(120)
    frame["noise"], frame["same"] = np.random.default_rng(3).uniform(0, 100, len(frame)), 7.0
    fitted = ensemble.fit(frame, label, group, known_score={"noise": 1.0, "same": 1.0})
    assert fitted.shares().get("known_score", 0.0) <= 0.1
    assert list(fitted.known_score) == ["noise"]
    # higher where fewer leave says nothing, not the opposite
    assert fit_slope(-frame[["x"]].to_numpy(), np.ones(1), label).coefficients.tolist() == [0.0]
    assert fit_slope(frame[["x"]].to_numpy(), np.ones(1), label).coefficients[0] > 0


# method → how true log-odds are bent into the ones the model gives
BENT = {
    "too sure": lambda x: 2.5 * x,
    "too shy": lambda x: 0.4 * x - 1,
    "bent at one end": lambda x: np.where(x > 0, 4 * x, x),
    "steps": lambda x: np.round(x * 1.5) * 2,
}


@pytest.mark.parametrize("name", BENT)
def test_calibration_straightens(name: str) -> None:
    rng = np.random.default_rng(1)
    truth = rng.normal(-0.5, 1.2, 8000)
    label = (rng.random(8000) < expit(truth)).astype(float)
    raw = BENT[name](truth)
    fitted = fit_calibration(raw[:4000], label[:4000])
    assert fitted.method != "identity"
    again = Calibration.from_json(json.loads(json.dumps(fitted.to_json())))
    straight = again.apply(raw[4000:])
    assert calibration_error(label[4000:], expit(straight)) < 0.03
    assert log_losses(straight, label[4000:]).mean() < log_losses(raw[4000:], label[4000:]).mean()
    order = np.argsort(raw[4000:], kind="stable")
    assert (np.diff(straight[order]) >= -1e-12).all()


# Regression: 24 rows of a customer counted as 24 customers, and a quarter of calibrated scores got another map.
def test_calibration_counts_customers_and_not_their_months() -> None:
    bent = {"rows": 0, "customers": 0}
    for seed in range(12):
        rng = np.random.default_rng(seed)
        customer = np.repeat(np.arange(300), 18)
        truth = rng.normal(-2.5, 1.0, 300)[customer]
        label = (rng.random(300) < expit(truth[::18])).astype(float)[customer]  # months of a customer end alike
        bent["rows"] += fit_calibration(truth, label).method != "identity"
        bent["customers"] += fit_calibration(truth, label, customer).method != "identity"
    assert bent["rows"] >= 6
    assert bent["customers"] <= 2


def test_calibration_leaves_a_calibrated_model_alone() -> None:
    rng = np.random.default_rng(2)
    truth = rng.normal(-1, 1, 5000)
    label = (rng.random(5000) < expit(truth)).astype(float)
    straight = fit_calibration(truth, label).apply(truth)
    assert np.abs(expit(straight) - expit(truth)).mean() < 0.02
    assert fit_calibration(truth[:30], label[:30]) == Calibration()


def test_logit_and_expit_are_inverse() -> None:
    p = np.asarray([1e-9, 0.001, 0.5, 0.999])
    np.testing.assert_allclose(expit(logit(p)), p, rtol=1e-6)


def test_linear_path_agrees_with_scikit_learn() -> None:
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(4)
    matrix = rng.normal(size=(500, 6))
    label = (rng.random(500) < expit(matrix[:, 0] - matrix[:, 1] - 0.5)).astype(float)
    for penalty, model in zip((50.0, 2.0), fit_linear_path(matrix, label, (50.0, 2.0)), strict=True):
        known = LogisticRegression(C=1 / penalty, tol=1e-8, max_iter=1000).fit(matrix - matrix.mean(axis=0), label)
        np.testing.assert_allclose(model.coefficients, known.coef_[0], atol=2e-3)
        total = model.contributions(matrix).sum(axis=1)
        np.testing.assert_allclose(total, model.predict(matrix), atol=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_metrics_agree_with_scikit_learn(seed: int) -> None:
    from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

    rng = np.random.default_rng(seed)
    label = (rng.random(300) < 0.2).astype(float)
    score = np.round(rng.random(300), 1 + seed % 2)  # with ties
    score = np.clip(score, 0.01, 0.99)
    found = metrics(label, score)
    assert found["auc"] == pytest.approx(roc_auc_score(label, score))
    assert found["pr_auc"] == pytest.approx(average_precision_score(label, score))
    assert found["brier"] == pytest.approx(brier_score_loss(label, score))
    assert found["log_loss"] == pytest.approx(log_loss(label, score))


def test_metrics_by_hand() -> None:
    label = [1, 0, 0, 1, 0, 0, 0, 0, 0, 0]
    assert lift(label, [0.9, 0, 0, 0.8, 0, 0, 0, 0, 0, 0]) == pytest.approx(5.0)
    assert lift(label, [0.5] * 10) == pytest.approx(1.0)
    assert calibration_error([0, 0, 1, 1], [0.1, 0.1, 0.6, 0.6], bins=2) == pytest.approx(0.25)
    for single in ([0] * 5, [1] * 5):
        assert np.isnan(auc(single, range(5)))
        assert np.isnan(average_precision(single, range(5)))
        assert np.isnan(lift(single, range(5)))


# column → what it is taken for
KINDS = [
    ("tenure", [1, 2, 3, None] * 30, "number"),
    ("total", ["1.5", "20", " ", "3e2"] * 30, "number"),
    ("total", ["1.5", "20", "N/A", "null"] * 30, "number"),
    ("signed", ["2024-01-31", "", "?", "2024-02-01"] * 30, "datetime"),
    # Regression: amounts of money and shares were categories, and left out where each row has its own.
    ("charge", [f"${number:,}.50" for number in range(900, 1020)], "number"),
    ("share", ["12%", "-3.5 ", None, "100%"] * 30, "number"),
    ("decimal comma", ["1,5", "10,25", "3,75"] * 40, "category"),
    ("words", ["", " ", "?", "unknown"] * 30, "category"),
    ("plan", ["a", "b", None, "c"] * 30, "category"),
    ("zip", ["01234", "A1", "B2", "C3"] * 30, "category"),
    ("joined", ["2024-01-31", "31/12/2023", None, "2024-02-01 10:00"] * 30, "datetime"),
    ("expires", [20170331, 20161201] * 60, "datetime"),
    ("mileage", [20170331, 99] * 60, "number"),
    ("customer_id", list(range(120)), "ignored"),
    ("CustomerId", list(range(120)), "ignored"),
    ("customerID", list(range(120)), "ignored"),
    ("userid", list(range(120)), "ignored"),
    ("CLIENTNUM", list(range(120)), "ignored"),
    ("RowNumber", list(range(120)), "ignored"),
    ("account no", list(range(120)), "ignored"),
    # Regression: names that merely end in the letters id or num were taken for identifiers.
    ("amount_paid", list(range(120)), "number"),
    ("total_paid", list(range(120)), "number"),
    ("highestBid", list(range(120)), "number"),
    ("TOTAL_PAID", list(range(120)), "number"),
    ("prepaid", list(range(120)), "number"),
    ("distance", list(range(120)), "number"),
    ("email", [f"{i}@example.com" for i in range(120)], "ignored"),
    ("same", ["x"] * 120, "ignored"),
    ("sometimes", ["x", None] * 60, "category"),
    ("never", [None] * 120, "ignored"),
]


def test_amounts_are_read_as_written() -> None:
    texts = pd.Series(["$1,234.50", "-€3", "12%", "1234", "1,23", "12 lifts", None, "$"])
    np.testing.assert_array_equal(cells.as_numbers(texts), [1234.5, -3, 12, 1234, np.nan, np.nan, np.nan, np.nan])


@pytest.mark.parametrize(("name", "values", "kind"), KINDS)
def test_what_a_column_is_taken_for(name: str, values: list[object], kind: str) -> None:
    (column,) = encode.learn_columns(pd.DataFrame({name: pd.Series(values)}))
    assert column.kind == kind
    assert encode.columns_from_json(json.loads(json.dumps(encode.columns_to_json((column,))))) == (column,)
