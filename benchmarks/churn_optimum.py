"""The churn model beside the best anyone could do on a simulated company: the true probabilities it was made with.

    WAREHOUSE_HOME=… .venv/bin/python -m benchmarks.churn_optimum [--windows N]

Reads `features.customer_month` and the planted truths of the home (run `warehouse run` before). For N test windows of
three months, each judged by a model trained on what was known 90 days before, prints AUC, PR-AUC, lift, Brier and ECE
of the model, the eight-factor score's AUC and the truth's, and the mean difference of AUC to the truth (reach: -0.02).
"""

from __future__ import annotations

import argparse
import sys
import time

import numpy as np
import pandas as pd

from warehouse_assets.churn import ensemble, training
from warehouse_assets.churn.factors import factor_scores
from warehouse_assets.churn.metrics import auc, metrics
from warehouse_assets.churn.storage import read_customer_months
from warehouse_assets.database.connections import connect
from warehouse_assets.database.databases import resolve
from warehouse_assets.errors import UserError
from warehouse_assets.settings import Settings

SHOWN = ("auc", "pr_auc", "lift_top_decile", "brier", "ece")


def read() -> pd.DataFrame:
    """Labelled customer-months with `true_probability_90d` beside the features."""
    databases = resolve(Settings.from_env())
    try:
        with connect(databases.warehouse, application_name="churn optimum") as connection:
            months = read_customer_months(connection)
    except UserError as error:
        sys.exit(f"{error} `warehouse run` fills a home.")
    if databases.planted is None:
        sys.exit("This home has no planted truths: it was not filled by the simulator.")
    with connect(databases.planted, application_name="churn optimum") as connection:
        rows = connection.execute("select customer_id, as_of, true_probability_90d from planted.churn").fetchall()
    truth = pd.DataFrame(rows, columns=["customer_id", "month", "truth"]).astype({"month": "datetime64[s]"})
    return training.labelled(months.merge(truth, on=["customer_id", "month"]))


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", type=int, default=3)
    options = parser.parse_args()
    known = read()
    features = tuple(feature for feature in training.describe(known) if feature.name != "truth")
    table, label = training.with_factors(known, features), known[training.LABEL].to_numpy(dtype=float)
    distinct = np.sort(known["month"].unique())
    gaps = []
    print(f"{'test from':11} " + " ".join(f"{name:>16}" for name in (*SHOWN, "AUC of factors", "AUC of truth", "s")))
    for window in range(options.windows):
        first = pd.Timestamp(distinct[len(distinct) - 3 * (window + 1)])
        train = np.flatnonzero(known["month"] + pd.Timedelta(days=training.WINDOW_DAYS) <= first)
        test = np.flatnonzero((known["month"] >= first) & (known["month"] < first + pd.DateOffset(months=3)))
        start = time.perf_counter()
        customers = known["customer_id"].to_numpy()[train]
        fitted = ensemble.fit(table.iloc[train], label[train], customers, known_score=training.FACTOR_WEIGHTS)
        found = metrics(label[test], fitted.predict(table.iloc[test]))
        seconds = time.perf_counter() - start
        best = auc(label[test], known["truth"].to_numpy()[test])
        factors = auc(label[test], factor_scores(known.iloc[test])["churn_score"])
        gaps.append(found["auc"] - best)
        values = (*(found[name] for name in SHOWN), factors, best, seconds)
        print(f"{first.date()!s:11} " + " ".join(f"{value:16.4f}" for value in values), flush=True)
    print(f"AUC of the model less that of the truth, mean of {len(gaps)} windows: {np.mean(gaps):+.4f}")


if __name__ == "__main__":
    main()
