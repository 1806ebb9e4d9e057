"""The eight risk factors of churn as transparent 0-100 scores. Rules a person can read; nothing is fitted here.

Each factor is read off piecewise-linear rules over named columns of `features.customer_month`: between two points
of a rule the score runs straight, outside it stays at the end's score. A factor is the highest of its rules (one
good reason is enough), times its multipliers; a null says nothing and scores 0. Ratios of change are relative to
the period before: -0.2 is 20% less. The churn score is the weighted mean of the eight factors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Rule:
    """Score of one column: ``points`` are (value, score) pairs in rising order of value."""

    column: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Factor:
    """A named risk: its weight in the churn score, its rules (the highest counts) and multipliers (0-1)."""

    name: str
    title: str
    weight: float
    rules: tuple[Rule, ...]
    multipliers: tuple[Rule, ...] = ()


# What the columns of the factors are called where they stand among the features: "complaints_factor".
FACTOR_SUFFIX = "_factor"

FACTORS: tuple[Factor, ...] = (
    Factor(
        "payment_delinquency",
        "late or missing payments",
        0.20,
        (
            Rule("days_past_due_max", ((0, 0), (15, 20), (30, 50), (60, 80), (90, 100))),
            Rule("overdue_ratio", ((0, 0), (0.1, 20), (0.5, 70), (1, 100))),
            Rule("late_payments_180d", ((0, 0), (1, 15), (3, 60), (6, 100))),
        ),
    ),
    Factor(
        "missed_pickups",
        "missed pickups",
        0.15,
        (
            Rule("missed_pickup_ratio_90d", ((0, 0), (0.02, 15), (0.05, 45), (0.1, 75), (0.2, 100))),
            Rule("missed_pickups_90d", ((0, 0), (1, 15), (3, 50), (6, 85), (10, 100))),
        ),
    ),
    Factor(
        "complaints",
        "complaints and slow answers",
        0.12,
        (
            Rule("complaints_90d", ((0, 0), (1, 30), (2, 55), (4, 85), (6, 100))),
            Rule("complaints_change_ratio", ((0, 0), (1, 30), (3, 60))),
            Rule("open_tickets", ((0, 0), (1, 10), (3, 40), (6, 70))),
            Rule("response_hours_avg_90d", ((8, 0), (24, 15), (72, 50))),
        ),
    ),
    Factor(
        "satisfaction",
        "low satisfaction",
        0.13,
        (
            Rule("satisfaction_avg_180d", ((1, 100), (2, 85), (3, 55), (4, 15), (4.5, 0))),
            Rule("nps_last", ((0, 100), (6, 60), (7, 35), (8, 15), (9, 0))),
        ),
    ),
    Factor(
        "volume_decline",
        "falling volume",
        0.13,
        (
            Rule("tons_change_90d_ratio", ((-1, 100), (-0.5, 80), (-0.25, 45), (-0.1, 10), (0, 0))),
            Rule("mrr_change_90d_ratio", ((-0.5, 100), (-0.25, 70), (-0.1, 30), (0, 0))),
        ),
    ),
    Factor(
        "engagement_decline",
        "falling use of the portal",
        0.07,
        (
            Rule("portal_sessions_change_90d_ratio", ((-1, 90), (-0.5, 50), (-0.2, 10), (0, 0))),
            Rule("days_since_last_portal_session", ((14, 0), (30, 15), (90, 60), (180, 90))),
        ),
    ),
    Factor(
        "price_increase",
        "a price increase",
        0.08,
        (Rule("price_increase_365d_ratio", ((0, 0), (0.03, 15), (0.06, 40), (0.1, 70), (0.2, 100))),),
        (Rule("days_since_price_increase", ((90, 1.0), (365, 0.3))),),
    ),
    Factor(
        "agreement_expiry",
        "an agreement about to end",
        0.12,
        (Rule("days_to_agreement_end", ((0, 100), (30, 90), (90, 60), (180, 20), (270, 0))),),
    ),
)


def factor_scores(frame: pd.DataFrame) -> pd.DataFrame:
    """The eight factors (columns by name, each 0-100) and ``churn_score`` (0-100) for each row of ``frame``.

    Columns that ``frame`` lacks count as null.
    """
    import pandas as pd

    scores: dict[str, np.ndarray] = {}
    for factor in FACTORS:
        read = [_apply(rule, frame, missing=0.0) for rule in factor.rules]
        total = np.max(np.vstack(read), axis=0)
        for multiplier in factor.multipliers:
            total = total * _apply(multiplier, frame, missing=1.0)
        scores[factor.name] = np.round(total, 2)
    weighted = sum(factor.weight * scores[factor.name] for factor in FACTORS)
    return pd.DataFrame({**scores, "churn_score": np.round(weighted, 2)}, index=frame.index)


def _apply(rule: Rule, frame: pd.DataFrame, missing: float) -> np.ndarray:
    import pandas as pd

    if rule.column not in frame.columns:
        return np.full(len(frame), missing)
    values = pd.to_numeric(frame[rule.column], errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    x, y = np.asarray(rule.points, dtype=float).T
    return np.where(np.isnan(values), missing, np.interp(values, x, y))
