"""The warehouse's churn model: trained on customer-months split by time, kept as text, used to score the latest month.

Frames in, a model or a frame of scores out. No database and no Dagster belong here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np

from warehouse_assets.churn import encode, ensemble
from warehouse_assets.churn.calibrate import expit
from warehouse_assets.churn.factors import FACTOR_SUFFIX, FACTORS, factor_scores
from warehouse_assets.churn.folds import SEED
from warehouse_assets.churn.learners import fit_linear_path
from warehouse_assets.churn.metrics import metrics
from warehouse_assets.churn.reasons import factor_contributions, reasons_of, risk_tier, suggested_action
from warehouse_assets.errors import UserError

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

CUSTOMER, MONTH, LABEL = "customer_id", "month", "is_churned_90d"
KEYS = (CUSTOMER, MONTH, LABEL)
# Columns that say something of the row, nothing of the customer; and three that hold today's value of the source in
# every past month: a company that ends auto-renewal or a discount, or shortens terms, at notice would tell the label.
NOT_FEATURES = frozenset({*KEYS, "is_current", "is_auto_renew", "discount_ratio", "payment_terms_days"})
WINDOW_DAYS = 90

# Below these a churn model says nothing that the eight factors do not: about ten cases per usable effect
# (Peduzzi 1996), two effects, and enough rows that the probabilities can be checked at all.
FEWEST_ROWS = 300
FEWEST_CHURNERS = 20
FEWEST_CHURNERS_TESTED = 5
FORMAT = 2
# The churn score as a learner of the blend: what each factor's column counts for in it.
FACTOR_WEIGHTS = {f"{factor.name}{FACTOR_SUFFIX}": factor.weight for factor in FACTORS}


@dataclass(frozen=True)
class Feature:
    """A feature as the model takes it: its name and whether it is a number, boolean, date or text."""

    name: str
    dtype: str


@dataclass(frozen=True)
class ChurnModel:
    """A trained model with everything needed to score again; ``metrics`` are of months it was not trained on."""

    features: tuple[Feature, ...]
    ensemble: ensemble.Ensemble
    metrics: dict[str, Any]
    parameters: dict[str, Any]
    data_from: date
    data_to: date

    def to_text(self) -> str:
        """The model as JSON text: LightGBM's own text format inside, no pickles. Metrics are stored beside it."""
        return json.dumps(
            {
                "format": FORMAT,
                "features": [{"name": feature.name, "dtype": feature.dtype} for feature in self.features],
                "ensemble": self.ensemble.to_json(),
                "parameters": self.parameters,
                "data_from": self.data_from.isoformat(),
                "data_to": self.data_to.isoformat(),
            }
        )

    @classmethod
    def from_text(cls, text: str) -> ChurnModel:
        """The inverse of `to_text`, without the metrics.

        Raises:
            UserError: the text is of another format.
        """
        item = json.loads(text)
        if item.get("format") != FORMAT:
            raise UserError(f"The stored churn model has format {item.get('format')!r}, not {FORMAT}; train it again.")
        return cls(
            tuple(Feature(**feature) for feature in item["features"]),
            ensemble.Ensemble.from_json(item["ensemble"]),
            {},
            item["parameters"],
            date.fromisoformat(item["data_from"]),
            date.fromisoformat(item["data_to"]),
        )


@dataclass(frozen=True)
class Split:
    """Rows to fit and rows to judge on (positions in the labelled frame), and how they were parted."""

    train: NDArray[np.intp]
    test: NDArray[np.intp]
    kind: str


