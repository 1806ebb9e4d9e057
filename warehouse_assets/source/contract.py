"""The contract of the operational tables, read from the dbt sources YAML.

Only reading and validating the YAML belongs here; DDL, extraction and simulation are built on top of it.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml

from warehouse_assets.errors import UserError
from warehouse_assets.settings import DBT_PROJECT_DIR

Severity = Literal["error", "warning"]
DeletePolicy = Literal["reconcile", "keep"]

COLUMN_TYPES = ("text", "integer", "bigint", "double precision", "boolean", "date", "timestamptz", "jsonb")

_TABLE_KEYS = ("dagster", "primary_key", "cursor", "business_date", "delete_policy", "rules")
_COLUMN_KEYS = ("required", "references")
_RULE_KEYS = ("name", "severity", "expect", "unique")
#: PostgreSQL cuts names at 63 characters, and dbt puts words of its own after them.
_LONGEST_NAME = 45


@dataclass(frozen=True)
class Rule:
    """A condition on the rows of one table.

    Exactly one of ``expect`` (a SQL condition that must not be false; null passes, as in CHECK) and ``unique``
    (columns that together name a row once; nulls count as equal) is set. ``error`` sends the row to quarantine,
    ``warning`` lets it pass, flagged with the rule's name.
    """

    name: str
    severity: Severity
    expect: str | None = None
    unique: tuple[str, ...] = ()


@dataclass(frozen=True)
class Column:
    """One contracted column; ``references`` names the table whose key it holds."""

    name: str
    data_type: str
    description: str
    is_required: bool = False
    references: str | None = None

    @property
    def required(self) -> Rule:
        """The rule that the column has a value."""
        return Rule(f"{self.name}_required", "error", expect=f'"{self.name}" is not null')

    @property
    def finite(self) -> Rule | None:
        """The rule that the column's numbers and times are finite; None where its type holds no others.

        numeric(p,s) has NaN but no infinity; NaN is above every number. Times lie in the years that Python has.
        """
        if self.data_type == "double precision":
            condition = f"\"{self.name}\" > '-Infinity' and \"{self.name}\" < 'Infinity'"
        elif self.data_type.startswith("numeric("):
            condition = f"\"{self.name}\" <> 'NaN'"
        elif self.data_type in ("date", "timestamptz"):
            condition = f"\"{self.name}\" >= '0001-01-01' and \"{self.name}\" < '10000-01-01'"
        else:
            return None
        return Rule(f"{self.name}_finite", "error", expect=condition)

    @property
    def in_range(self) -> Rule | None:
        """The rule that an amount is mistyped from a billion on; None where the column's type holds no such number.

        A few of them would be more than the sums in the marts can hold.
        """
        digits = re.fullmatch(r"numeric\((\d+), ?(\d+)\)", self.data_type)
        if digits is None or int(digits[1]) - int(digits[2]) <= 9:
            return None
        return Rule(f"{self.name}_in_range", "error", expect=f'abs("{self.name}") < 1000000000')

    @property
    def in_calendar(self) -> Rule:
        """The rule that the column's dates are of our time: a load of the year 24 begins 2,000 years of series."""
        condition = f"\"{self.name}\" >= '1900-01-02' and \"{self.name}\" < '2200-01-01'"
        return Rule(f"{self.name}_in_calendar", "error", expect=condition)


