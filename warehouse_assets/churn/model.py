"""Churn probabilities for any table of customers: frames in, probabilities out. No database, no Dagster."""

from __future__ import annotations

import logging
import math
import re
from string import punctuation
from typing import TYPE_CHECKING, Any

import numpy as np

from warehouse_assets.churn import ensemble
from warehouse_assets.churn.cells import text_of
from warehouse_assets.errors import UserError

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

# What a label's text begins with when the customer left, and when not.
POSITIVE_WORDS = frozenset(
    {"1", "1.0", "true", "t", "yes", "y", "churn", "churned", "churner", "left", "leave", "leaver", "lost", "gone"}
    | {"exited", "attrited", "cancelled", "canceled", "closed", "terminated", "ended", "expired", "lapsed"}
    | {"defected", "inactive", "quit", "exit", "departed", "depart", "cancel", "canceling", "cancelling", "attrition"}
    | {"abandoned", "abandon", "dropped", "drop", "moved", "switched", "terminate", "close", "bad"}
    | {"leaving", "churning", "cancellation", "termination", "default", "defaulted", "disabled", "deactivated", "off"}
    | {"unsubscribed", "unsubscribe", "disconnected", "withdrawn", "withdrew", "resigned", "dropout", "former", "ex"}
)
NEGATIVE_WORDS = frozenset(
    {"0", "0.0", "false", "no", "stay", "stayed", "staying", "stayer", "retained", "retain", "kept", "remained"}
    | {"active", "enabled", "existing", "current", "open", "loyal", "renew", "renewed", "renewal", "good"}
    | {"subscribed", "continued", "continuing"}
)
OPENING_WORDS = frozenset({"did", "has", "have", "is", "was", "will", "customer"})
"""What a label may begin with before it says anything."""
NUMBERED = re.compile(r"(.*?)(\d+)", re.DOTALL)
"""A text that ends in a number, such as "class_10"."""

logger = logging.getLogger(__name__)


def fit_predict(train_features: Any, train_label: Any, test_features: Any) -> Floats:
    """Learn who leaves from one table and return the probability of leaving for each row of another.

    Args:
        train_features: one row per customer; columns of numbers, booleans, dates, texts or categories, any of them
            with missing values. A DataFrame, or what pandas makes one of: an array, a dict of columns, a list of rows,
            an Arrow or Polars table.
        train_label: the outcome of the same rows in the same order (matched by position, whatever the index): two
            values; True, the greater number (also as text, and of "class 9" and "class 10"), or a text such as "yes",
            "churned" or "not renewed" means left, beside one such as "active" the other. Of two texts that say nothing
            of this the rarer one is taken, and a logged warning names it. Rows without a label are not used.
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
    positive = _left_of_two(values, distinct) if len(distinct) == 2 else distinct[0]
    if len(distinct) == 1 and not _says_left(positive):
        return np.zeros(len(values)), known
    return (values == positive).to_numpy(dtype=float), known


def _left_of_two(values: pd.Series[Any], distinct: list[Any]) -> Any:
    """The one of two values that means left: by number, by word, or else the rarer one, which is told."""
    if all(isinstance(value, int | float | np.number | np.bool_) for value in distinct):
        return max(distinct)
    (stem, number), (other_stem, other_number) = map(_stem_and_number, distinct)
    if stem == other_stem and abs(number - other_number) > 0:
        return distinct[0] if number > other_number else distinct[1]
    said = [_says_left(value) for value in distinct]
    if said.count(True) == 1:
        return distinct[said.index(True)]
    if said.count(False) == 1:
        return distinct[1 - said.index(False)]
    count = {value: int((values == value).sum()) for value in distinct}
    rarer = max(distinct, key=lambda value: (-count[value], str(value)))  # of equals the greater, in whatever order
    logger.warning(
        "The labels %r and %r do not say which one means left; the rarer, %r (%d of %d), is taken for it. "
        "Give 0 and 1 to choose yourself.",
        *distinct, rarer, count[rarer], len(values),
    )  # fmt: skip
    return rarer


def _stem_and_number(value: Any) -> tuple[str, float]:
    """A label's text parted into what stands before the number at its end, and that number; NaN where it has none."""
    text = _label_text(value)
    try:
        number = float(text)
    except ValueError:
        found = NUMBERED.fullmatch(text)
        return (found[1], float(found[2])) if found else (text, math.nan)
    return "", number if math.isfinite(number) else math.nan


def _says_left(value: Any) -> bool | None:
    """Whether a text says that the customer left ("Churned", "not renewed") or not ("did not churn"); None if neither.

    "No" alone says that he did not, "no churn" neither, but "no longer active" and "no renewal" that he did.
    """
    words = [word.strip(punctuation) for word in re.split(r"[\s_-]+", _label_text(value).lower())]
    while words[1:] and words[0] in OPENING_WORDS:
        words = words[1:]
    if words[0] in ("not", "non", "no") and words[1:]:
        if words[1] in POSITIVE_WORDS:
            return False
        return True if words[0] != "no" or words[1] in NEGATIVE_WORDS | {"longer"} else None
    if words[0] in POSITIVE_WORDS:
        return True
    return False if words[0] in NEGATIVE_WORDS else None


def _label_text(value: Any) -> str:
    """A label as text; what ARFF readers give as bytes too."""
    return text_of(value.decode(errors="replace") if isinstance(value, bytes) else value)
