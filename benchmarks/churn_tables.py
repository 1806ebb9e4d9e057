"""Churn probabilities side by side: our fit_predict, a logistic regression and a plain LightGBM, on several tables.

    .venv/bin/python -m benchmarks.churn_tables [--quick] [--repeats N] [--only NAME] [FILE.csv:TARGET …]

Tables: two real ones from shared/data when present (machine failures, CDNOW buyers who stop buying), scikit-learn's
breast cancer, synthetic ones, and any CSV given as FILE:TARGET. Prints AUC, PR-AUC, Brier, ECE (10 groups of equal
size) and seconds, averaged over random splits 70/30, and at the end the ratios of our Brier score and of our ranking
error (1 - AUC) to each baseline's; below 1 is better.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

from warehouse_assets.churn.metrics import metrics
from warehouse_assets.churn.model import fit_predict, read_label

SHARED = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
SHOWN = ("auc", "pr_auc", "brier", "ece", "seconds")


def logistic(train: pd.DataFrame, label: pd.Series, test: pd.DataFrame) -> np.ndarray:
    """Logistic regression on scaled numbers (median for missing) and one-hot categories of at least 10 rows."""
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = list(train.select_dtypes("number").columns)
    others = [column for column in train.columns if column not in numbers]
    encoder = make_column_transformer(
        (make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler()), numbers),
        (OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=10), others),
    )
    model = make_pipeline(encoder, LogisticRegression(max_iter=2000))
    as_text = {column: (lambda frame, c=column: frame[c].astype(str)) for column in others}
    return model.fit(train.assign(**as_text), label).predict_proba(test.assign(**as_text))[:, 1]


def plain_lightgbm(train: pd.DataFrame, label: pd.Series, test: pd.DataFrame) -> np.ndarray:
    """LightGBM's classifier with its defaults and pandas categories."""
    import lightgbm

    both = pd.concat([train, test])
    for column in both.columns:
        if pd.api.types.is_datetime64_any_dtype(both[column]):
            both[column] = both[column].astype("int64")
        elif not pd.api.types.is_numeric_dtype(both[column]):
            both[column] = both[column].astype("category")
    both.columns = [f"f{i}" for i in range(both.shape[1])]
    model = lightgbm.LGBMClassifier(verbosity=-1, n_jobs=2, random_state=0)
    return model.fit(both.iloc[: len(train)], label).predict_proba(both.iloc[len(train) :])[:, 1]


METHODS = {"ours": fit_predict, "logistic": logistic, "lightgbm": plain_lightgbm}


def machine_failures() -> tuple[pd.DataFrame, pd.Series]:
    """AI4I 2020, without the failure-mode columns that hold the answer."""
    frame = pd.read_csv(SHARED / "maintenance" / "ai4i2020.csv.gz", encoding="utf-8-sig")
    return frame.drop(columns=["Machine failure", "TWF", "HDF", "PWF", "OSF", "RNF"]), frame["Machine failure"]


def cdnow_buyers() -> tuple[pd.DataFrame, pd.Series]:
    """CDNOW customers as of 1997-10-01: features from purchases before, churned when none follows in 270 days."""
    rows = pd.read_csv(SHARED / "customers" / "cdnow_transactions.csv.gz", parse_dates=["date"])
    as_of = pd.Timestamp("1997-10-01")
    past, future = rows[rows["date"] < as_of], rows[rows["date"] >= as_of]
    by_customer = past.groupby("customer_id")
    frame = pd.DataFrame(
        {
            "first_purchase": by_customer["date"].min(),
            "last_purchase": by_customer["date"].max(),
            "purchases": by_customer.size(),
            "items": by_customer["qty"].sum(),
            "spent_usd": by_customer["amount"].sum(),
            "largest_usd": by_customer["amount"].max(),
            "mean_usd": by_customer["amount"].mean(),
            "purchases_90d": past[past["date"] >= as_of - pd.Timedelta(days=90)].groupby("customer_id").size(),
        }
    )
    frame["days_since_last"] = (as_of - frame["last_purchase"]).dt.days
    churned = ~frame.index.isin(future.loc[future["date"] < as_of + pd.Timedelta(days=270), "customer_id"])
    return frame.reset_index(), pd.Series(churned, index=frame.index).reset_index(drop=True)


def breast_cancer() -> tuple[pd.DataFrame, pd.Series]:
    """scikit-learn's breast cancer table, 569 rows."""
    from sklearn.datasets import load_breast_cancer

    return load_breast_cancer(as_frame=True, return_X_y=True)


