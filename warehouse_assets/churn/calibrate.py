"""Calibration maps: from a model's log-odds to probabilities that mean what they say. No model belongs here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

Method = Literal["identity", "sigmoid", "beta", "isotonic"]

# Isotonic regression needs many cases of both classes before it beats two or three parameters.
ISOTONIC_MINORITY = 500
SIGMOID_MINORITY = 20
_LIMIT = 30.0


@dataclass(frozen=True)
class Calibration:
    """A monotone map of log-odds to log-odds.

    ``sigmoid``: y = a*x + b (Platt 1999). ``beta``: y = a*ln p - b*ln(1 - p) + c (Kull 2017). ``isotonic``:
    piecewise linear between ``knots`` (x, y), so equal scores alone stay equal and ranks are kept.
    """

    method: Method = "identity"
    parameters: tuple[float, ...] = ()
    knots: tuple[tuple[float, float], ...] = ()

    def apply(self, log_odds: Floats) -> Floats:
        """Calibrated log-odds for raw ``log_odds`` (any length)."""
        x = np.clip(log_odds, -_LIMIT, _LIMIT)
        if self.method == "sigmoid":
            slope, shift = self.parameters
            return np.asarray(slope * x + shift)
        if self.method == "beta":
            return np.asarray(_beta_features(x) @ np.asarray(self.parameters))
        if self.method == "isotonic":
            knots = np.asarray(self.knots)
            return np.asarray(np.interp(x, knots[:, 0], knots[:, 1]))
        return x

    def to_json(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {"method": self.method, "parameters": list(self.parameters), "knots": [list(k) for k in self.knots]}

    @classmethod
    def from_json(cls, item: dict[str, Any]) -> Calibration:
        """The inverse of `to_json`."""
        return cls(item["method"], tuple(item["parameters"]), tuple((float(x), float(y)) for x, y in item["knots"]))


def fit_calibration(log_odds: Floats, label: Floats, groups: NDArray[Any] | None = None, seed: int = 0) -> Calibration:
    """The map that gives the lowest cross-validated log loss on out-of-fold ``log_odds`` and their ``label`` (0/1).

    A richer map is taken only when it wins by more than the standard error of the difference over what is independent,
    so that a well-calibrated model is left alone.

    Args:
        log_odds: of each row.
        label: of each row.
        groups: what rows belong to, such as a customer with many months: nearly one row again and again. A group stays
            in one fold and counts once; None where each row stands for itself.
        seed: of the folds.
    """
    group = np.arange(len(label)) if groups is None else np.unique(groups, return_inverse=True)[1]
    cases = len(np.unique(group[label > 0]))
    minority = min(cases, len(np.unique(group[label <= 0])))
    methods: list[Method] = ["identity"]
    if minority >= SIGMOID_MINORITY:
        methods += ["sigmoid"]
    if minority >= 5 * SIGMOID_MINORITY:
        methods += ["beta"]
    if minority >= ISOTONIC_MINORITY:
        methods += ["isotonic"]
    if len(methods) == 1:
        return Calibration()
    fold = (np.random.default_rng(seed).permutation(group.max() + 1) % 5)[group]
    chosen: Method = "identity"
    chosen_losses = log_losses(log_odds, label)
    for method in methods[1:]:
        losses = np.empty(len(label))
        for number in range(5):
            held = fold == number
            map_ = _fit(method, log_odds[~held], label[~held])
            losses[held] = log_losses(map_.apply(log_odds[held]), label[held])
        gain = np.bincount(group, chosen_losses - losses)
        if gain.mean() > gain.std() / np.sqrt(len(gain)):
            chosen, chosen_losses = method, losses
    return _fit(chosen, log_odds, label)


def log_losses(log_odds: Floats, label: Floats) -> Floats:
    """Log loss of each row, in nats."""
    return np.asarray(np.logaddexp(0.0, log_odds) - label * log_odds)


def expit(log_odds: Floats) -> Floats:
    """Probability from log-odds, never exactly 0 or 1."""
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(log_odds, -_LIMIT, _LIMIT))))


def logit(probability: Floats) -> Floats:
    """Log-odds from a probability, clipped to keep it finite."""
    p = np.clip(probability, 1e-9, 1.0 - 1e-9)
    return np.asarray(np.log(p) - np.log1p(-p))


def _beta_features(x: Floats) -> Floats:
    return np.column_stack([-np.logaddexp(0.0, -x), np.logaddexp(0.0, x), np.ones_like(x)])


def _fit(method: Method, log_odds: Floats, label: Floats) -> Calibration:
    x = np.clip(log_odds, -_LIMIT, _LIMIT)
    if method == "sigmoid":
        slope, shift = _logistic(np.column_stack([x, np.ones_like(x)]), label, np.asarray([1.0, 0.0]))
        return Calibration(method, (slope, shift)) if slope > 0 else Calibration()
    if method == "beta":
        a, b, c = _logistic(_beta_features(x), label, np.asarray([1.0, 1.0, 0.0]))
        return Calibration(method, (a, b, c)) if a >= 0 and b >= 0 else _fit("sigmoid", log_odds, label)
    if method == "isotonic":
        return Calibration(method, (), _isotonic_knots(x, label))
    return Calibration()


def _logistic(features: Floats, label: Floats, start: Floats) -> tuple[float, ...]:
    # Newton steps with a ridge of one row's weight towards the identity map.
    weights = start.copy()
    for _ in range(30):
        p = expit(features @ weights)
        gradient = features.T @ (p - label) + (weights - start)
        hessian = (features * (p * (1.0 - p))[:, None]).T @ features + np.eye(len(start))
        step = np.linalg.solve(hessian, gradient)
        weights = weights - step
        if np.abs(step).max() < 1e-8:
            break
    return tuple(float(w) for w in weights)


def _isotonic_knots(x: Floats, label: Floats) -> tuple[tuple[float, float], ...]:
    from sklearn.isotonic import IsotonicRegression

    fitted = IsotonicRegression(out_of_bounds="clip").fit(x, label).predict(x)
    knots: list[tuple[float, float]] = []
    for level in np.unique(fitted):
        block = fitted == level
        # one pseudo-row at the pooled rate keeps end blocks of a single class off 0 and 1
        rate = (level * block.sum() + label.mean()) / (block.sum() + 1.0)
        knots.append((float(x[block].mean()), float(logit(np.asarray(rate)))))
    y = np.maximum.accumulate([knot[1] for knot in knots])
    return tuple((knot[0], float(value)) for knot, value in zip(knots, y, strict=True))
