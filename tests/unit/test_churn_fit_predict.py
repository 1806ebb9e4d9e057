"""fit_predict on tables of every shape: it answers with probabilities, or with one clear sentence."""

import datetime
import decimal

import numpy as np
import pandas as pd
import pyarrow
import pytest
from scipy.sparse import csr_matrix

from warehouse_assets.churn.metrics import auc, calibration_error
from warehouse_assets.churn.model import fit_predict, read_label
from warehouse_assets.errors import UserError

ROWS = 240


def customers(rows: int = ROWS, seed: int = 0, rate: float = 0.3) -> tuple[pd.DataFrame, pd.Series, np.ndarray]:
    """A small churn table with the true probabilities beside it."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "tenure": rng.integers(0, 70, rows),
            "charge": rng.gamma(3, 20, rows),
            "contract": rng.choice(["monthly", "yearly", "two years"], rows),
            "paperless": rng.random(rows) < 0.5,
        }
    )
    score = 1.5 * (frame["contract"] == "monthly") - 0.04 * frame["tenure"] + 0.02 * frame["charge"]
    truth = 1 / (1 + np.exp(-(score - np.quantile(score, 1 - rate)) * 1.5))
    return frame, pd.Series((rng.random(rows) < truth).astype(int)), np.asarray(truth)


def assert_probabilities(found: np.ndarray, rows: int) -> None:
    assert isinstance(found, np.ndarray)
    assert found.dtype == np.float64
    assert found.shape == (rows,)
    assert np.isfinite(found).all()
    assert ((found >= 0) & (found <= 1)).all()


def test_ranks_and_is_calibrated() -> None:
    frame, label, _ = customers(2600)
    found = fit_predict(frame[:1600], label[:1600], frame[1600:])
    _, _, truth = customers(2600)
    assert auc(label[1600:], found) > auc(label[1600:], truth[1600:]) - 0.03
    assert np.abs(found - truth[1600:]).mean() < 0.06
    assert calibration_error(label[1600:], found) < 0.06


def test_same_input_same_output_whatever_the_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    frame, label, _ = customers()
    monkeypatch.setenv("WAREHOUSE_THREADS", "1")
    first = fit_predict(frame[:200], label[:200], frame[200:])
    monkeypatch.setenv("WAREHOUSE_THREADS", "2")
    np.testing.assert_allclose(fit_predict(frame[:200], label[:200], frame[200:]), first, rtol=0, atol=1e-9)


# name → (values of the extra column in training, values of it in the table to score)
ODD_COLUMNS = {
    "all null": (lambda n: [None] * n, lambda n: [None] * n),
    "all null, then values": (lambda n: [np.nan] * n, lambda n: list(range(n))),
    "constant": (lambda n: ["x"] * n, lambda n: ["x"] * n),
    "constant, then others": (lambda n: [1] * n, lambda n: list(range(n))),
    "ids": (lambda n: [f"id-{i}" for i in range(n)], lambda n: [f"id-{i}" for i in range(n, 2 * n)]),
    "unseen categories": (lambda n: ["a", "b"] * (n // 2), lambda n: ["c"] * n),
    "many categories": (lambda n: [f"s{i % 60}" for i in range(n)], lambda n: [f"s{i % 90}" for i in range(n)]),
    "infinite": (lambda n: [np.inf, -np.inf, 1.0, 2.0] * (n // 4), lambda n: [np.inf, -np.inf] * (n // 2)),
    "only infinite": (lambda n: [np.inf] * n, lambda n: [-np.inf] * n),
    "huge": (lambda n: [1e308, -1e308, 0.0, 1e-308] * (n // 4), lambda n: [1e308] * n),
    "numbers as text": (lambda n: [" 1.5", "2", "", "3"] * (n // 4), lambda n: ["4", " "] * (n // 2)),
    "number, then text": (lambda n: list(range(n)), lambda n: ["?"] * n),
    "text, then number": (lambda n: ["a", "b"] * (n // 2), lambda n: list(range(n))),
    "mixed kinds": (lambda n: [1, "one", None, 2.5] * (n // 4), lambda n: [datetime.date(2026, 1, 1), "x"] * (n // 2)),
    "lists": (lambda n: [[1], [2]] * (n // 2), lambda n: [{"a": 1}, None] * (n // 2)),
    "booleans with nulls": (lambda n: [True, None] * (n // 2), lambda n: [False, None] * (n // 2)),
    "decimals": (lambda n: [decimal.Decimal("1.5"), None] * (n // 2), lambda n: [decimal.Decimal(2)] * n),
    # Regression: pandas gave fewer numbers than there were rows.
    "Arrow decimals": (
        lambda n: pd.array([decimal.Decimal("1.5"), None] * (n // 2), pd.ArrowDtype(pyarrow.decimal128(5, 2))),
        lambda n: pd.array([None, decimal.Decimal(2)] * (n // 2), pd.ArrowDtype(pyarrow.decimal128(5, 2))),
    ),
    "Arrow integers": (
        lambda n: pd.array([1, None] * (n // 2), pd.ArrowDtype(pyarrow.int64())),
        lambda n: pd.array([None] * n, pd.ArrowDtype(pyarrow.int64())),
    ),
    "Arrow booleans": (
        lambda n: pd.array([True, None] * (n // 2), pd.ArrowDtype(pyarrow.bool_())),
        lambda n: pd.array([None] * n, pd.ArrowDtype(pyarrow.bool_())),
    ),
    "dates as text": (lambda n: ["2024-01-31", None] * (n // 2), lambda n: ["2025-02-28", "never"] * (n // 2)),
    "dates as numbers": (lambda n: [20170331, 20161201.0, None, 0] * (n // 4), lambda n: [20180101, -1] * (n // 2)),
    "dates written as numbers": (lambda n: [20170331, 20161201] * (n // 2), lambda n: [20180101, 99] * (n // 2)),
    "dates": (lambda n: [datetime.date(2024, 1, 1 + i % 28) for i in range(n)], lambda n: [None] * n),
    "times": (lambda n: pd.date_range("2024-01-01", periods=n, freq="h", tz="America/Chicago"), lambda n: [pd.NaT] * n),
    "times beyond nanoseconds": (lambda n: ["9999-12-31", "1000-01-01"] * (n // 2), lambda n: ["0001-01-01"] * n),
    "durations": (lambda n: pd.to_timedelta(np.arange(n), "D"), lambda n: pd.to_timedelta([None] * n)),
    "categories": (lambda n: pd.Categorical(["a", None] * (n // 2)), lambda n: pd.Categorical(["z"] * n)),
    "categories of numbers": (lambda n: pd.Categorical([3, 1, 2, 1] * (n // 4)), lambda n: pd.Categorical([7] * n)),
    "nullable integers": (lambda n: pd.array([1, None] * (n // 2), "Int64"), lambda n: pd.array([None] * n, "Int64")),
    "nullable booleans": (lambda n: pd.array([True, None] * (n // 2), "boolean"), lambda n: [None] * n),
    "complex": (lambda n: np.arange(n) * 1j, lambda n: np.arange(n) * (1 + 1j)),
    "periods": (lambda n: pd.period_range("2020-01", periods=n, freq="D"), lambda n: [None] * n),
    "quotes, commas, unicode": (lambda n: ['a"b', "c,d:[]{}", "é\n", "\x00"] * (n // 4), lambda n: ["日本"] * n),
}


@pytest.mark.parametrize("name", ODD_COLUMNS)
def test_odd_columns(name: str) -> None:
    make_train, make_test = ODD_COLUMNS[name]
    frame, label, _ = customers(120)
    train = frame[:80].assign(**{'odd "column", {with}': make_train(80)})
    test = frame[80:].assign(**{'odd "column", {with}': make_test(40)})
    assert_probabilities(fit_predict(train, label[:80], test), 40)


def test_a_column_of_ids_changes_nothing() -> None:
    frame, label, _ = customers()
    plain = fit_predict(frame[:200], label[:200], frame[200:])
    with_ids = frame.assign(account=[f"A-{number:05d}" for number in range(ROWS)], CustomerId=range(ROWS))
    np.testing.assert_array_equal(fit_predict(with_ids[:200], label[:200], with_ids[200:]), plain)


# what is given → (training, to score) from a frame
TABLES = {
    "arrays": lambda f: (f.to_numpy(), f.to_numpy()),
    "arrays of objects": lambda f: (f.to_numpy(dtype=object), f.to_numpy(dtype=object)),
    "named, then an array": lambda f: (f, f.to_numpy()),
    "an array, then named": lambda f: (f.to_numpy(), f),
    "columns": lambda f: (f.to_dict("list"), f.to_dict("list")),
    "rows": lambda f: (f.to_numpy().tolist(), f.to_numpy().tolist()),
    "records": lambda f: (f.to_dict("records"), f.to_records(index=False)),
    "Arrow": lambda f: (pyarrow.Table.from_pandas(f), pyarrow.Table.from_pandas(f)),
    "sparse": lambda f: (csr_matrix(f.to_numpy()), csr_matrix(f.to_numpy())),
}


@pytest.mark.parametrize("name", TABLES)
def test_whatever_pandas_makes_a_table_of(name: str) -> None:
    # Regression: an array had no `.loc`.
    frame, label, _ = customers(120)
    numbers = frame[["tenure", "charge"]].astype(float)
    train, test = TABLES[name](numbers)
    np.testing.assert_allclose(fit_predict(train, label, test), fit_predict(numbers, label, numbers), rtol=0, atol=1e-9)


def test_days_between_dates_are_seen() -> None:
    rng = np.random.default_rng(5)
    paid, days = rng.integers(0, 700, 900), rng.integers(0, 60, 900)
    start = pd.Timestamp("2015-01-01")
    expires = start + pd.to_timedelta(paid + days, "D")
    frame = pd.DataFrame(
        {
            "paid": (start + pd.to_timedelta(paid, "D")).strftime("%Y%m%d").astype(int),
            "expires": expires.strftime("%Y-%m-%d"),
        }
    )
    label = pd.Series(rng.random(900) < np.where(days < 20, 0.8, 0.1))
    found = fit_predict(frame[:600], label[:600], frame[600:])
    assert auc(label[600:], found) > 0.8


def test_column_and_row_order_and_index_do_not_matter() -> None:
    frame, label, _ = customers()
    plain = fit_predict(frame[:200], label[:200], frame[200:])
    shuffled = frame[200:][list(reversed(frame.columns))].assign(unknown="ignored")
    shuffled.index = pd.Index(["same"] * len(shuffled))
    odd = frame[:200].set_index(pd.MultiIndex.from_product([range(20), range(10)]))
    found = fit_predict(odd, label[:200].set_axis(range(900, 1100)), shuffled)
    np.testing.assert_allclose(found, plain, rtol=0, atol=1e-12)
    reverse = fit_predict(frame[:200], label[:200], frame[200:][::-1])
    np.testing.assert_allclose(reverse[::-1], plain, rtol=0, atol=1e-12)


@pytest.mark.parametrize("rows", [1, 2, 3, 10, 50])
def test_few_rows(rows: int) -> None:
    frame, label, _ = customers(rows + 20)
    assert_probabilities(fit_predict(frame[:rows], label[:rows], frame[rows:]), 20)


def test_strong_imbalance_keeps_the_base_rate() -> None:
    frame, label, _ = customers(3000, rate=0.01)
    rare = label.where(np.random.default_rng(1).random(3000) < 0.5, 0)
    assert 5 < rare[:2000].sum() < 80
    found = fit_predict(frame[:2000], rare[:2000], frame[2000:])
    assert_probabilities(found, 1000)
    assert found.mean() == pytest.approx(rare[:2000].mean(), rel=0.5)


def test_noise_gives_the_base_rate() -> None:
    rng = np.random.default_rng(3)
    frame = pd.DataFrame(rng.normal(size=(900, 12)), columns=[f"x{i}" for i in range(12)])
    label = pd.Series(rng.random(900) < 0.2)
    found = fit_predict(frame[:600], label[:600], frame[600:])
    assert found.std() < 0.06
    assert found.mean() == pytest.approx(label[:600].mean(), abs=0.05)


# label values → value that means "left"
LABELS = [
    ([0, 1], 1),
    ([1, 2], 2),
    ([-1, 1], 1),
    ([0.0, 1.0], 1.0),
    ([False, True], True),
    (["No", "Yes"], "Yes"),
    (["stayed", "Churned"], "Churned"),
    (["Existing Customer", "Attrited Customer"], "Attrited Customer"),
    # Regression: of these the first in the alphabet means left, and probabilities were those of staying.
    (["open", "closed"], "closed"),
    (["Non-churner", "Churner"], "Churner"),
    (["stay", "leave"], "leave"),
    (["renewed", "expired"], "expired"),
    (["loyal", "lapsed"], "lapsed"),
    # Regression: so it was of these, and of what is not renewed.
    (["Stay", "Exit"], "Exit"),
    (["stayed", "quit"], "quit"),
    (["renewed", "not renewed"], "not renewed"),
    (["Renewed", "Did not renew"], "Did not renew"),
    (["churned", "did not churn"], "churned"),
    (["not churned", "churned"], "churned"),
    (["Attrition", "Existing"], "Attrition"),
    ([0, "1"], "1"),
    # Regression: text numbers were compared as text, so that 9 was the greater.
    (["9", "10"], "10"),
    (["2", "10"], "10"),
    (["1", "2"], "2"),
    (["-1", "1"], "1"),
    ([b"2", b"10"], b"10"),
    (["class_9", "class_10"], "class_10"),
    # Regression: the greater text was taken, which was the one that stays.
    (["staying", "leaving"], "leaving"),
    (["paid", "default"], "default"),
    (["enabled", "disabled"], "disabled"),
    (["on", "off"], "off"),
    (["subscribed", "cancellation"], "cancellation"),
    (["retained", "beyond recall"], "beyond recall"),
    (["Active", "asleep"], "asleep"),
    (["False.", "True."], "True."),
    (["No churn", "Churn"], "Churn"),
    (["customer stayed", "customer left"], "customer left"),
    (["not_churned", "churned"], "churned"),
    (["a customer", "no longer a customer"], "no longer a customer"),
    (["good", "bad"], "bad"),
]


@pytest.mark.parametrize(("values", "positive"), LABELS)
def test_label_codes(values: list[object], positive: object) -> None:
    # whichever of the two is the rarer
    for raw in ([values[0], values[1], values[0], None], [values[0], values[1], values[1], None]):
        label, known = read_label(pd.Series(raw, dtype=object), 4)
        assert label.tolist() == [float(value == positive) for value in raw[:3]]
        assert known.tolist() == [True, True, True, False]


# labels that do not say which means left → the one taken
UNTOLD = [
    (["B", "B", "A"], "A"),
    (["A", "A", "B"], "B"),
    (["A", "B", "B", "A"], "B"),
    (["B", "A", "A", "B"], "B"),
    (["left", "closed", "left"], "closed"),
    (["nan", "inf", "nan"], "inf"),
    (["yes", "yes ", "yes"], "yes "),
]


@pytest.mark.parametrize(("values", "positive"), UNTOLD)
def test_of_two_texts_that_say_neither_the_rarer_is_taken_and_told(
    values: list[str], positive: str, caplog: pytest.LogCaptureFixture
) -> None:
    # Regression: the one later in the alphabet was taken without a word.
    label, _ = read_label(values, len(values))
    assert label.tolist() == [float(value == positive) for value in values]
    count = values.count(positive)
    assert f"the rarer, {positive!r} ({count} of {len(values)}), is taken" in caplog.text


def test_labels_that_say_it_are_taken_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    read_label(["yes", "no", "yes"], 3)
    read_label(["9", "10", "10"], 3)
    assert not caplog.text


@pytest.mark.parametrize(
    ("value", "rate"), [(0, 0.0), (1, 1.0), ("No", 0.0), ("Yes", 1.0), (False, 0.0), (True, 1.0), ("1.0", 1.0)]
)
def test_equal_labels_give_the_base_rate(value: object, rate: float) -> None:
    frame, _, _ = customers(60)
    found = fit_predict(frame[:40], pd.Series([value] * 40), frame[40:])
    np.testing.assert_allclose(found, rate, atol=1e-9)


def test_a_table_of_one_column_is_a_label() -> None:
    # Regression: pandas' own error about how a Series is made came through.
    label, _ = read_label(pd.DataFrame({"churn": ["no", "yes"]}), 2)
    assert label.tolist() == [0.0, 1.0]
    label, _ = read_label(np.array([[0], [1]]), 2)
    assert label.tolist() == [0.0, 1.0]


def test_rows_without_a_label_are_not_used() -> None:
    frame, label, _ = customers()
    hidden = label[:200].astype("Int64")
    hidden[150:200] = pd.NA
    found = fit_predict(frame[:200], hidden, frame[200:])
    np.testing.assert_array_equal(found, fit_predict(frame[:150], label[:150], frame[200:]))


def test_nothing_to_score_and_nothing_to_learn_from() -> None:
    frame, label, _ = customers(60)
    assert fit_predict(frame, label, frame[:0]).shape == (0,)
    found = fit_predict(frame[[]], label, frame[[]])
    np.testing.assert_allclose(found, label.mean())


# what is wrong → (arguments of fit_predict, words of the sentence)
FRAME, LABEL, _ = customers(40)
BAD = {
    "duplicate names in training": ((pd.concat([FRAME, FRAME[["tenure"]]], axis=1), LABEL, FRAME), "'tenure'"),
    "duplicate names in scoring": ((FRAME, LABEL, pd.concat([FRAME, FRAME[["tenure"]]], axis=1)), "'tenure'"),
    "missing column": ((FRAME, LABEL, FRAME.drop(columns="charge")), "charge"),
    "a table of labels": ((FRAME, pd.DataFrame({"churn": LABEL, "since": LABEL}), FRAME), "one column"),
    "lengths": ((FRAME, LABEL[:10], FRAME), "10 rows"),
    "three classes": ((FRAME, pd.Series([0, 1, 2, 3] * 10), FRAME), "4 different values"),
    "no label": ((FRAME, pd.Series([None] * 40), FRAME), "No row has a label"),
    "no table": (("churn.csv", LABEL, FRAME), "training features are no table"),
    "a cube": ((FRAME, LABEL, np.zeros((2, 2, 2))), "features to score are no table"),
    "an array of another width": ((FRAME, LABEL, np.zeros((5, 2))), "lacks 4"),
    "labels in no order": ((FRAME, set(LABEL), FRAME), "label"),
    "labels that are no values": ((FRAME, [{"left": value} for value in LABEL], FRAME), "label is no column"),
    "a cube of labels": ((FRAME, np.zeros((40, 1, 1)), FRAME), "label"),
    "no rows": ((FRAME[:0], LABEL[:0], FRAME), "No row has a label"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_sentence(name: str) -> None:
    arguments, words = BAD[name]
    with pytest.raises(UserError, match=words):
        fit_predict(*arguments)
