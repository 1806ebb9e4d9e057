"""A row of a file that could not be read or cast, as quarantine receives it. Nothing else belongs here."""

from dataclasses import dataclass
from typing import Literal

RejectRule = Literal["unreadable_row", "wrong_type"]


@dataclass(frozen=True)
class Reject:
    """One refused row.

    ``unreadable_row``: the file's text is no row (too few values, broken UTF-8, a NUL byte …); ``raw`` is that text.
    ``wrong_type``: values of the row do not fit the contract's types, as ``reason`` says; ``raw`` is the row that the
    SELECT gave, as a JSON object. ``line`` counts from 1 in the file as an editor shows it, and is
    None when the SELECT aggregates and so has no line.
    """

    rule: RejectRule
    reason: str
    raw: str
    file: str | None = None
    line: int | None = None
