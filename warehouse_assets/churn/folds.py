"""The folds of the churn blend: which rows each has, and what its learners are fitted on. Blending is ``ensemble``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from warehouse_assets.churn import encode
from warehouse_assets.churn.learners import LinearModel, TreeFit, TreeModel, fit_linear_path, fit_slope, fit_trees

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Codes = dict[str, NDArray[np.intp]]

SEED = 7  # of folds and sampling
LINEAR_ROWS = 30_000


@dataclass(frozen=True)
class FoldModel:
    """What one fold learned: target means of the wide columns, a LightGBM model per recipe, one linear model.

    A recipe that the blend gives no weight has no model. ``score`` is the known score as log-odds, None without one.
    """

    means: dict[str, Floats]
    trees: tuple[TreeModel | None, ...]
    linear: LinearModel
    score: LinearModel | None


@dataclass(frozen=True)
class Choice:
    """What cross validation chose: rounds per LightGBM recipe, the linear penalty, and the blend's weights.

    ``weights`` are per learner (LightGBM recipes, linear, known score, base rate), none negative, sum 1.
    """

    rounds: tuple[int, ...]
    penalty: float
    weights: tuple[float, ...]

    @property
    def tree_weights(self) -> tuple[float, ...]:
        """The weight of each LightGBM recipe."""
        return self.weights[:-3]

    @property
    def linear_weight(self) -> float:
        """The weight of the linear model."""
        return self.weights[-3]

    @property
    def score_weight(self) -> float:
        """The weight of the known score."""
        return self.weights[-2]

    @property
    def base_weight(self) -> float:
        """The weight of the base rate."""
        return self.weights[-1]


@dataclass
class Designs:
    """The matrices that all learners read, without target means, and the codes these are taken by."""

    tree: encode.Design
    linear: encode.Design
    codes: Codes
    score: Floats

    def with_means(self, means: dict[str, Floats]) -> tuple[Floats, Floats]:
        """The matrices for trees and linear model, with a column of target means for each wide column."""
        extra = [means[name][codes] for name, codes in self.codes.items()]
        if not extra:
            return self.tree.values, self.linear.values
        return np.column_stack([self.tree.values, *extra]), np.column_stack([self.linear.values, *extra])


def make_designs(
    columns: tuple[encode.Column, ...], cells: dict[str, Any], with_hinges: bool, known_score: dict[str, float]
) -> Designs:
    """The matrices of ``cells``, columns as read by `encode.read_frame`."""
    tree = encode.tree_design(columns, cells)
    known = [np.nan_to_num(cells[name]) for name in known_score]
    return Designs(
        tree,
        encode.linear_design(columns, cells, with_hinges),
        encode.wide_codes(columns, cells),
        np.column_stack([np.zeros((len(tree.values), 0)), *known]),
    )


@dataclass
class FoldFit:
    """A fold whose rounds and penalty are still open: a linear model for each penalty, and its scores of ``held``."""

    held: NDArray[np.intp]
    means: dict[str, Floats]
    trees: list[TreeFit | None]
    path: list[LinearModel]
    linear_scores: list[Floats]
    score: LinearModel | None
    score_log_odds: Floats


@dataclass(frozen=True)
class FoldPlan:
    """What all folds are fitted from: ``rows`` has the training and held-out rows of each."""

    columns: tuple[encode.Column, ...]
    designs: Designs
    label: Floats
    rows: list[tuple[NDArray[np.intp], NDArray[np.intp]]]
    recipes: tuple[dict[str, Any], ...]
    most_rounds: int
    penalties: Sequence[float]
    points: Floats
    choice: Choice | None

    def fit(self, number: int) -> FoldFit:
        """Fit the learners of one fold; with a choice made before, in its rounds and those it gives a weight."""
        train, held = self.rows[number]
        means, inner = _fold_means(self.columns, self.designs.codes, self.label, train, SEED + number)
        tree, linear = self.designs.with_means(means)
        tree_train, linear_train, y = tree[train], linear[train], self.label[train]
        if inner:
            tree_train[:, -len(inner) :] = np.column_stack(inner)
            linear_train[:, -len(inner) :] = np.column_stack(inner)
        trees = [
            None
            if self.choice and not self.choice.tree_weights[index]
            else fit_trees(
                (tree_train, y),
                (tree[held], self.label[held]),
                tree.shape[1],
                self.designs.tree.categorical,
                recipe,
                self.most_rounds,
                self.choice.rounds[index] if self.choice else None,
            )
            for index, recipe in enumerate(self.recipes)
        ]
        sample = _sample(len(train))
        path = fit_linear_path(linear_train[sample], y[sample], self.penalties)
        score = fit_slope(self.designs.score[train], self.points, y) if len(self.points) else None
        score_log_odds = score.predict(self.designs.score[held]) if score else np.zeros(len(held))
        linear_scores = [model.predict(linear[held]) for model in path]
        return FoldFit(held, means, trees, path, linear_scores, score, score_log_odds)


def _fold_means(
    columns: tuple[encode.Column, ...], codes: Codes, label: Floats, train: NDArray[np.intp], seed: int
) -> tuple[dict[str, Floats], list[Floats]]:
    # The training rows' own means are cross-fitted: a row never sees its own label.
    size = {column.name: len(column.categories) for column in columns}
    means = {name: encode.target_means(values[train], label[train], size[name]) for name, values in codes.items()}
    inner = np.random.default_rng(seed).permutation(len(train)) % 5
    cross_fitted = []
    for name, values in codes.items():
        own, y = values[train], label[train]
        result = np.empty(len(train))
        for number in range(5):
            others = inner != number
            result[~others] = encode.target_means(own[others], y[others], size[name])[own[~others]]
        cross_fitted.append(result)
    return means, cross_fitted


def _sample(rows: int) -> Any:
    return slice(None) if rows <= LINEAR_ROWS else np.random.default_rng(SEED).choice(rows, LINEAR_ROWS, replace=False)


def plan_folds(label: Floats, groups: Any, most: int) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Training and held-out rows of each fold; classes, and whole groups by whether they have a case, spread evenly."""
    minority = int(min(label.sum(), len(label) - label.sum()))
    if minority < 2:
        return []
    codes = np.arange(len(label)) if groups is None else np.unique(groups, return_inverse=True)[1]
    cases = np.bincount(codes, weights=label) > 0
    splits = min(most, minority)
    repeats = 3 if len(label) < 500 else 2 if len(label) < 1500 else 1
    plan = []
    for repeat in range(repeats):
        order = np.random.default_rng(SEED + repeat).permutation(len(cases))
        order = order[np.argsort(cases[order], kind="stable")]
        fold_of_group = np.empty(len(cases), dtype=np.intp)
        fold_of_group[order] = np.arange(len(cases)) % splits
        fold = fold_of_group[codes]
        for number in range(splits):
            train, held = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
            if len(held) and 0 < label[train].sum() < len(train):
                plan.append((train, held))
    if groups is not None and sum(len(held) for _, held in plan) < repeats * len(label):
        # all cases in one group: some rows would never be held out
        return plan_folds(label, None, most)
    return plan
