"""Churn probabilities for any table of customers: frames in, probabilities out. No database, no Dagster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from warehouse_assets.churn import ensemble
from warehouse_assets.churn.cells import text_of
from warehouse_assets.errors import UserError

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

# What a label's text begins with when the customer left; of two that do not, the greater one is taken.
POSITIVE_WORDS = frozenset(
    {"1", "1.0", "true", "t", "yes", "y", "churn", "churned", "churner", "left", "leave", "leaver", "lost", "gone"}
    | {"exited", "attrited", "cancelled", "canceled", "closed", "terminated", "ended", "expired", "lapsed"}
    | {"defected", "inactive", "quit", "exit", "departed", "depart", "cancel", "canceling", "cancelling", "attrition"}
    | {"abandoned", "abandon", "dropped", "drop", "moved", "switched", "terminate", "close", "bad"}
)


def fit_predict(train_features: Any, train_label: Any, test_features: Any) -> Floats:
    """Learn who leaves from one table and return the probability of leaving for each row of another.

    Args:
        train_features: one row per customer; columns of numbers, booleans, dates, texts or categories, any of them
            with missing values. A DataFrame, or what pandas makes one of: an array, a dict of columns, a list of rows,
            an Arrow or Polars table.
        train_label: the outcome of the same rows in the same order (matched by position, whatever the index): two
            values; True, the greater number, or a text such as "yes", "churned" or "not renewed" means left, and of two
            texts that say neither the greater one. Rows without a label are not used.
        test_features: the rows to score, with at least the columns of ``train_features`` in any order; where one of the
            two has no column names, the same number of columns in the same order.

    Returns:
        Calibrated probabilities, float64, one per row of ``test_features`` and in its order. When all labels are
        equal they are the base rate. The same input gives the same output.

    Raises:
        UserError: something that is no table, column names that are not unique, lengths that do not match, no labelled
            row, more than two label values, or a training column that is missing from ``test_features``.
    """
    train = _as_frame(train_features, "training features")
    test = _as_frame(test_features, "features to score")
    if _is_nameless(train) != _is_nameless(test) and train.shape[1] == test.shape[1]:
        test = test.set_axis(train.columns, axis=1)
    label, known = read_label(train_label, len(train))
    return ensemble.fit(train.loc[known], label).predict(test)


def _as_frame(table: Any, what: str) -> pd.DataFrame:
    import pandas as pd

    if hasattr(table, "to_pandas"):  # Arrow and Polars; pandas would take their columns for rows
        table = table.to_pandas()
    elif hasattr(table, "toarray"):  # SciPy's sparse matrices
        table = table.toarray()
    if isinstance(table, pd.DataFrame):
        return table
    try:
        return pd.DataFrame(table)
    except (TypeError, ValueError) as error:
        raise UserError(
            f"The {what} are no table ({type(table).__name__}: {error}); give a DataFrame, a two-dimensional array, "
            "a dict of columns or a list of rows."
        ) from error


def _is_nameless(frame: pd.DataFrame) -> bool:
    import pandas as pd

    return isinstance(frame.columns, pd.RangeIndex)


def read_label(label: Any, rows: int) -> tuple[Floats, NDArray[np.bool_]]:
    """The label as 0.0/1.0 for its labelled rows, and the mask of those rows.

    Raises:
        UserError: it is no column or more than one, the number of rows is not ``rows``, no row is labelled, or there
            are more than two values.
    """
    import pandas as pd

    if np.ndim(label) == 2:
        if np.shape(label)[1] != 1:
            raise UserError(f"The label has {np.shape(label)[1]} columns; give one column, the outcome of each row.")
        label = pd.DataFrame(label).iloc[:, 0]
    try:
        series = pd.Series(label).reset_index(drop=True)
        distinct = list(pd.unique(series.dropna()))
    except (TypeError, ValueError) as error:
        raise UserError(
            f"The label is no column ({type(label).__name__}: {error}); give a Series or a list, one value per row."
        ) from error
    if len(series) != rows:
        raise UserError(f"The label has {len(series)} rows, the features have {rows}; give one label per row.")
    known = series.notna().to_numpy()
    values = series[known]
    if not distinct:
        raise UserError("No row has a label; give the outcome (left or stayed) of at least some customers.")
    if len(distinct) > 2:
        shown = ", ".join(map(repr, pd.Series(distinct[:4]).tolist()))
        rest = " …" if distinct[4:] else ""
        raise UserError(f"The label has {len(distinct)} different values ({shown}{rest}); it must have two.")
    if len(distinct) == 2 and _are_numbers(distinct):
        positive = [max(distinct)]
    else:
        positive = [value for value in distinct if _means_left(value)]
        if len(distinct) == 2 and len(positive) != 1:
            positive = [max(distinct, key=str)]
    return (values == positive[0]).to_numpy(dtype=float) if positive else np.zeros(len(values)), known


def _means_left(value: Any) -> bool:
    """Whether a text says that the customer left: "Churned", "yes", "not renewed"; but not "did not churn"."""
    words = text_of(value).lower().split()
    if words[:1] == ["did"]:
        words = words[1:]
    if words[:1] == ["not"]:
        return words[1:2] != [] and words[1] not in POSITIVE_WORDS
    return bool(words) and words[0] in POSITIVE_WORDS


def _are_numbers(values: list[Any]) -> bool:
    return all(isinstance(value, int | float | np.number | np.bool_) for value in values)
