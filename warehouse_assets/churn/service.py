"""What the churn assets do, on an open connection and without Dagster: train and register, score and write."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from warehouse_assets.churn import storage, training
from warehouse_assets.churn.soundness import require_sound
from warehouse_assets.extract.state import inputs_moved, inputs_seen, mark_changed, record_inputs
from warehouse_assets.lifecycle import registry

if TYPE_CHECKING:
    import psycopg

MODEL = "churn"
MODEL_TABLE, PREDICTION_TABLE = "ml.churn_model", "ml.churn_prediction"
TRAINING_INPUTS = ("customer_month",)
SCORING_INPUTS = ("customer_month", MODEL_TABLE)
# By how much less than the champion a challenger may be ahead of the eight-factor score in AUC, each in its own test
# months: by two standard errors of its own test AUC, or by this at least.
AUC_TOLERANCE = 0.02


@dataclass(frozen=True)
class Outcome:
    """What an asset did: ``state`` in a word or a sentence, and figures for its metadata."""

    state: str
    figures: dict[str, Any] = field(default_factory=dict)


def train_model(connection: psycopg.Connection, run_id: str | None, force: bool = False) -> Outcome:
    """Train when labelled customer-months have changed since the champion, and register the result.

    Too little data is an outcome, not an error. Everything is written in the connection's open transaction.

    Raises:
        UserError: the features are missing, or rows of them cannot be true.
    """
    registry.train_alone(connection, MODEL)
    if not force and not inputs_moved(connection, MODEL_TABLE, TRAINING_INPUTS):
        return Outcome("unchanged")
    seen = inputs_seen(connection, TRAINING_INPUTS)
    require_sound(connection)
    frame = storage.read_customer_months(connection)
    training.require_keys(frame)
    if reason := training.too_little(frame):
        record_inputs(connection, MODEL_TABLE, TRAINING_INPUTS, seen)
        return Outcome(reason)
    latest = next(iter(registry.versions(connection, MODEL)), None)
    if not force and latest and latest.parameters.get("data_hash") == training.data_hash(frame):
        record_inputs(connection, MODEL_TABLE, TRAINING_INPUTS, seen)
        return Outcome(f"unchanged: version {latest.version} has seen the same labelled customer-months")
    model = training.train(frame)
    candidate = registry.Candidate(
        MODEL,
        "lightgbm + ridge logistic + eight-factor score, calibrated",
        model.to_text(),
        storage.feature_list(model),
        model.parameters,
        model.metrics,
        model.data_from,
        model.data_to,
        run_id,
    )
    guard = registry.Guard("auc_over_factors", max(AUC_TOLERANCE, 2.0 * model.metrics["auc_se"]))
    registered = registry.register(connection, candidate, guard)
    record_inputs(connection, MODEL_TABLE, TRAINING_INPUTS, seen)
    if registered.refusal is None:
        mark_changed(connection, MODEL_TABLE, [])
    return Outcome(
        f"trained, but not in service: {registered.refusal}" if registered.refusal else "trained, in service",
        {"version": registered.version.version, **model.metrics},
    )


def score_customers(connection: psycopg.Connection, run_id: str | None, force: bool = False) -> Outcome:
    """Score the customers of the latest month with the champion and replace that month's predictions.

    Without a champion, or without customers, nothing is written and the outcome says so. The rules of the features are
    asked here too: a run of this asset alone does not pass the check on its input.

    Raises:
        UserError: the features are missing, differ from the model's, or have rows that cannot be true.
    """
    if not force and not inputs_moved(connection, PREDICTION_TABLE, SCORING_INPUTS):
        return Outcome("unchanged")
    seen = inputs_seen(connection, SCORING_INPUTS)
    champion = registry.champion(connection, MODEL)
    month = storage.latest_month(connection) if champion else None
    if champion is None or champion.artifact is None:
        record_inputs(connection, PREDICTION_TABLE, SCORING_INPUTS, seen)
        return Outcome("no predictions: there is no churn model in service (the asset ml/churn_model says why)")
    if month is None:
        record_inputs(connection, PREDICTION_TABLE, SCORING_INPUTS, seen)
        return Outcome("no predictions: features.customer_month has no rows")
    require_sound(connection)
    model = training.ChurnModel.from_text(champion.artifact)
    scored = training.score(model, storage.read_customer_months(connection, month))
    rows = storage.write_predictions(connection, scored, champion.model_version_id, run_id)
    mark_changed(connection, PREDICTION_TABLE, [month])
    record_inputs(connection, PREDICTION_TABLE, SCORING_INPUTS, seen)
    tiers = scored["risk_tier"].value_counts()
    return Outcome(
        "scored",
        {
            "dagster/row_count": rows,
            "as_of": str(month),
            "model_version": champion.version,
            "mean_probability": float(scored["churn_probability"].mean()),
            **{f"risk {tier}": int(tiers.get(tier, 0)) for tier in ("low", "medium", "high", "critical")},
        },
    )
