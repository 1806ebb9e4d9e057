"""Why customers leave and trucks fail: the stated laws, with every number. Who then leaves: ``life.py``."""

from dataclasses import dataclass

import numpy as np

from warehouse_assets.source.simulator.rows import Array, Rows

#: the eight factors, each 0-1, and what a full factor adds to the log-odds of leaving within a month
FACTOR_WEIGHTS: dict[str, float] = {
    "payment_delinquency": 2.4,
    "missed_pickups": 2.2,
    "complaints": 2.0,
    "satisfaction": 2.2,
    "volume_decline": 2.6,
    "engagement_decline": 1.9,
    "price_increase": 2.1,
    "agreement_expiry": 1.7,
}
#: log-odds of leaving within a month when every factor is 0
BASE_LOG_ODDS = -8.3

#: what the factors' unforeseen moves add to the log-odds expected now, one and two months ahead (half their variance)
SURPRISE = (0.0, 0.5, 0.8)

#: log-odds of failing on a working day: base, per 350 engine hours since the last service, per ten years of age,
#: per unit of drift (the sum of the engine's, the hydraulics' and the driveline's)
VEHICLE_BASE, VEHICLE_HOURS, VEHICLE_AGE, VEHICLE_DRIFT = -7.9, 0.9, 0.9, 2.4


@dataclass(frozen=True)
class Reason:
    """What a factor makes a leaving customer say."""

    factor: str
    end_reason: str


REASONS = (
    Reason("payment_delinquency", "non_payment"),
    Reason("missed_pickups", "service"),
    Reason("complaints", "service"),
    Reason("satisfaction", "service"),
    Reason("volume_decline", "closed"),
    Reason("engagement_decline", "competitor"),
    Reason("price_increase", "price"),
    Reason("agreement_expiry", "competitor"),
)


def churn_log_odds(factors: Rows) -> Array:
    """Log-odds of leaving within a month, from the eight factors (each an array of values 0-1)."""
    total = np.full(len(factors), BASE_LOG_ODDS)
    for name, weight in FACTOR_WEIGHTS.items():
        total += weight * factors[name]
    return total


def monthly_probability(log_odds: Array, scale: float, months: float = 1.0) -> Array:
    """Probability of leaving within ``months``; ``scale`` multiplies the monthly one."""
    monthly = np.minimum(scale / (1 + np.exp(-log_odds)), 0.95)
    return np.asarray(1 - (1 - monthly) ** months)


def probability_90_days(factors: Rows, next_factors: Rows, after_factors: Rows, scale: float) -> Array:
    """Probability of leaving within three months, given this month's factors and those expected for the next two."""
    stay = np.ones(len(factors))
    for month, surprise in zip((factors, next_factors, after_factors), SURPRISE, strict=True):
        stay *= 1 - monthly_probability(churn_log_odds(month) + surprise, scale)
    return np.asarray(1 - stay)


def vehicle_hazard(hours_since: Array, age_years: Array, drift: Array, scale: float) -> Array:
    """Probability of failing on a working day, from engine hours since service, age in years and summed drift."""
    log_odds = VEHICLE_BASE + VEHICLE_HOURS * hours_since / 350 + VEHICLE_AGE * age_years / 10 + VEHICLE_DRIFT * drift
    return np.asarray(np.minimum(scale / (1 + np.exp(-log_odds)), 0.9))
