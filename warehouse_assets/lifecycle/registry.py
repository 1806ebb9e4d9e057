"""Versions of models in `ml.model_version` and the champion among them. Plain SQL; no model is fitted or read here."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from warehouse_assets.errors import UserError

# Artifacts of older versions than these are let go (metrics and parameters stay): a model trained every day would
# otherwise add about a megabyte a day for ever.
KEPT_ARTIFACTS = 10

_COLUMNS = """
    model_version_id, model, version, created_at, run_id, algorithm, parameters, features, metrics, data_from, data_to,
    artifact, is_champion
"""


@dataclass(frozen=True)
class Candidate:
    """A model just trained. ``metrics`` are measured on data it was not trained on; NaN is stored as null."""

    model: str
    algorithm: str
    artifact: str
    features: list[dict[str, Any]]
    parameters: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    data_from: date | None = None
    data_to: date | None = None
    run_id: str | None = None


@dataclass(frozen=True)
class ModelVersion:
    """One row of `ml.model_version`; ``artifact`` is None where it was let go or not asked for."""

    model_version_id: int
    model: str
    version: int
    created_at: datetime
    run_id: str | None
    algorithm: str
    parameters: dict[str, Any]
    features: list[dict[str, Any]]
    metrics: dict[str, Any]
    data_from: date | None
    data_to: date | None
    artifact: str | None
    is_champion: bool


@dataclass(frozen=True)
class Guard:
    """When a challenger is clearly worse: its ``metric`` falls short of the champion's by more than ``tolerance``."""

    metric: str
    tolerance: float
    higher_is_better: bool = True

    def refuses(self, champion: ModelVersion, challenger: Candidate) -> str | None:
        """Why the challenger may not replace the champion, in one sentence; None when it may.

        It may when the champion could not score any more (other features, or another ``format`` among the parameters),
        when either lacks the metric, and when it is not clearly worse.
        """
        if champion.features != challenger.features:
            return None
        if champion.parameters.get("format") != challenger.parameters.get("format"):
            return None
        theirs, ours = _number(champion.metrics.get(self.metric)), _number(challenger.metrics.get(self.metric))
        if theirs is None or ours is None:
            return None
        short = theirs - ours if self.higher_is_better else ours - theirs
        if short <= self.tolerance:
            return None
        return (
            f"{self.metric} {ours:.4f} is worse than the champion's {theirs:.4f} (version {champion.version}) "
            f"by more than the {self.tolerance:.4f} allowed"
        )


@dataclass(frozen=True)
class Registration:
    """What became of a candidate: its row, and why it did not become champion (None when it did)."""

    version: ModelVersion
    refusal: str | None


def train_alone(connection: psycopg.Connection, model: str) -> None:
    """Wait until no other transaction trains ``model``, and keep others out to the end of the open one.

    Asked before the training looks at what has changed, it saves a second run from training the same again.
    """
    connection.execute("select pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"model {model}",))


def register(connection: psycopg.Connection, candidate: Candidate, guard: Guard) -> Registration:
    """Store ``candidate`` as the next version and make it champion unless ``guard`` refuses, in the open transaction.

    A lock per model makes a second writer wait, so versions count up without gaps and there is one champion.

    Raises:
        UserError: the artifact is empty or holds a NUL character, or a metric cannot be written as JSON.
    """
    if not candidate.artifact or "\x00" in candidate.artifact:
        raise UserError(f"The artifact of model {candidate.model} is empty or not text; nothing was registered.")
    train_alone(connection, candidate.model)
    current = champion(connection, candidate.model)
    refusal = guard.refuses(current, candidate) if current else None
    if refusal is None:
        connection.execute(
            "update ml.model_version set is_champion = false where model = %s and is_champion", (candidate.model,)
        )
    version = _insert(connection, candidate, is_champion=refusal is None)
    connection.execute(
        """
        update ml.model_version
        set artifact = null
        where model = %s and version <= %s and artifact is not null and not is_champion
        """,
        (candidate.model, version.version - KEPT_ARTIFACTS),
    )
    return Registration(version, refusal)


def _insert(connection: psycopg.Connection, candidate: Candidate, is_champion: bool) -> ModelVersion:
    """Write the row of the model's next version."""
    query = f"""
        insert into ml.model_version
            (
                model, version, run_id, algorithm, parameters, features, metrics, data_from, data_to, artifact,
                is_champion
            )
        select
            %(model)s,
            coalesce(max(version), 0) + 1,
            %(run_id)s,
            %(algorithm)s,
            %(parameters)s,
            %(features)s,
            %(metrics)s,
            %(data_from)s,
            %(data_to)s,
            %(artifact)s,
            %(is_champion)s
        from ml.model_version
        where model = %(model)s
        returning {_COLUMNS}
    """  # noqa: S608  the column list is a constant of this module
    with connection.cursor(row_factory=class_row(ModelVersion)) as cursor:
        cursor.execute(
            query,
            {
                "model": candidate.model,
                "run_id": candidate.run_id,
                "algorithm": candidate.algorithm,
                "parameters": Jsonb(_json_safe(candidate.parameters)),
                "features": Jsonb(candidate.features),
                "metrics": Jsonb(_json_safe(candidate.metrics)),
                "data_from": candidate.data_from,
                "data_to": candidate.data_to,
                "artifact": candidate.artifact,
                "is_champion": is_champion,
            },
        )
        version = cursor.fetchone()
    assert version is not None  # noqa: S101  an insert … returning of one aggregate row returns one row
    return version


def champion(connection: psycopg.Connection, model: str) -> ModelVersion | None:
    """The version of ``model`` that is in service, with its artifact; None before any."""
    query = f"select {_COLUMNS} from ml.model_version where model = %s and is_champion"  # noqa: S608  constant list
    with connection.cursor(row_factory=class_row(ModelVersion)) as cursor:
        return cursor.execute(query, (model,)).fetchone()


def versions(connection: psycopg.Connection, model: str) -> list[ModelVersion]:
    """All versions of ``model``, newest first, without their artifacts."""
    columns = _COLUMNS.replace("artifact", "null as artifact")
    query = f"select {columns} from ml.model_version where model = %s order by version desc"  # noqa: S608  as above
    with connection.cursor(row_factory=class_row(ModelVersion)) as cursor:
        return cursor.execute(query, (model,)).fetchall()


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _json_safe(value: Any) -> Any:
    """The value with numpy numbers as Python's and anything not finite as null, which JSON lacks."""
    if isinstance(value, dict):
        return {str(key): _json_safe(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json_safe(item) for item in value]
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, date):
        return value.isoformat()
    number = value.item() if hasattr(value, "item") else value
    if isinstance(number, bool | int):
        return number
    if isinstance(number, float):
        return number if math.isfinite(number) else None
    raise UserError(
        f"{value!r} of type {type(value).__name__} cannot be stored with a model version; use numbers or text."
    )