def synthetic(rows: int, columns: int, rate: float, seed: int) -> tuple[pd.DataFrame, pd.Series]:
    """make_classification with 5% flipped labels, a fifth of the columns cut into categories, 5% of cells missing."""
    from sklearn.datasets import make_classification

    values, label = make_classification(
        rows, columns, n_informative=max(4, columns // 4), n_redundant=columns // 5, n_clusters_per_class=3,
        weights=[1 - rate], flip_y=0.05 * min(1.0, rate * 4), class_sep=0.7, random_state=seed,
    )  # fmt: skip
    frame = pd.DataFrame(values, columns=[f"x{i}" for i in range(columns)])
    rng = np.random.default_rng(seed)
    for index in range(columns // 5):
        levels = int(rng.integers(2, 40))
        frame[f"x{index}"] = "c" + pd.Series(pd.qcut(frame[f"x{index}"], levels, labels=False)).astype(str)
    frame = frame.mask(rng.random(frame.shape) < 0.05)
    frame["customer"] = [f"C-{number:07d}" for number in rng.permutation(rows)]
    return frame, pd.Series(label)


def additive(rows: int, rate: float, seed: int) -> tuple[pd.DataFrame, pd.Series, np.ndarray]:
    """A churn table whose true hazard is additive in log-odds; also returns the true probabilities."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "tenure_months": rng.integers(1, 90, rows),
            "mrr_usd": rng.lognormal(5, 1, rows).round(2),
            "overdue_ratio": np.clip(rng.beta(0.4, 4, rows), 0, 1),
            "missed_pickups": rng.poisson(0.8, rows),
            "complaints": rng.poisson(0.3, rows),
            "satisfaction": np.where(rng.random(rows) < 0.4, np.nan, rng.integers(1, 6, rows)),
            "volume_change": rng.normal(0, 0.3, rows),
            "price_increase": np.where(rng.random(rows) < 0.3, rng.uniform(0.02, 0.2, rows), 0.0),
            "days_to_end": rng.integers(0, 720, rows),
            "service": rng.choice(["residential", "commercial", "roll_off", "recycling"], rows),
            "depot": rng.choice([f"depot {i}" for i in range(35)], rows),
        }
    )
    score = (
        2.5 * frame["overdue_ratio"] + 0.35 * frame["missed_pickups"] + 0.5 * frame["complaints"]
        - 0.4 * (frame["satisfaction"].fillna(3.5) - 3.5) - 1.2 * frame["volume_change"] + 6 * frame["price_increase"]
        + 1.2 * (frame["days_to_end"] < 90) - 0.01 * frame["tenure_months"] + 0.4 * (frame["service"] == "roll_off")
    ).to_numpy(dtype=float)  # fmt: skip
    low, high = -12.0, 6.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if (1 / (1 + np.exp(-score - middle))).mean() < rate else (low, middle)
    truth = 1 / (1 + np.exp(-score - low))
    return frame, pd.Series((rng.random(rows) < truth).astype(int)), truth


def tables(quick: bool, files: list[str]) -> dict[str, tuple[pd.DataFrame, pd.Series]]:
    """Name → (features, label)."""
    found: dict[str, tuple[pd.DataFrame, pd.Series]] = {}
    if (SHARED / "maintenance").is_dir():
        found["ai4i"] = machine_failures()
    if (SHARED / "customers").is_dir():
        found["cdnow"] = cdnow_buyers()
    found["breast_cancer"] = breast_cancer()
    found["additive_3000"] = additive(3_000, 0.15, 1)[:2]
    found["additive_500"] = additive(500, 0.1, 2)[:2]
    found["tiny_80"] = additive(80, 0.25, 3)[:2]
    found["clusters_5000"] = synthetic(5_000, 20, 0.2, 1)
    found["rare_10000"] = synthetic(10_000, 30, 0.01, 2)
    if not quick:
        found["wide_10000"] = synthetic(10_000, 100, 0.2, 3)
        found["long_100000"] = additive(100_000, 0.08, 4)[:2]
    for item in files:
        path, _, target = item.rpartition(":")
        frame = pd.read_csv(path).dropna(subset=[target])
        found[Path(path).stem] = (frame.drop(columns=target), frame[target])
    return found


def main() -> None:
    """Run every method on every table and print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", metavar="FILE.csv:TARGET")
    parser.add_argument("--quick", action="store_true", help="leave out the tables that take minutes")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--only", default="", help="tables whose name contains this")
    options = parser.parse_args()
    chosen = {name: table for name, table in tables(options.quick, options.files).items() if options.only in name}
    if not chosen:
        sys.exit(f"No table has {options.only!r} in its name.")
    print(f"{'table':16} {'method':9} " + " ".join(f"{name:>8}" for name in SHOWN))
    ratios: dict[str, list[tuple[float, float]]] = {name: [] for name in METHODS if name != "ours"}
    for name, (features, raw) in chosen.items():
        frame = features.reset_index(drop=True)
        label = pd.Series(read_label(raw, len(frame))[0])
        results: dict[str, dict[str, float]] = {}
        for method, predict in METHODS.items():
            runs = []
            for repeat in range(options.repeats * (4 if len(frame) < 1000 else 1)):
                test = np.random.default_rng(repeat).random(len(frame)) < 0.3
                start = time.perf_counter()
                probability = predict(frame[~test], label[~test], frame[test])
                seconds = time.perf_counter() - start
                runs.append({**metrics(label[test], probability), "seconds": seconds})
            results[method] = pd.DataFrame(runs).mean().to_dict()
            print(f"{name:16} {method:9} " + " ".join(f"{results[method][key]:8.4f}" for key in SHOWN), flush=True)
        for other, values in ratios.items():
            ours, theirs = results["ours"], results[other]
            values.append(((1 - ours["auc"]) / (1 - theirs["auc"]), ours["brier"] / theirs["brier"]))
    for other, pairs in ratios.items():
        errors, briers = np.exp(np.mean(np.log(np.asarray(pairs)), axis=0))
        print(f"ours / {other}: ranking error (1 - AUC) {errors:.3f}, Brier {briers:.3f} (geometric means)")


if __name__ == "__main__":
    main()