def labelled(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows whose label window is complete, by month and customer, so that row order never matters."""
    known = frame[frame[LABEL].notna()]
    return known.sort_values([MONTH, CUSTOMER], kind="stable", ignore_index=True)


def too_little(frame: pd.DataFrame) -> str | None:
    """Why ``frame`` (rows of `features.customer_month`) is too little to train on; None if it is enough."""
    known = labelled(frame)
    churners = known.loc[known[LABEL].astype(bool), CUSTOMER].nunique() if len(known) else 0
    if len(known) < FEWEST_ROWS or churners < FEWEST_CHURNERS:
        return (
            f"{len(known)} customer-months have a complete 90-day label window, "
            f"with {churners} customer{'s' * (churners != 1)} who left; "
            f"a churn model needs at least {FEWEST_ROWS} and {FEWEST_CHURNERS}. No model was trained."
        )
    split = split_by_time(known)
    left = known[LABEL].to_numpy(dtype=bool)
    if left[split.test].sum() < FEWEST_CHURNERS_TESTED or left[split.test].all():
        return (
            f"The {len(split.test)} customer-months held back for testing have {int(left[split.test].sum())} churners; "
            f"at least {FEWEST_CHURNERS_TESTED} are needed to judge a model. No model was trained."
        )
    return None


def split_by_time(known: pd.DataFrame) -> Split:
    """Test on the last labelled months, train on months whose label window ends before the first of them.

    The 90 days between are left out: their labels overlap the test months. With a history too short for that (fewer
    than five labelled months) 30% of the customers are held back instead.
    """
    import pandas as pd

    months = pd.to_datetime(known[MONTH])
    distinct = np.sort(months.unique())
    if len(distinct) >= 5:
        tested = 3 if len(distinct) >= 9 else 2 if len(distinct) >= 7 else 1
        first = pd.Timestamp(distinct[-tested])
        train = np.flatnonzero(months + pd.Timedelta(days=WINDOW_DAYS) <= first)
        label = known[LABEL].to_numpy(dtype=bool)
        if label[train].sum() >= FEWEST_CHURNERS // 2:
            return Split(train, np.flatnonzero(months >= first), "time")
    customers = np.sort(known[CUSTOMER].unique())
    held = np.random.default_rng(11).permutation(len(customers))[: round(0.3 * len(customers))]
    is_held = known[CUSTOMER].isin(customers[held]).to_numpy()
    return Split(np.flatnonzero(~is_held), np.flatnonzero(is_held), "customers")


def train(frame: pd.DataFrame) -> ChurnModel:
    """Train on customer-months, judge on the last labelled months, then fit again on all labelled months.

    Args:
        frame: one row per customer and month: `customer_id`, `month` (first of month), `is_churned_90d` (null
            where the 90 days after are not over) and any feature columns.

    Returns:
        The model fitted on all labelled months, the same for the same frame; its metrics are those of the same recipe
        fitted on the training months alone, on test months it had not seen, beside the eight-factor score and a
        logistic regression.

    Raises:
        UserError: a key column is missing, or there is too little to train on.
    """
    import pandas as pd

    require_keys(frame)
    if reason := too_little(frame):
        raise UserError(reason)
    known = labelled(frame)
    features = describe(known)
    table = with_factors(known, features)
    label = known[LABEL].to_numpy(dtype=float)
    customers = known[CUSTOMER].to_numpy()
    split = split_by_time(known)

    judged = ensemble.fit(
        table.iloc[split.train], label[split.train], customers[split.train], known_score=FACTOR_WEIGHTS
    )
    probability = judged.predict(table.iloc[split.test])
    scores: dict[str, Any] = {
        **_judge(label[split.test], probability),
        "factor_score": _judge(label[split.test], _factor_baseline(table, label, split)),
        "logistic": _judge(label[split.test], _logistic_baseline(table, label, split)),
        "blend": blend_in_words(judged),
        "test_rows": len(split.test),
        "test_churners": int(label[split.test].sum()),
        "train_rows": len(split.train),
        "split": split.kind,
        "test_from": str(pd.Timestamp(known[MONTH].iloc[split.test].min()).date()),
    }
    # what a guard compares: some months are harder than others, for every model
    scores["auc_over_factors"] = scores["auc"] - scores["factor_score"]["auc"]
    fitted = ensemble.fit(table, label, customers, judged.choice if judged.folds else None, FACTOR_WEIGHTS)
    months = pd.to_datetime(known[MONTH])
    return ChurnModel(
        features,
        fitted,
        scores,
        {
            "format": FORMAT,
            "seed": SEED,
            "learner_weights": list(fitted.choice.weights),
            "rounds": list(fitted.choice.rounds),
            "penalty": fitted.choice.penalty,
            "calibration": fitted.calibration.method,
            "rows": len(known),
            "churn_rate": round(float(label.mean()), 6),
            "data_hash": data_hash(frame),
        },
        months.min().date(),
        months.max().date(),
    )


def blend_in_words(fitted: ensemble.Ensemble) -> str:
    """What the probabilities are made of, such as `60% LightGBM, 10% logistic regression, 30% eight factors`."""
    titles = {
        "lightgbm": "LightGBM",
        "logistic": "logistic regression",
        "known_score": "eight factors",
        "base_rate": "base rate",
    }
    return ", ".join(f"{share:.0%} {titles[learner]}" for learner, share in fitted.shares().items())


def score(model: ChurnModel, frame: pd.DataFrame) -> pd.DataFrame:
    """Score customer-months: one row per row of ``frame``, in its order.

    Returns:
        `customer_id`, `month`, `churn_probability` (0-1, calibrated), `risk_tier`, `churn_score` (0-100, the eight
        factors), `factors` (dict of the eight), `reasons` (list of dicts, strongest first), `suggested_action`.

    Raises:
        UserError: a key column is missing, or the features differ from the model's in name, order or type.
    """
    import pandas as pd

    require_keys(frame)
    require_features(model.features, describe(frame))
    table = with_factors(frame, model.features)
    probability = model.ensemble.predict(table)
    tiers = [risk_tier(value) for value in probability]
    scored = factor_scores(table)
    factors: list[Any] = scored.drop(columns="churn_score").to_dict(orient="records")
    contributions = model.ensemble.contributions(table)
    added: list[Any] = factor_contributions(contributions).to_dict(orient="records")
    return pd.DataFrame(
        {
            CUSTOMER: frame[CUSTOMER].to_numpy(),
            MONTH: frame[MONTH].to_numpy(),
            "churn_probability": probability,
            "risk_tier": tiers,
            "churn_score": scored["churn_score"].to_numpy(),
            "factors": factors,
            "reasons": reasons_of(contributions, table),
            "suggested_action": [suggested_action(*row) for row in zip(tiers, factors, added, strict=True)],
        },
        index=frame.index,
    )


def require_keys(frame: pd.DataFrame) -> None:
    """Raise UserError unless ``frame`` has the key columns and the label, each once."""
    names = encode.column_names(frame)
    if missing := [name for name in KEYS if name not in names]:
        raise UserError(
            f"features.customer_month lacks {', '.join(missing)}; build the dbt model customer_month again."
        )


def describe(frame: pd.DataFrame) -> tuple[Feature, ...]:
    """The feature columns of a frame of customer-months, in order, with their types."""
    from pandas.api import types

    def dtype(name: str) -> str:
        series = frame[name]
        if types.is_bool_dtype(series):
            return "boolean"
        if types.is_numeric_dtype(series):
            return "number"
        return "date" if types.is_datetime64_any_dtype(series) else "text"

    return tuple(Feature(name, dtype(name)) for name in frame.columns if name not in NOT_FEATURES)


def require_features(expected: tuple[Feature, ...], found: tuple[Feature, ...]) -> None:
    """Raise UserError, naming the columns, unless the features are the expected ones in name, order and type."""
    if expected == found:
        return
    wanted, given = {f.name: f.dtype for f in expected}, {f.name: f.dtype for f in found}
    problems = []
    if missing := [name for name in wanted if name not in given]:
        problems.append(f"missing: {', '.join(missing)}")
    if extra := [name for name in given if name not in wanted]:
        problems.append(f"not known to the model: {', '.join(extra)}")
    if other := [
        f"{name} is {given[name]}, was {wanted[name]}"
        for name in wanted
        if given.get(name, wanted[name]) != wanted[name]
    ]:
        problems.append(f"of another type: {'; '.join(other)}")
    raise UserError(
        f"The features to score are not those the model was trained on ({'; '.join(problems) or 'another order'}); "
        "train it again with the asset ml/churn_model."
    )


def with_factors(frame: pd.DataFrame, features: tuple[Feature, ...]) -> pd.DataFrame:
    """What the learners see: the features and the eight factors (0-100) as columns `<factor>_factor`."""
    import pandas as pd

    raw = frame[[feature.name for feature in features]]
    factors = factor_scores(raw).drop(columns="churn_score").add_suffix(FACTOR_SUFFIX)
    return pd.concat([raw, factors], axis=1)


def data_hash(frame: pd.DataFrame) -> str:
    """A hash of the labelled rows and the artifact's format: frames of equal hash would give an equal model."""
    import hashlib

    import pandas as pd

    known = labelled(frame)
    digest = hashlib.sha256(repr([FORMAT, *describe(known), *KEYS]).encode())
    digest.update(pd.util.hash_pandas_object(known, index=False).to_numpy().tobytes())
    return digest.hexdigest()[:32]


def _judge(label: Floats, probability: Floats) -> dict[str, float]:
    found = metrics(label, probability)
    positives, negatives = label.sum(), len(label) - label.sum()
    area = found["auc"]
    # Hanley & McNeil 1982
    q1, q2 = area / (2 - area), 2 * area * area / (1 + area)
    variance = area * (1 - area) + (positives - 1) * (q1 - area * area) + (negatives - 1) * (q2 - area * area)
    return {**found, "auc_se": float(np.sqrt(max(variance, 0.0) / (positives * negatives)))}


def _factor_baseline(table: pd.DataFrame, label: Floats, split: Split) -> Floats:
    # The 0-100 score as log-odds of a sigmoid fitted on the training rows, so that Brier and ECE can be compared.
    points = (factor_scores(table)["churn_score"].to_numpy(dtype=float) / 10.0)[:, None]
    return _fit_logistic(points, label, split, penalty=1e-3)


def _logistic_baseline(table: pd.DataFrame, label: Floats, split: Split) -> Floats:
    # A plain logistic regression: standardized numbers, one-hot categories, missing indicators, ridge of 1.
    columns = encode.learn_columns(table.iloc[split.train])
    design = encode.linear_design(columns, encode.read_frame(columns, table), with_hinges=False)
    plain = [index for index, name in enumerate(design.names) if not name.endswith(" rank")]
    return _fit_logistic(design.values[:, plain], label, split, penalty=1.0)


def _fit_logistic(matrix: Floats, label: Floats, split: Split, penalty: float) -> Floats:
    (fitted,) = fit_linear_path(matrix[split.train], label[split.train], (penalty,))
    return expit(fitted.predict(matrix[split.test]))
