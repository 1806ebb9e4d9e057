"""Simulated customer-months for the tests of the churn model and of its assets. Tests do not belong here."""

import numpy as np
import pandas as pd

FIRST = pd.Timestamp("2025-01-01")
MONTHS = 14


def customer_months(customers: int = 160, months: int = MONTHS, seed: int = 0) -> pd.DataFrame:
    """Customers observed monthly who leave by a hazard of missed pickups and overdue money; labels as in SQL."""
    rng = np.random.default_rng(seed)
    alive = np.ones(customers, dtype=bool)
    left_in = np.full(customers, np.inf)
    service = rng.choice(["trash", "recycling"], customers)
    luck, means = rng.gamma(1.0, 1.0, customers), rng.beta(0.5, 1.5, customers)
    frames = []
    for number in range(months):
        missed = rng.poisson(luck)
        overdue = np.clip(means + rng.normal(0, 0.1, customers), 0, 1)
        hazard = 1 / (1 + np.exp(-(-5.0 + 0.8 * missed + 2.5 * overdue)))
        frames.append(
            pd.DataFrame(
                {
                    "customer_id": [f"C-{index:04d}" for index in range(customers)],
                    "month": FIRST + pd.DateOffset(months=number),
                    "is_current": number == months - 1,
                    "service_type": service,
                    "is_municipal": pd.array(rng.random(customers) < 0.5, dtype="boolean"),
                    "missed_pickups_90d": missed.astype(float),
                    "overdue_ratio": overdue,
                    "satisfaction_avg_180d": np.where(
                        rng.random(customers) < 0.5, np.nan, rng.uniform(1, 5, customers)
                    ),
                    "tenure_months": rng.integers(1, 60, customers).astype(float),
                }
            )[alive].assign(number=number)
        )
        leaves = alive & (rng.random(customers) < hazard)
        left_in[leaves] = number
        alive &= ~leaves
    frame = pd.concat(frames, ignore_index=True)
    index = frame["customer_id"].str[2:].astype(int)
    leaves = pd.Series(left_in[index] < frame["number"] + 3).astype("boolean")
    frame["is_churned_90d"] = leaves.mask(frame["number"] + 3 > months - 1)
    return frame.drop(columns="number")


def latest(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[frame["month"] == frame["month"].max()]
