"""How good probabilities of leaving are: ranking, sharpness, calibration. Pure functions of labels and scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def metrics(label: ArrayLike, probability: ArrayLike) -> dict[str, float]:
    """AUC, PR-AUC (average precision), lift at the top decile, Brier score, log loss and ECE of probabilities.

    ``label`` is 0/1, ``probability`` within 0-1, both of one length. With a single class present, AUC, PR-AUC
    and lift are NaN.
    """
    y = np.asarray(label, dtype=float)
    p = np.asarray(probability, dtype=float)
    clipped = np.clip(p, 1e-9, 1 - 1e-9)
    return {
        "auc": auc(y, p),
        "pr_auc": average_precision(y, p),
        "lift_top_decile": lift(y, p),
        "brier": float(np.mean((p - y) ** 2)),
        "log_loss": float(-np.mean(y * np.log(clipped) + (1 - y) * np.log(1 - clipped))),
        "ece": calibration_error(y, p),
    }


def auc(label: ArrayLike, score: ArrayLike) -> float:
    """Area under the ROC curve (Mann-Whitney, ties count half); NaN with a single class."""
    from scipy.stats import rankdata

    y = np.asarray(label, dtype=bool)
    positives = int(y.sum())
    negatives = len(y) - positives
    if positives == 0 or negatives == 0:
        return float("nan")
    ranks = rankdata(np.asarray(score, dtype=float))
    return float((ranks[y].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def average_precision(label: ArrayLike, score: ArrayLike) -> float:
    """Area under the precision-recall curve as average precision; tied scores enter together. NaN without positives."""
    y = np.asarray(label, dtype=float)
    if y.sum() == 0 or y.sum() == len(y):
        return float("nan")
    s = np.asarray(score, dtype=float)
    order = np.argsort(-s, kind="stable")
    last_of_tie = np.append(np.diff(s[order]) != 0, True)
    found = np.cumsum(y[order])[last_of_tie]
    seen = (np.arange(len(y)) + 1.0)[last_of_tie]
    return float(np.sum(np.diff(np.append(0.0, found)) / y.sum() * found / seen))


def lift(label: ArrayLike, score: ArrayLike, share: float = 0.1) -> float:
    """Churn rate among the ``share`` of rows with the highest scores over the rate of all; ties are averaged."""
    y = np.asarray(label, dtype=float)
    if y.sum() == 0 or y.sum() == len(y):
        return float("nan")
    s = np.asarray(score, dtype=float)
    take = max(1, round(share * len(y)))
    threshold = np.sort(s)[::-1][take - 1]
    above, tied = s > threshold, s == threshold
    hits = y[above].sum() + (take - above.sum()) * y[tied].mean()
    return float(hits / take / y.mean())


def calibration_error(label: ArrayLike, probability: ArrayLike, bins: int = 10) -> float:
    """Expected calibration error over ``bins`` groups of equal size (Naeini 2015, with quantile bins)."""
    y = np.asarray(label, dtype=float)
    p = np.asarray(probability, dtype=float)
    groups = np.array_split(np.argsort(p, kind="stable"), min(bins, len(p)))
    return float(sum(len(group) * abs(y[group].mean() - p[group].mean()) for group in groups) / len(p))
