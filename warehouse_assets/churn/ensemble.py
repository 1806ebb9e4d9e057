"""The churn ensemble: fold models of LightGBM and a ridge logistic, blended and calibrated out of fold.

Frames in, log-odds and contributions out. What labels, tables and time mean is decided by the callers.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from warehouse_assets.churn import encode
from warehouse_assets.churn.calibrate import Calibration, expit, fit_calibration, log_losses, logit
from warehouse_assets.churn.folds import SEED, Choice, Designs, FoldFit, FoldModel, FoldPlan, make_designs, plan_folds
from warehouse_assets.churn.learners import MAX_ROUNDS, LinearModel, TreeModel
from warehouse_assets.settings import Settings

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

PENALTIES = (3000.0, 600.0, 120.0, 24.0, 5.0, 1.0)
HINGE_COLUMNS = 45
# From so many cells on, three folds, two recipes and a limit on the rounds keep a table of 100,000 rows and 100
# columns to about a minute or two; with so much data little is lost.
LARGE_CELLS = 2_000_000
LARGE_ROUNDS = 300


@dataclass(frozen=True)
class Ensemble:
    """A fitted, calibrated ensemble; without folds it answers the base rate."""

    columns: tuple[encode.Column, ...]
    folds: tuple[FoldModel, ...]
    choice: Choice
    calibration: Calibration
    base_rate: float
    with_hinges: bool
    known_score: dict[str, float]

    def predict(self, frame: pd.DataFrame) -> Floats:
        """Calibrated probability for each row of ``frame``.

        Raises:
            UserError: ``frame`` lacks a column of the training frame, or names one twice.
        """
        return expit(self.log_odds(frame)) if self.folds else self._base_rates(frame)

    def log_odds(self, frame: pd.DataFrame) -> Floats:
        """Calibrated log-odds for each row of ``frame``; errors as `predict`."""
        if not self.folds or not len(frame):
            return logit(self._base_rates(frame))
        designs = self._designs(frame)
        threads = Settings.from_env().threads
        total = np.zeros(len(frame))
        for fold in self.folds:
            tree, linear = designs.with_means(fold.means)
            for weight, model in zip(self.choice.tree_weights, fold.trees, strict=True):
                if model:
                    total += weight * model.predict(tree, threads)
            if self.choice.linear_weight:
                total += self.choice.linear_weight * fold.linear.predict(linear)
            if fold.score:
                total += self.choice.score_weight * fold.score.predict(designs.score)
        raw = total / len(self.folds) + self.choice.base_weight * float(logit(np.asarray(self.base_rate)))
        return self.calibration.apply(raw)

    def _base_rates(self, frame: pd.DataFrame) -> Floats:
        encode.read_frame(self.columns, frame)  # raises for a column that is missing
        return np.full(len(frame), self.base_rate)

    def _designs(self, frame: pd.DataFrame) -> Designs:
        return make_designs(self.columns, encode.read_frame(self.columns, frame), self.with_hinges, self.known_score)

    def shares(self) -> dict[str, float]:
        """The weight of each kind of learner in the blend, those without weight left out; they sum to 1."""
        weights = {
            "lightgbm": sum(self.choice.tree_weights),
            "logistic": self.choice.linear_weight,
            "known_score": self.choice.score_weight,
            "base_rate": self.choice.base_weight,
        }
        return {learner: round(weight, 4) for learner, weight in weights.items() if weight}

    def contributions(self, frame: pd.DataFrame) -> pd.DataFrame:
        """What each column adds to each row's log-odds (rows in order x used columns), before calibration.

        LightGBM's own SHAP values (Lundberg 2018) and the exact terms of the linear learner and the known score,
        weighted as in the blend; positive raises the probability. Errors as `predict`.
        """
        import pandas as pd

        designs = self._designs(frame)
        used = [column.name for column in self.columns if column.kind != "ignored"]
        totals = dict.fromkeys(used, np.zeros(len(frame)))
        if self.folds and len(frame):
            threads = Settings.from_env().threads
            for fold in self.folds:
                tree, linear = designs.with_means(fold.means)
                parts = [
                    (weight, model.contributions(tree, threads), [*designs.tree.source, *designs.codes])
                    for weight, model in zip(self.choice.tree_weights, fold.trees, strict=True)
                    if model
                ]
                if self.choice.linear_weight:
                    source = [*designs.linear.source, *designs.codes]
                    parts.append((self.choice.linear_weight, fold.linear.contributions(linear), source))
                if fold.score:
                    values = fold.score.contributions(designs.score)
                    parts.append((self.choice.score_weight, values, [*self.known_score]))
                for weight, values, source in parts:
                    for position, name in enumerate(source):
                        totals[name] = totals[name] + weight / len(self.folds) * values[:, position]
        return pd.DataFrame(totals, columns=used, index=frame.index)

    def to_json(self) -> dict[str, Any]:
        """JSON-ready form: LightGBM models as their text, everything else as numbers and names."""
        return {
            "columns": encode.columns_to_json(self.columns),
            "folds": [
                {
                    "means": {name: values.tolist() for name, values in fold.means.items()},
                    "trees": [model.text if model else None for model in fold.trees],
                    "linear": fold.linear.to_json(),
                    "score": fold.score.to_json() if fold.score else None,
                }
                for fold in self.folds
            ],
            "choice": asdict(self.choice),
            "calibration": self.calibration.to_json(),
            "base_rate": self.base_rate,
            "with_hinges": self.with_hinges,
            "known_score": self.known_score,
        }

    @classmethod
    def from_json(cls, item: dict[str, Any]) -> Ensemble:
        """The inverse of `to_json`."""
        chosen = item["choice"]
        folds = tuple(
            FoldModel(
                {name: np.asarray(values) for name, values in fold["means"].items()},
                tuple(TreeModel(text) if text else None for text in fold["trees"]),
                LinearModel.from_json(fold["linear"]),
                LinearModel.from_json(fold["score"]) if fold["score"] else None,
            )
            for fold in item["folds"]
        )
        return cls(
            encode.columns_from_json(item["columns"]),
            folds,
            Choice(tuple(chosen["rounds"]), chosen["penalty"], tuple(chosen["weights"])),
            Calibration.from_json(item["calibration"]),
            item["base_rate"],
            item["with_hinges"],
            item["known_score"],
        )


def recipes(rows: int, minority: int, is_large: bool) -> tuple[dict[str, Any], ...]:
    """The LightGBM settings for a table of ``rows`` rows, ``minority`` of them in the rarer class.

    Deep trees for interactions, small regularised ones for tables of few cases, and trees of four leaves, which come
    close to an additive model; the blend decides. A table of fewer than 300 rows does without the first, a large one
    without the second.
    """
    slow, fast = (0.05, 0.1) if rows <= 8_000 else (0.1, 0.15)
    common = {
        "bagging_freq": 1,
        "max_bin": 255,
        "num_threads": 1,  # folds run side by side instead: same result on any machine, no waiting at barriers
        "seed": SEED,
        "deterministic": True,
        "force_row_wise": True,
    }
    strict = {
        **common,
        "feature_fraction": 0.6,
        "bagging_fraction": 0.8,
        "min_data_in_leaf": int(np.clip(rows / 200, 5, 60)),
        "min_sum_hessian_in_leaf": 1.0 if minority >= 200 else 0.3,
        "lambda_l2": 5.0,
        "max_cat_to_onehot": 8,
        "cat_smooth": 20.0,
    }
    deep = {
        **common,
        "learning_rate": slow,
        "num_leaves": 31,
        "feature_fraction": 0.9,
        "bagging_fraction": 0.9,
        "min_data_in_leaf": int(np.clip(rows / 100, 5, 20)),
    }
    regular = ({**strict, "learning_rate": slow, "num_leaves": 12}, {**strict, "learning_rate": fast, "num_leaves": 4})
    if is_large:
        return (deep, regular[1])
    return (deep, *regular) if rows >= 300 else regular


def fit(
    frame: pd.DataFrame,
    label: Floats,
    groups: Any = None,
    choice: Choice | None = None,
    known_score: dict[str, float] | None = None,
) -> Ensemble:
    """Fit on ``frame`` and 0/1 ``label``, both in the same row order.

    Rows of one value in ``groups`` (say, a customer's months) stay in one fold. With a single class, or no usable
    column, or fewer than two rows of a class the result is the base rate. A ``choice`` made before on like data is
    kept, which takes a third of the time; else cross validation chooses. A ``known_score`` (weights of number columns,
    from knowledge and not from the data) is one more learner: it has no more to learn than a slope.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # it ships no stubs

    columns = encode.learn_columns(frame)
    rate = float(label.mean())
    with_hinges = sum(column.kind != "ignored" for column in columns) <= HINGE_COLUMNS
    is_large = frame.shape[0] * frame.shape[1] > LARGE_CELLS
    rows = plan_folds(label, groups, 3 if is_large else 5)
    if not rows or all(column.kind == "ignored" for column in columns):
        return Ensemble(columns, (), Choice((), 0.0, (0.0, 0.0, 1.0)), Calibration(), rate, with_hinges, {})
    used = {column.name for column in columns if column.kind == "number"}
    known_score = {name: weight for name, weight in (known_score or {}).items() if name in used}
    settings = recipes(len(label), int(min(label.sum(), len(label) - label.sum())), is_large)
    if choice and len(choice.rounds) != len(settings):
        choice = None  # made on a table of another size, for which there are other recipes
    plan = FoldPlan(
        columns,
        make_designs(columns, encode.read_frame(columns, frame), with_hinges, known_score),
        label,
        rows,
        settings,
        LARGE_ROUNDS if is_large else MAX_ROUNDS,
        PENALTIES if choice is None else [p for p in PENALTIES if p >= choice.penalty],
        np.asarray(list(known_score.values())),
        choice,
    )
    threads = min(Settings.from_env().threads, len(rows))
    # One BLAS thread each: OpenBLAS threads called from several threads wait for each other (29 s against 1.6 s).
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(max_workers=threads) as pool:
        fits = list(pool.map(plan.fit, range(len(rows))))

    rounds = choice.rounds if choice else _common_rounds(fits)
    scores, position = _out_of_fold(fits, rounds, label, is_path_open=choice is None)
    base = float(logit(np.asarray(rate)))
    if choice is None:
        weights = _weights(scores, base, label, groups, has_score=bool(known_score))
        choice = Choice(rounds, plan.penalties[position], weights)
    blended = np.asarray(choice.weights[:-1]) @ scores + choice.base_weight * base
    folds = tuple(_as_chosen(fitted, choice, position) for fitted in fits)
    return Ensemble(
        columns, folds, choice, fit_calibration(blended, label, groups, SEED), rate, with_hinges, known_score
    )


def _weights(scores: Floats, base: float, label: Floats, groups: Any, has_score: bool) -> tuple[float, ...]:
    """The blend's weights, as in `Choice`; a known score that there is none of gets 0."""
    learners = np.vstack([scores if has_score else scores[:-1], np.full(len(label), base)])
    weights = blend_weights(learners, label, _rows_per_case(label, groups))
    if not has_score:
        weights = np.insert(weights, -1, 0.0)
    return tuple(float(weight) for weight in weights)


def _as_chosen(fitted: FoldFit, choice: Choice, position: int) -> FoldModel:
    """The models of a fold that the choice gives a weight, the linear one from ``position`` of its path."""
    trees = zip(fitted.trees, choice.rounds, choice.tree_weights, strict=True)
    return FoldModel(
        fitted.means,
        tuple(tree.cut(rounds) if tree and weight else None for tree, rounds, weight in trees),
        fitted.path[position],
        fitted.score if choice.score_weight else None,
    )


def _out_of_fold(fits: list[FoldFit], rounds: tuple[int, ...], label: Floats, is_path_open: bool) -> tuple[Floats, int]:
    """Each learner's log-odds for rows it has not seen, and the position of the linear model to take from the paths.

    Rounds and penalty are common to all folds, chosen on their mean, so that no fold is tuned to its own rows. A path
    whose penalty was chosen before ends at it.
    """
    rows = len(label)
    times = np.bincount(np.concatenate([fit.held for fit in fits]), minlength=rows).astype(float)
    linear = np.zeros((len(fits[0].path), rows))
    scores = np.zeros((len(rounds) + 2, rows))
    for fit in fits:
        linear[:, fit.held] += np.vstack(fit.linear_scores) / times[fit.held]
        for index, tree in enumerate(fit.trees):
            if tree:
                scores[index, fit.held] += tree.held_out(rounds[index]) / times[fit.held]
        scores[-1, fit.held] += fit.score_log_odds / times[fit.held]
    losses = [log_losses(path_scores, label).mean() for path_scores in linear]
    position = int(np.argmin(losses)) if is_path_open else len(linear) - 1
    scores[-2] = linear[position]
    return scores, position


def blend_weights(scores: Floats, label: Floats, rows_per_case: float = 1.0) -> Floats:
    """Weights (tenths, summing to 1, none negative) of the learners' log-odds.

    The mean of all blends in tenths, each by its likelihood: few cases leave several learners in, many choose the
    blend of lowest log loss. Rows that tell of one case together (a customer's months) count as one.
    """
    import itertools

    units = 10
    combinations = itertools.combinations(range(units + len(scores) - 1), len(scores) - 1)
    bars = np.asarray([(-1, *bars, units + len(scores) - 1) for bars in combinations])
    grid = np.diff(bars, axis=1) - 1
    losses = np.asarray([log_losses(blend @ scores, label).sum() for blend in grid / units])
    likelihood = np.exp((losses.min() - losses) / rows_per_case)
    mean = likelihood @ grid / likelihood.sum()
    weights = np.floor(mean)
    left = units - int(weights.sum())
    weights[np.argsort(weights - mean, kind="stable")[:left]] += 1
    return np.asarray(weights / units)


def _rows_per_case(label: Floats, groups: Any) -> float:
    if groups is None or not label.any():
        return 1.0
    return float(label.sum() / len(np.unique(np.asarray(groups)[label > 0])))


def _common_rounds(fits: list[FoldFit]) -> tuple[int, ...]:
    chosen = []
    for curves in zip(*([tree.curve for tree in fit.trees if tree] for fit in fits), strict=True):
        length = min(len(curve) for curve in curves)
        chosen.append(int(np.argmin(np.mean([curve[:length] for curve in curves], axis=0))) + 1)
    return tuple(chosen)
