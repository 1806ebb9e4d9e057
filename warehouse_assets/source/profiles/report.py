"""What a check of a profile found, and how it is shown. Looking at sources belongs in ``check``."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from rich.console import Console

State = Literal["mapped", "filled", "missing", "missing required", "partly", "wrong type", "extra"]
BLOCKING: tuple[State, ...] = ("missing required", "wrong type")
_STYLES: dict[State, str] = {
    "mapped": "green",
    "filled": "green",
    "missing": "dim",
    "missing required": "bold red",
    "partly": "yellow",
    "wrong type": "bold red",
    "extra": "yellow",
}


@dataclass(frozen=True)
class ColumnReport:
    """One column: ``expected`` is the contract's type (empty for extra ones), ``given`` the source's (empty if none).

    States: mapped; filled (a cursor the SELECT lacks); missing (optional, so null); missing required; partly (some
    values do not fit and go to quarantine); wrong type; extra (not in the contract, so ignored).
    """

    name: str
    expected: str
    given: str
    state: State
    note: str = ""

    @property
    def blocks(self) -> bool:
        """Whether the table cannot be loaded for this."""
        return self.state in BLOCKING


@dataclass(frozen=True)
class TableReport:
    """One table the profile gives. ``error`` says why nothing could be told of its columns."""

    name: str
    columns: tuple[ColumnReport, ...] = ()
    error: str | None = None
    note: str = ""

    @property
    def blocks(self) -> bool:
        """Whether the table cannot be loaded."""
        return self.error is not None or any(column.blocks for column in self.columns)


@dataclass(frozen=True)
class ProfileReport:
    """All tables the profile gives, and the names of contracted ones that stay empty."""

    profile: str
    kind: str
    tables: tuple[TableReport, ...] = ()
    empty: tuple[str, ...] = field(default=())

    @property
    def blocks(self) -> bool:
        """Whether a run with this profile would fail."""
        return any(table.blocks for table in self.tables)

    @property
    def summary(self) -> str:
        """The outcome in one sentence."""
        blocked = [table.name for table in self.tables if table.blocks]
        if blocked:
            return (
                f"Profile {self.profile}: {len(blocked)} of {len(self.tables)} tables cannot be loaded "
                f"({', '.join(blocked)}); correct what is marked and check again."
            )
        return (
            f"Profile {self.profile}: all {len(self.tables)} of its tables can be loaded; "
            f"{len(self.empty)} contracted tables stay empty."
        )


def render(report: ProfileReport, console: "Console") -> None:
    """Print the report: coloured tables on a terminal, one plain line per column elsewhere.

    What cannot be loaded comes last, above the outcome: of 37 tables it would have scrolled away.
    """
    tables = sorted(report.tables, key=lambda table: table.blocks)
    if console.is_terminal:
        _render_tables(tables, console)
    else:
        _render_lines(tables, console)
    if report.empty:
        say(console, f"Empty, since the profile has no SELECT for them: {', '.join(report.empty)}.")
    say(console, report.summary)


def say(console: "Console", text: str) -> None:
    """Print a sentence as it is: names of files hold brackets, and lines are the terminal's to break."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _heading(table: TableReport) -> str:
    note = f" ({table.note})" if table.note else ""
    return f"{table.name}: {'cannot be loaded' if table.blocks else 'ok'}{note}"


def _render_tables(tables: list[TableReport], console: "Console") -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    for table in tables:
        if table.error is not None:
            console.print(Text(_heading(table), "bold red"))
            say(console, table.error)
            continue
        grid = Table(
            title=Text(_heading(table), "bold red" if table.blocks else "bold"),
            title_justify="left",
            box=box.SIMPLE,
        )
        for name in ("column", "contract", "source", "state", "note"):
            grid.add_column(name, overflow="fold")
        for column in table.columns:
            style = _STYLES[column.state]
            grid.add_row(
                Text(column.name),
                Text(column.expected),
                Text(column.given),
                Text(column.state, style),
                Text(column.note),
            )
        console.print(grid)


def _render_lines(tables: list[TableReport], console: "Console") -> None:
    for table in tables:
        say(console, _heading(table))
        if table.error is not None:
            say(console, f"  {table.error}")
        for column in table.columns:
            parts = [f"{column.state:<16} {table.name}.{column.name}"]
            if column.expected:
                parts.append(f"contract {column.expected}")
            if column.given:
                parts.append(f"source {column.given}")
            if column.note:
                parts.append(column.note)
            say(console, "  " + "; ".join(parts))
