"""Cells of a column as numbers, days or text, and which of these a column of text or numbers really holds."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

Kind = Literal["number", "category", "datetime", "ignored"]

# A column is taken for what this share of its filled cells reads as.
PARSEABLE_RATIO = 0.95
LARGEST = 1e100
# Texts that stand for a missing number or date.
SAYS_NOTHING = frozenset({"", "-", "?", "na", "n/a", "nan", "null", "none", "unknown"})
# A number as people write amounts: $1,234.50, -€3, 12%.
_AMOUNT_TEXT = r"[-+]?[$€£]?(\d+|\d{1,3}(,\d{3})+)(\.\d+)?%?"
_DATE_TEXT = re.compile(r"^\s*(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}/\d{1,2}/\d{4})([T ]\d{1,2}:\d{2}.*)?\s*$")


def is_time(series: pd.Series) -> bool:
    """Whether the column's type is a time or a duration."""
    from pandas.api import types

    return types.is_datetime64_any_dtype(series) or types.is_timedelta64_dtype(series)


def kind_of_text(filled: pd.Series) -> Kind:
    """What a column of objects or text, nulls left out, really holds: numbers, dates or categories."""
    import datetime

    sample = filled.iloc[:: max(1, len(filled) // 5000)]
    values = list(sample)
    if all(isinstance(value, bool | np.bool_) for value in values):
        return "number"
    if all(isinstance(value, datetime.date) for value in values):
        return "datetime"
    is_said = np.asarray([str(value).strip().lower() not in SAYS_NOTHING for value in values])
    if is_said.any() and np.isfinite(as_numbers(sample[is_said])).mean() >= PARSEABLE_RATIO:
        return "number"
    texts = [str(value) for value, said in zip(values, is_said, strict=True) if said]
    if texts and sum(1 for text in texts if _DATE_TEXT.match(text)) >= PARSEABLE_RATIO * len(texts):
        return "datetime"
    return "category"


def are_calendar_numbers(filled: pd.Series) -> bool:
    """Whether whole numbers are dates written as year, month and day, such as 20170331."""
    values = as_numbers(filled)
    if not np.all((values == np.round(values)) & (values >= 1900_01_01) & (values <= 2100_12_31)):
        return False
    return bool(np.isfinite(_from_calendar_numbers(values)).mean() >= PARSEABLE_RATIO)


def _from_calendar_numbers(values: Floats) -> Floats:
    import pandas as pd

    is_candidate = np.isfinite(values) & (values >= 1900_01_01) & (values <= 2100_12_31)
    digits = pd.Series(np.where(is_candidate, values, 0).astype(np.int64).astype(str))
    return as_days(pd.to_datetime(digits, format="%Y%m%d", errors="coerce"))


def as_numbers(series: pd.Series) -> Floats:
    """The cells as float64: durations in days, unreadable ones NaN, those beyond 1e100 infinite."""
    import pandas as pd
    from pandas.api import types

    if types.is_timedelta64_dtype(series):
        return np.asarray(series.dt.total_seconds(), dtype=np.float64) / np.float64(86_400)
    if types.is_complex_dtype(series):
        return np.asarray(np.real(series.to_numpy()), dtype=np.float64)
    if is_time(series):
        return as_days(series)
    if isinstance(series.dtype, types.CategoricalDtype | pd.ArrowDtype):
        series = series.astype(object)  # of Arrow's decimals pandas drops the missing ones
    values = pd.to_numeric(series, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    if not types.is_numeric_dtype(series):
        texts = series.astype(object).reset_index(drop=True)[np.isnan(values)]
        texts = texts[[isinstance(text, str) for text in texts]].str.strip()
        amounts = texts[texts.str.fullmatch(_AMOUNT_TEXT)] if len(texts) else texts
        if len(amounts):
            values = values.copy()
            values[amounts.index] = amounts.str.replace(r"[$€£,%]", "", regex=True).astype(np.float64)
    # Beyond this the square overflows; no quantity of a business is that large.
    return np.where(np.abs(values) > LARGEST, np.copysign(np.inf, values), values)


def as_days(series: pd.Series) -> Floats:
    """The cells as days since 1970 (UTC), NaN where they are no date."""
    import pandas as pd
    from pandas.api import types

    if types.is_numeric_dtype(series):
        return _from_calendar_numbers(as_numbers(series))
    times = pd.to_datetime(series, errors="coerce", utc=True, format=None if is_time(series) else "mixed")
    # Whole seconds, since years beyond 1678-2262 do not fit into nanoseconds.
    seconds = times.astype("datetime64[s, UTC]")
    return np.where(seconds.isna(), np.nan, seconds.astype("int64").to_numpy(dtype=np.float64) / 86_400.0)


def as_text(series: pd.Series) -> NDArray[np.object_]:
    """The cells as text, None where null; lists and the like as they print."""
    import pandas as pd

    plain = series.astype(object)
    if not all(map(_is_hashable, plain)):
        plain = plain.map(str, na_action="ignore")
    codes, distinct = pd.factorize(plain)
    # blank text is as good as null
    texts = np.asarray([text_of(value) or None for value in distinct] + [None], dtype=object)
    return texts[codes]


def _is_hashable(value: Any) -> bool:
    return not isinstance(value, list | dict | set | np.ndarray)


def text_of(value: Any) -> str:
    """A category as text: 3 and 3.0 read the same."""
    # 3.0 and 3 are one category: a column of whole numbers turns to floats as soon as one value is missing.
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()