@dataclass(frozen=True)
class BusinessDate:
    """Which business days a row touches.

    ``column``: the day of that date or timestamp. ``start``/``end``: every day from start up to end, which is one of
    them if ``end_counts`` (a null end is open). ``through``/``key``: the days of the rows of tables ``through`` that
    hold this row's key in column ``key``; where ``taken`` names columns, only if one of them has changed: facts take
    nothing else.
    """

    column: str | None = None
    start: str | None = None
    end: str | None = None
    end_counts: bool = False
    through: tuple[str, ...] = ()
    key: str | None = None
    taken: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """One contracted table of one system."""

    system: str
    name: str
    description: str
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...]
    cursor: str | None
    business_date: BusinessDate | None
    delete_policy: DeletePolicy
    rules: tuple[Rule, ...]

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names of the contracted columns, in order."""
        return tuple(column.name for column in self.columns)

    @property
    def identity(self) -> tuple[str, ...]:
        """The key, and the cursor where there is one: what tells of a row whether it is there, as it was last read."""
        return tuple(dict.fromkeys((*self.primary_key, *([self.cursor] if self.cursor else []))))

    def column(self, name: str) -> Column:
        """The column called ``name``.

        Raises:
            KeyError: there is none.
        """
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)

    @property
    def all_rules(self) -> tuple[Rule, ...]:
        """The rules of the table, first those of its columns: values are there, finite, in range, days of our time.

        The end of a stretch of days may be infinite: it is open then.
        """
        required = tuple(column.required for column in self.columns if column.is_required)
        days = self.business_date or BusinessDate()
        dated = days.column or days.start
        judged = [column for column in self.columns if column.name not in (dated, days.end)]
        finite = tuple(rule for column in judged if (rule := column.finite))
        in_range = tuple(rule for column in self.columns if (rule := column.in_range))
        in_calendar = (self.column(dated).in_calendar,) if dated else ()
        return required + finite + in_range + in_calendar + self.rules


@dataclass(frozen=True)
class Contract:
    """All contracted tables, by name."""

    tables: Mapping[str, Table]

    def __iter__(self) -> Iterator[Table]:
        return iter(self.tables.values())

    def table(self, name: str) -> Table:
        """The table called ``name``.

        Raises:
            UserError: the contract has no such table.
        """
        try:
            return self.tables[name]
        except KeyError:
            raise UserError(
                f"There is no table {name!r} in the contract; it has {', '.join(sorted(self.tables))}."
            ) from None

    @property
    def systems(self) -> tuple[str, ...]:
        """The systems the tables come from, in the order of the files."""
        return tuple(dict.fromkeys(table.system for table in self))

    def tables_of(self, system: str) -> tuple[Table, ...]:
        """The tables of one system, in the order of its file."""
        return tuple(table for table in self if table.system == system)


def _fail(path: Path, where: str, what: str) -> UserError:
    return UserError(f"{path.name}: {where} {what} (docs/how-to/add-a-table.md lists the keys).")


def _expect_name(path: Path, where: str, name: str) -> None:
    if not re.fullmatch(rf"[a-z][a-z0-9_]{{0,{_LONGEST_NAME - 1}}}", name):
        raise _fail(
            path,
            where,
            f"is called {name!r}; use small letters, digits and underscores, {_LONGEST_NAME} characters at most",
        )


def _expect_known(path: Path, where: str, entry: Mapping[str, Any], known: tuple[str, ...]) -> None:
    """Refuse keys that nothing reads: a misspelt ``delete_policy`` would let rows be marked as deleted."""
    if unknown := [str(key) for key in entry if key not in known]:
        raise _fail(path, where, f"has the unknown key {', '.join(unknown)}; known are {', '.join(known)}")


def _expect_once(path: Path, where: str, what: str, names: list[str]) -> None:
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise _fail(path, where, f"has two {what} called {', '.join(twice)}")


def _type_is_known(data_type: str) -> bool:
    return data_type in COLUMN_TYPES or re.fullmatch(r"numeric\(\d+, ?\d+\)", data_type) is not None


def _names(value: Any) -> tuple[str, ...]:
    """One name, or a list of them."""
    return (value,) if isinstance(value, str) else tuple(map(str, value or ()))


def _meta(path: Path, where: str, entry: Mapping[str, Any], known: tuple[str, ...]) -> Mapping[str, Any]:
    """What stands under ``config.meta``; refuses keys that nothing reads there, and those that stand beside it."""
    config = entry.get("config") or {}
    meta = config.get("meta") or {} if isinstance(config, Mapping) else None
    if not isinstance(meta, Mapping):
        raise _fail(path, where, "has a config or meta without keys below it")
    _expect_known(path, where, meta, known)
    if beside := [key for key in known if key in entry or key in config or key in (entry.get("meta") or {})]:
        raise _fail(path, where, f"has {', '.join(beside)} beside config.meta; move it there, or nothing reads it")
    return meta


def _parse_column(path: Path, table: str, entry: Mapping[str, Any]) -> Column:
    name = str(entry.get("name"))
    _expect_name(path, f"a column of {table}", name)
    data_type = str(entry.get("data_type"))
    if not _type_is_known(data_type):
        raise _fail(
            path,
            f"{table}.{name}",
            f"has data_type {data_type!r}; use one of {', '.join(COLUMN_TYPES)} or numeric(p,s)",
        )
    meta = _meta(path, f"{table}.{name}", entry, _COLUMN_KEYS)
    if not isinstance(meta.get("required", False), bool):
        raise _fail(path, f"{table}.{name}", f"has required {meta['required']!r}; use true or false")
    return Column(
        name=name,
        data_type=data_type,
        description=str(entry.get("description", "")),
        is_required=meta.get("required", False),
        references=meta.get("references"),
    )


def _parse_business_date(path: Path, table: str, value: Any) -> BusinessDate | None:
    match value:
        case None:
            return None
        case str():
            return BusinessDate(column=value)
        case {"from": str(start), "to": str(end)}:
            return BusinessDate(start=start, end=end)
        case {"from": str(start), "last": str(end)}:
            return BusinessDate(start=start, end=end, end_counts=True)
        case {"through": str() | list() as through, "key": str(key)}:
            return BusinessDate(through=_names(through), key=key, taken=_names(value.get("taken")))
        case _:
            raise _fail(
                path, table, "has a business_date that is neither a column, {from, to}, {from, last} nor {through, key}"
            )


def _parse_rule(path: Path, table: str, entry: Mapping[str, Any]) -> Rule:
    _expect_known(path, f"a rule of {table}", entry, _RULE_KEYS)
    name, severity = entry.get("name"), entry.get("severity")
    has_condition = ("expect" in entry) != ("unique" in entry) and isinstance(entry.get("expect", ""), str)
    if not name or severity not in ("error", "warning") or not has_condition:
        raise _fail(path, table, "has a rule without name, severity (error or warning), or expect or unique")
    return Rule(str(name), severity, expect=entry.get("expect"), unique=_names(entry.get("unique")))


def _parse_table(path: Path, system: str, entry: Mapping[str, Any]) -> Table:
    name = str(entry.get("name"))
    _expect_name(path, "a table", name)
    meta = _meta(path, name, entry, _TABLE_KEYS)
    columns = tuple(_parse_column(path, name, column) for column in entry.get("columns") or ())
    table = Table(
        system=system,
        name=name,
        description=str(entry.get("description", "")),
        columns=columns,
        primary_key=_names(meta.get("primary_key")),
        cursor=meta.get("cursor"),
        business_date=_parse_business_date(path, name, meta.get("business_date")),
        delete_policy=meta.get("delete_policy", "reconcile"),
        rules=tuple(_parse_rule(path, name, rule) for rule in meta.get("rules") or ()),
    )
    if not table.primary_key:
        raise _fail(path, name, "has no primary_key")
    if table.delete_policy not in ("reconcile", "keep"):
        raise _fail(path, name, f"has delete_policy {table.delete_policy!r}; use reconcile or keep")
    asset_key = (meta.get("dagster") or {}).get("asset_key")
    if asset_key != ["raw", name]:  # anything else parts the graph between extraction and dbt
        raise _fail(path, name, f"has dagster.asset_key {asset_key}; use [raw, {name}]")
    _expect_once(path, name, "columns", [column.name for column in table.columns])
    _expect_once(path, name, "rules", [rule.name for rule in table.rules])
    named = [*table.primary_key, *([table.cursor] if table.cursor else [])]
    if day := table.business_date:
        named += [column for column in (day.column, day.start, day.end) if column]
    for rule in table.rules:
        named += rule.unique
    for column in named:
        if column not in table.column_names:
            raise _fail(path, name, f"names column {column!r}, which it does not have")
    if day:
        for dated in (day.column, day.start, day.end):
            if dated and table.column(dated).data_type not in ("date", "timestamptz"):
                raise _fail(path, name, f"has business_date {dated!r}, which is neither date nor timestamptz")
    return table


def read_contract(models_dir: Path) -> Contract:
    """Read every ``*__sources.yml`` below ``models_dir`` whose tables carry a primary key.

    Raises:
        UserError: a file is no YAML, or an entry is incomplete or contradicts itself.
    """
    tables: dict[str, Table] = {}
    for path in sorted(models_dir.glob("staging/*/_*__sources.yml")):
        try:
            content = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
        except yaml.YAMLError as error:
            said = " ".join(str(error).split())
            raise UserError(f"{path.name} is not valid YAML ({said}); correct it there.") from error
        for source in (content or {}).get("sources") or ():
            for entry in source.get("tables") or ():
                table = _parse_table(path, str(source["name"]), entry)
                if table.name in tables:
                    raise _fail(path, table.name, "is contracted twice")
                tables[table.name] = table
    for table in tables.values():
        targets = [column.references for column in table.columns if column.references]
        if table.business_date and table.business_date.through:
            targets += table.business_date.through
            if unknown := set(table.business_date.taken) - set(table.column_names):
                raise UserError(
                    f"{table.system} contract: business_date of {table.name} takes {', '.join(sorted(unknown))}, "
                    "which are no columns of it."
                )
        for target in targets:
            if target not in tables:
                raise UserError(
                    f"{table.system} contract: {table.name} names table {target!r}, which is not contracted."
                )
        if (day := table.business_date) and day.key:
            for target in day.through:
                if day.key not in tables[target].column_names:
                    raise UserError(
                        f"{table.system} contract: business_date of {table.name} goes through column {day.key} of "
                        f"{target}, which has none."
                    )
    return Contract(tables)


@cache
def load_contract() -> Contract:
    """The contract of this installation's dbt project."""
    return read_contract(DBT_PROJECT_DIR / "models")
