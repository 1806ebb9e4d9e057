"""From a frame of any columns to the two numeric matrices the churn learners read; what was learned is plain JSON.

Nothing here looks at labels except the target means of high-cardinality columns, which are fitted per fold by
the caller. No model and no database belongs here.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from warehouse_assets.churn.cells import (
    Kind,
    are_calendar_numbers,
    as_days,
    as_numbers,
    as_text,
    is_time,
    kind_of_text,
)
from warehouse_assets.errors import UserError

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

# Categories up to this many are handed to LightGBM as they are and one-hot encoded for the linear learner; above it
# a column becomes its target mean and its frequency (one-hot columns of a few rows each only add noise).
NATIVE_CATEGORIES = 24
# A text column of which this share of values is distinct names the row, not the customer's kind: it is left out.
IDENTIFIER_RATIO = 0.9
# Of so many date columns the differences are taken, two by two.
DATES_COMPARED = 6
QUANTILES = np.linspace(0.0, 1.0, 21)
HINGES = (0.25, 0.5, 0.75)
TARGET_MEAN_PRIOR_ROWS = 20.0
# A name that ends in such a word by itself (customer_id), in camel case (rowNumber), or after what it counts (userid,
# CLIENTNUM); amount_paid and highest_bid only end in the same letters.
_IDENTIFIER_NAME = re.compile(
    r"(?i:(^|[\s_.-]|user|customer|cust|client|account|acct|member|person|order|record|row)"
    r"(id|uuid|guid|key|no|nr|num|number|row|index)$)"
    r"|(?<=[a-z\d])(Id|ID|UUID|Num|NUM|Number)$"
)


@dataclass(frozen=True)
class Column:
    """What one column of the training frame is, and what it takes to read it the same way again."""

    name: str
    kind: Kind
    dtype: str
    why: str = ""
    low: float = 0.0
    high: float = 0.0
    centre: float = 0.0
    spread: float = 1.0
    quantiles: tuple[float, ...] = ()
    has_missing: bool = False
    categories: tuple[str, ...] = ()
    shares: tuple[float, ...] = ()

    @property
    def is_wide(self) -> bool:
        """Whether the column has too many categories to be taken one by one."""
        return self.kind == "category" and len(self.categories) > NATIVE_CATEGORIES


@dataclass(frozen=True)
class Design:
    """One numeric matrix: ``values`` (rows x columns), a name for each column and the source column it came from.

    ``categorical`` has the positions of the columns that hold codes of categories.
    """

    values: Floats
    names: list[str]
    source: list[str]
    categorical: list[int]


@dataclass
class _DesignColumns:
    """The columns of a design while it is made."""

    rows: int
    parts: list[Floats] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    source: list[str] = field(default_factory=list)
    categorical: list[int] = field(default_factory=list)

    def add(self, values: Any, name: str, column: Column, is_category: bool = False) -> None:
        if is_category:
            self.categorical.append(len(self.parts))
        self.parts.append(np.asarray(values, dtype=np.float64))
        self.names.append(name)
        self.source.append(column.name)

    def design(self) -> Design:
        matrix = np.column_stack(self.parts) if self.parts else np.empty((self.rows, 0))
        return Design(matrix, self.names, self.source, self.categorical)


def column_names(frame: pd.DataFrame) -> list[str]:
    """Names of the frame's columns as text.

    Raises:
        UserError: two columns have the same name.
    """
    names = [str(name) for name in frame.columns]
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise UserError(
            f"The feature table has more than one column named {', '.join(map(repr, twice[:5]))}; "
            "rename or drop the duplicates."
        )
    return names


def learn_columns(frame: pd.DataFrame) -> tuple[Column, ...]:
    """Decide for every column of ``frame`` what it is (number, category, date, or of no use) and learn its scales.

    Text that reads as numbers or dates in 95% of its filled cells is taken as such; text and identifiers that differ
    in nearly every row, and columns with a single value, are marked ``ignored`` with the reason in ``why``.
    """
    return tuple(_learn_column(name, frame.iloc[:, position]) for position, name in enumerate(column_names(frame)))


def read_column(column: Column, series: pd.Series) -> Any:
    """The column's values as the model knows them: float64 for numbers and dates (days since 1970), else text.

    Missing, unreadable and wrongly typed cells are NaN (None for text); infinite numbers come back just outside
    the range seen in training.
    """
    if column.kind == "category":
        return as_text(series)
    values = as_days(series) if column.kind == "datetime" else as_numbers(series)
    if column.quantiles:
        margin = (column.high - column.low) * 0.05 + 1.0
        values = np.where(np.isposinf(values), column.high + margin, values)
        values = np.where(np.isneginf(values), column.low - margin, values)
    return values


def read_frame(columns: tuple[Column, ...], frame: pd.DataFrame) -> dict[str, Any]:
    """All used columns of ``frame`` by name, read as at training.

    Raises:
        UserError: a column of the training frame is missing, or a name stands twice.
    """
    names = column_names(frame)
    position = {name: index for index, name in enumerate(names)}
    missing = [column.name for column in columns if column.name not in position]
    if missing:
        raise UserError(
            f"The table to score lacks {len(missing)} column(s) the model was trained on: {', '.join(missing[:8])}; "
            "add them (null where unknown)."
        )
    return {
        column.name: read_column(column, frame.iloc[:, position[column.name]])
        for column in columns
        if column.kind != "ignored"
    }


def target_means(codes: NDArray[np.intp], label: Floats, size: int) -> Floats:
    """Smoothed log-odds of the label for each of ``size`` category codes (length size + 1; the last is the prior).

    Smoothing adds 20 rows at the overall rate (Micci-Barreca 2001), so rare categories stay near it.
    """
    prior = (label.sum() + 0.5) / (len(label) + 1.0)
    counts = np.bincount(codes, minlength=size + 1)[: size + 1].astype(float)
    sums = np.bincount(codes, weights=label, minlength=size + 1)[: size + 1]
    counts[size] = sums[size] = 0.0
    rate = (sums + TARGET_MEAN_PRIOR_ROWS * prior) / (counts + TARGET_MEAN_PRIOR_ROWS)
    return np.asarray(np.log(rate / (1.0 - rate)))


def category_codes(column: Column, texts: Any) -> NDArray[np.intp]:
    """Position of each text in ``column.categories``; rare, unseen and missing texts get ``len(categories)``."""
    import pandas as pd

    codes = pd.Index(column.categories, dtype=object).get_indexer(pd.Index(texts, dtype=object))
    return np.where(codes < 0, len(column.categories), codes).astype(np.intp)


def wide_codes(columns: tuple[Column, ...], cells: dict[str, Any]) -> dict[str, NDArray[np.intp]]:
    """Category codes of the columns with too many categories, by column name."""
    return {column.name: category_codes(column, cells[column.name]) for column in columns if column.is_wide}


def tree_design(columns: tuple[Column, ...], cells: dict[str, Any]) -> Design:
    """The matrix for the trees, without the target means: NaN is missing, categories are codes."""
    made = _DesignColumns(len(next(iter(cells.values()), ())))
    for column in columns:
        if column.kind == "ignored":
            continue
        values = cells[column.name]
        if column.kind == "number":
            made.add(values, column.name, column)
        elif column.kind == "datetime":
            made.add(values, column.name, column)
            made.add(np.floor(values) % 7, f"{column.name} weekday", column)
            made.add(np.floor(values) % 365.2425 / 30.436875, f"{column.name} month", column)
        elif column.is_wide:
            codes = category_codes(column, values)
            made.add(
                np.append(np.log(np.asarray(column.shares) + 1e-9), np.nan)[codes], f"{column.name} frequency", column
            )
        else:
            codes = category_codes(column, values)
            filled = values != np.asarray(None)
            made.add(np.where(filled, codes, np.nan), column.name, column, is_category=True)
    # How long before the end of a membership the last payment came is told by no date alone.
    dates = [column for column in columns if column.kind == "datetime"][:DATES_COMPARED]
    for index, later in enumerate(dates):
        for earlier in dates[:index]:
            made.add(cells[later.name] - cells[earlier.name], f"{later.name} minus {earlier.name}", later)
    return made.design()


def linear_design(columns: tuple[Column, ...], cells: dict[str, Any], with_hinges: bool) -> Design:
    """The matrix for the linear learner, without the target means: every value finite and of order 1.

    A number becomes its standardized value, its rank among the training values and, when ``with_hinges``, three
    hinges on that rank (a piecewise-linear additive model); a missing value gets its own indicator.
    """
    made = _DesignColumns(len(next(iter(cells.values()), ())))
    for column in columns:
        if column.kind == "ignored":
            continue
        values = cells[column.name]
        if column.kind == "category":
            if column.is_wide:
                continue
            codes = category_codes(column, values)
            filled = values != np.asarray(None)
            for code, text in enumerate(column.categories):
                made.add((codes == code).astype(float), f"{column.name} = {text}", column)
            made.add(filled & (codes == len(column.categories)), f"{column.name} other", column)
            if column.has_missing:
                made.add(~filled, f"{column.name} missing", column)
            continue
        missing = np.isnan(values)
        scaled = np.clip((values - column.centre) / column.spread, -4.0, 4.0)
        made.add(np.where(missing, 0.0, scaled), column.name, column)
        knots = np.asarray(column.quantiles)
        if len(knots) > 3:
            rank = np.interp(values, knots, np.linspace(0.0, 1.0, len(knots)))
            made.add(np.where(missing, 0.0, 2.0 * rank - 1.0), f"{column.name} rank", column)
            if with_hinges:
                for hinge in HINGES:
                    above = np.maximum(rank - hinge, 0.0) / (1.0 - hinge)
                    made.add(np.where(missing, 0.0, 2.0 * above), f"{column.name} above {hinge:.2f}", column)
        if column.has_missing:
            made.add(missing, f"{column.name} missing", column)
    return made.design()


def columns_to_json(columns: tuple[Column, ...]) -> list[dict[str, Any]]:
    """The learned columns as JSON-ready dictionaries."""
    return [asdict(column) for column in columns]


def columns_from_json(items: list[dict[str, Any]]) -> tuple[Column, ...]:
    """The inverse of `columns_to_json`."""

    def revive(item: dict[str, Any]) -> Column:
        tuples: dict[str, Any] = {key: tuple(item[key]) for key in ("quantiles", "categories", "shares")}
        return Column(**{**item, **tuples})

    return tuple(revive(item) for item in items)


def _learn_column(name: str, series: pd.Series) -> Column:
    from pandas.api import types

    dtype = str(series.dtype)
    rows = len(series)
    filled = series.dropna()
    if filled.empty:
        return Column(name, "ignored", dtype, "every value is missing")
    is_text = not (types.is_numeric_dtype(series) or types.is_bool_dtype(series) or is_time(series))
    if is_text and not isinstance(series.dtype, types.CategoricalDtype):
        kind = kind_of_text(filled)
    elif isinstance(series.dtype, types.CategoricalDtype):
        kind = "category"
    else:
        kind = "datetime" if types.is_datetime64_any_dtype(series) else "number"
    if kind == "category":
        return _learn_category(Column(name, kind, dtype), series)
    if kind == "number" and are_calendar_numbers(filled):
        kind = "datetime"
    column = Column(name, kind, dtype)
    values = read_column(column, series)
    finite = values[np.isfinite(values)]
    if len(finite) == 0:
        return replace(column, kind="ignored", why="no finite value")
    has_missing = bool(np.isnan(values).any())
    if len(np.unique(values[~np.isnan(values)])) < 2 and not has_missing:
        return replace(column, kind="ignored", why="one value in every row")
    is_whole = bool(np.all(finite == np.round(finite)))
    if is_whole and rows >= 50 and len(np.unique(finite)) >= 0.99 * rows and _IDENTIFIER_NAME.search(name):
        return replace(column, kind="ignored", why="an identifier")
    knots = np.unique(np.quantile(finite, QUANTILES))
    clipped = np.clip(finite, *np.quantile(finite, [0.01, 0.99])) if rows >= 100 else finite
    spread = float(np.std(clipped)) or float(np.std(finite)) or 1.0
    return replace(
        column,
        low=float(finite.min()),
        high=float(finite.max()),
        centre=float(np.mean(clipped)),
        spread=spread,
        quantiles=tuple(float(knot) for knot in knots),
        has_missing=has_missing,
    )


def _learn_category(column: Column, series: pd.Series) -> Column:
    texts = [text for text in as_text(series) if text is not None]
    counts = Counter(texts)
    rows = len(series)
    has_missing = len(texts) < rows
    if len(counts) < 2 and not has_missing:
        return replace(column, kind="ignored", why="one value in every row")
    if len(counts) >= IDENTIFIER_RATIO * len(texts) and len(counts) > NATIVE_CATEGORIES:
        return replace(column, kind="ignored", why="differs in nearly every row")
    enough = max(2, min(10, rows // 100))
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    kept = [(text, count) for text, count in ordered if count >= enough]
    if not kept:
        return replace(column, kind="ignored", why="no value in more than one row")
    return replace(
        column,
        has_missing=has_missing,
        categories=tuple(text for text, _ in kept),
        shares=tuple(count / rows for _, count in kept),
    )
