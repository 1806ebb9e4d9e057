"""The base learners of the churn ensemble on plain matrices: LightGBM and a ridge logistic. No encoding, no folds."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from warehouse_assets.churn.calibrate import expit, log_losses, logit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

MAX_ROUNDS = 1500
# Rounds without improvement before boosting stops, times the learning rate: 60 rounds at 0.05.
PATIENCE = 3.0
# Next to nothing: enough that a score which parts the classes has a finite slope.
SLOPE_PENALTY = 1e-3


@dataclass(frozen=True)
class TreeModel:
    """A LightGBM model as its own text format; categories stand as codes in the matrix."""

    text: str

    @cached_property
    def booster(self) -> Any:
        """The LightGBM booster read from the text."""
        import lightgbm

        return lightgbm.Booster(model_str=self.text)

    def predict(self, matrix: Floats, threads: int) -> Floats:
        """Log-odds for each row."""
        return np.asarray(self.booster.predict(matrix, raw_score=True, num_threads=threads), dtype=np.float64)

    def contributions(self, matrix: Floats, threads: int) -> Floats:
        """SHAP contributions in log-odds (rows x columns + 1; the last is the expected value), Lundberg 2018."""
        return np.asarray(self.booster.predict(matrix, pred_contrib=True, num_threads=threads), dtype=np.float64)


@dataclass(frozen=True)
class LinearModel:
    """A logistic regression: log-odds = intercept + matrix @ coefficients; ``means`` centre the contributions."""

    intercept: float
    coefficients: Floats
    means: Floats

    def predict(self, matrix: Floats) -> Floats:
        """Log-odds for each row."""
        return np.asarray(self.intercept + matrix @ self.coefficients)

    def contributions(self, matrix: Floats) -> Floats:
        """Exact contributions in log-odds against the average customer (rows x columns + 1)."""
        parts = (matrix - self.means) * self.coefficients
        base = np.full((len(matrix), 1), self.intercept + float(self.means @ self.coefficients))
        return np.hstack([parts, base])

    def to_json(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "intercept": self.intercept,
            "coefficients": self.coefficients.tolist(),
            "means": self.means.tolist(),
        }

    @classmethod
    def from_json(cls, item: dict[str, Any]) -> LinearModel:
        """The inverse of `to_json`."""
        return cls(item["intercept"], np.asarray(item["coefficients"]), np.asarray(item["means"]))


@dataclass
class TreeFit:
    """A fold's booster while the number of rounds is still open: validation log loss after every round."""

    booster: Any
    curve: Floats
    validation: Floats = field(repr=False)

    def held_out(self, rounds: int) -> Floats:
        """Log-odds of the validation rows after ``rounds`` rounds."""
        return np.asarray(self.booster.predict(self.validation, raw_score=True, num_iteration=rounds))

    def cut(self, rounds: int) -> TreeModel:
        """The model after ``rounds`` rounds, as text."""
        return TreeModel(self.booster.model_to_string(num_iteration=rounds))


def fit_trees(
    train: tuple[Floats, Floats],
    validation: tuple[Floats, Floats],
    width: int,
    categorical: Sequence[int],
    parameters: dict[str, Any],
    most_rounds: int = MAX_ROUNDS,
    rounds: int | None = None,
) -> TreeFit:
    """Boost on ``train`` (matrix of ``width`` columns, 0/1 label).

    With ``rounds`` for so many rounds; without, until the log loss on ``validation`` improves no more, or for
    ``most_rounds``.
    """
    import lightgbm

    data = lightgbm.Dataset(
        train[0],
        train[1],
        feature_name=[f"f{index}" for index in range(width)],
        categorical_feature=list(categorical),
        params={"verbosity": -1, **parameters},
    )
    options = {"objective": "binary", "metric": "binary_logloss", "verbosity": -1, **parameters}
    if rounds is not None:
        return TreeFit(lightgbm.train(options, data, num_boost_round=rounds), np.empty(0), validation[0])
    curves: dict[str, Any] = {}
    booster = lightgbm.train(
        options,
        data,
        num_boost_round=most_rounds,
        valid_sets=[lightgbm.Dataset(validation[0], validation[1], reference=data)],
        valid_names=["held"],
        callbacks=[
            lightgbm.early_stopping(round(PATIENCE / parameters["learning_rate"]), verbose=False),
            lightgbm.record_evaluation(curves),
        ],
    )
    return TreeFit(booster, np.asarray(curves["held"]["binary_logloss"]), validation[0])


def fit_linear_path(matrix: Floats, label: Floats, penalties: Sequence[float]) -> list[LinearModel]:
    """Ridge logistic regressions for each of the (falling) ``penalties``, each starting from the one before.

    Newton's method with step halving; the intercept is not penalised. ``penalties`` are in units of one row's
    log loss (scikit-learn's 1/C).
    """
    rows, width = matrix.shape
    rate = (label.sum() + 0.5) / (rows + 1.0)
    weights = np.zeros(width + 1)
    weights[-1] = float(logit(np.asarray(rate)))
    means = matrix.mean(axis=0) if rows else np.zeros(width)
    with_one = np.hstack([matrix - means, np.ones((rows, 1))])
    single = with_one.astype(np.float32)
    models = []
    for penalty in penalties:
        ridge = np.append(np.full(width, penalty), 1e-6)

        def objective(w: Floats, ridge: Floats = ridge) -> float:
            return float(log_losses(with_one @ w, label).sum() + 0.5 * (ridge * w * w).sum())

        loss = objective(weights)
        for _ in range(25):
            p = expit(with_one @ weights)
            gradient = with_one.T @ (p - label) + ridge * weights
            # Single precision is enough for a direction, and four times as fast.
            root = single * np.sqrt(p * (1.0 - p)).astype(np.float32)[:, None]
            hessian = (root.T @ root).astype(np.float64) + np.diag(ridge)
            step = np.linalg.solve(hessian, gradient)
            size = 1.0
            while (proposed := objective(weights - size * step)) > loss and size > 1e-3:
                size /= 2.0
            if proposed > loss:
                break
            weights = weights - size * step
            improvement, loss = loss - proposed, proposed
            if improvement < 1e-6 * rows:
                break
        coefficients = weights[:-1].copy()
        models.append(LinearModel(float(weights[-1] - means @ coefficients), coefficients, means))
    return models


def fit_slope(matrix: Floats, points: Floats, label: Floats) -> LinearModel:
    """A score, ``matrix @ points``, as log-odds: a logistic regression of one slope, told as a model of all columns."""
    (fitted,) = fit_linear_path((matrix @ points)[:, None], label, (SLOPE_PENALTY,))
    # A score that is higher where fewer left says nothing, not the opposite.
    slope = max(float(fitted.coefficients[0]), 0.0)
    if slope == 0.0:
        (fitted,) = fit_linear_path(np.empty((len(label), 0)), label, (SLOPE_PENALTY,))
    return LinearModel(fitted.intercept, slope * points, matrix.mean(axis=0))
