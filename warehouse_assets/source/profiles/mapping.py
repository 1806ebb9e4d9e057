"""A SELECT over PostgreSQL mapped onto a contracted table: what it gives, the casts around it, the rules over it.

Running the result and copying its rows belongs in ``extract``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import psycopg
from psycopg import sql

from warehouse_assets.database.errors import message_of
from warehouse_assets.errors import UserError
from warehouse_assets.source.contract import Column, Rule, Table
from warehouse_assets.source.profiles.batches import TEXT_WITH_ZONE
from warehouse_assets.source.profiles.manifest import PLACEHOLDER, whole_table
from warehouse_assets.source.profiles.profile import PostgresProfile, Profile, fingerprint, require_columns

#: What a server says of a statement it understood but will not run; everything else is about the connection.
REFUSALS = (psycopg.ProgrammingError, psycopg.DataError, psycopg.InternalError, psycopg.NotSupportedError)


@dataclass(frozen=True)
class SourceColumn:
    """A column of the profile's SELECT: PostgreSQL's name of its type, and the category it belongs to (pg_type)."""

    type_name: str
    category: str


@dataclass(frozen=True)
class MappedTable:
    """A contracted table as the source gives it.

    ``query`` selects exactly the contract's columns, in order and cast to its types. ``has_cursor`` tells whether the
    SELECT gives the contract's cursor itself; otherwise the cursor column is filled and only whole reads find changes.
    """

    query: sql.Composed
    has_cursor: bool

    @property
    def fingerprint(self) -> str:
        """Another one when the SELECT, a setting it uses, a cast around it or the columns it gives are others."""
        return fingerprint(self.query.as_string())


def stands_for_itself(profile: Profile, table: str) -> bool:
    """Whether the profile takes the table as it stands in the source."""
    schema = profile.manifest.tables_from
    return schema is not None and profile.select(table) == whole_table(schema, table)


def describe(connection: psycopg.Connection, profile: PostgresProfile, table: str) -> dict[str, SourceColumn]:
    """The columns of the profile's SELECT for ``table``, asked of the source without reading a row.

    Raises:
        UserError: the source refuses the SELECT: a table, column or right is missing, or the SQL is wrong.
    """
    statement = sql.SQL("select * from ({}) as profile limit 0").format(profile.select_sql(table))
    try:
        with connection.transaction(), connection.cursor() as cursor:
            cursor.execute(statement, prepare=True)  # the extended protocol, which takes a single statement
            given = [(column.name, column.type_code) for column in cursor.description or ()]
            cursor.execute(
                "select oid, format_type(oid, null), typcategory::text from pg_catalog.pg_type where oid = any(%s)",
                [[code for _, code in given]],
            )
            types = {oid: SourceColumn(name, category) for oid, name, category in cursor.fetchall()}
    except psycopg.errors.InsufficientPrivilege as error:
        raise UserError(
            f"{profile.where(table)} may not read the source ({message_of(error)}); "
            "grant its user select on it and usage on its schema."
        ) from error
    except psycopg.errors.UndefinedTable as error:
        without = f", or use a profile without table {table} (docs/how-to/point-at-your-database.md)"
        raise UserError(
            f"{profile.where(table)}: {message_of(error)} in the source database; correct the name"
            f"{'' if profile.has_select(table) else without}."
        ) from error
    except psycopg.errors.UndefinedColumn as error:
        raise UserError(
            f"{profile.where(table)}: {message_of(error)} in the source database; correct the SELECT."
        ) from error
    except REFUSALS as error:
        unknown = sorted(set(PLACEHOLDER.findall(profile.select(table))) - set(profile.manifest.settings))
        hint = f"; {{{unknown[0]}}} in it is no setting of profile.yml" if unknown else ""
        raise UserError(
            f"{profile.where(table)} is refused by the source database ({message_of(error)}){hint}; correct it."
        ) from error
    names = [name for name, _ in given]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"{profile.where(table)} gives column {twice[0]!r} twice; leave one of them out.")
    return {name: types[code] for name, code in given}


def require_conditions(connection: psycopg.Connection, table: Table) -> None:
    """See that PostgreSQL understands the condition of every rule, over columns of the contract's types and no rows.

    Raises:
        UserError: it does not; names the rule, the table and the remedy.
    """
    rules = [rule for rule in table.all_rules if rule.expect is not None]
    if _refusal(connection, table, rules) is None:
        return
    for rule in rules:
        if said := _refusal(connection, table, [rule]):
            raise UserError(
                f"Rule {rule.name} of table {table.name} is no SQL condition over its columns ({said}); "
                f"correct its `expect` in the sources YAML of {table.system}."
            )


def _refusal(connection: psycopg.Connection, table: Table, rules: Sequence[Rule]) -> str | None:
    """What the server says against the conditions of the rules; None where it understands them."""
    nulls = [
        sql.SQL("null::{} as {}").format(sql.SQL(column.data_type), sql.Identifier(column.name))
        for column in table.columns
    ]
    conditions = [sql.SQL("({}) is false").format(sql.SQL(rule.expect or "true")) for rule in rules]
    statement = sql.SQL("select from (select {}) as {} where {} limit 0").format(
        sql.SQL(", ").join(nulls), sql.Identifier(table.name), sql.SQL(" or ").join([sql.SQL("false"), *conditions])
    )
    try:
        with connection.transaction():
            connection.execute(statement)
    except REFUSALS as error:
        return message_of(error)
    return None


def cast_expression(name: str, source: SourceColumn, column: Column, time_zone: str) -> sql.Composable | None:
    """The SQL that casts ``profile.name`` to the contract's type; None when the types do not go together.

    Times without a zone are taken as of ``time_zone``; a time with zone becomes the day it is there. Blank text is
    null for every type but text. Enums, uuids, money and domains go where their text or number goes.
    """
    value: sql.Composable = sql.Identifier("profile", name)
    target = column.data_type
    zone = sql.Literal(time_zone)
    kind, category = source.type_name, source.category
    is_text = category == "S" or kind in ("unknown",)
    blank_is_null = sql.SQL("nullif(btrim({}::text), '')").format(value)
    as_target = sql.SQL("::" + target)
    if target == "text":
        return value if kind == "text" else value + sql.SQL("::text")
    if target == "jsonb":
        if is_text:
            return blank_is_null + as_target
        return value + as_target if kind in ("json", "jsonb") else sql.SQL("to_jsonb({})").format(value)
    if target in ("integer", "bigint", "double precision") or target.startswith("numeric("):
        if is_text:
            return blank_is_null + as_target
        if kind == "money":
            return value + sql.SQL("::numeric") + as_target
        if kind == "boolean":
            return value + sql.SQL("::integer") + as_target
        return value + as_target if category == "N" and not kind.startswith("reg") and kind != "oid" else None
    if target == "boolean":
        if kind == "boolean":
            return value
        if category == "N" and kind != "money":
            return sql.SQL("({} <> 0)").format(value)
        return blank_is_null + as_target if is_text else None
    if target == "date":
        if kind == "timestamp with time zone":
            return sql.SQL("({} at time zone {})::date").format(value, zone)
        if kind in ("date", "timestamp without time zone"):
            return value + as_target
        if is_text:
            return sql.SQL(
                "(case when {text} ~ {pattern} then ({text}::timestamptz at time zone {zone})::date "
                "else {text}::date end)"
            ).format(text=blank_is_null, pattern=sql.Literal(TEXT_WITH_ZONE), zone=zone)
        return None
    if kind == "timestamp with time zone":
        return value
    if kind in ("date", "timestamp without time zone"):
        return sql.SQL("({}::timestamp at time zone {})").format(value, zone)
    if is_text:
        return sql.SQL(
            "(case when {text} ~ {pattern} then {text}::timestamptz else {text}::timestamp at time zone {zone} end)"
        ).format(text=blank_is_null, pattern=sql.Literal(TEXT_WITH_ZONE), zone=zone)
    return None


def _filled_cursor(table: Table, described: Mapping[str, SourceColumn], time_zone: str) -> sql.Composable:
    """What stands for a cursor the SELECT lacks: the business day (or its start), else 1970-01-01.

    These stay the same when the source is read again, so that only real differences count as changes.
    """
    epoch = sql.SQL("timestamptz '1970-01-01 00:00:00+00'")
    day = table.business_date
    name = day and (day.column or day.start)
    if not name or name not in described:
        return epoch
    column = table.column(name)
    cast = cast_expression(name, described[name], column, time_zone)
    if cast is None:
        return epoch
    if column.data_type == "date":
        cast = sql.SQL("(({})::timestamp at time zone {})").format(cast, sql.Literal(time_zone))
    return sql.SQL("coalesce({}, {})").format(cast, epoch)


def map_table(profile: PostgresProfile, table: Table, described: Mapping[str, SourceColumn]) -> MappedTable:
    """The query that gives ``table`` from the profile's SELECT, whose columns are ``described``.

    Raises:
        UserError: a required column is missing, or a column's type cannot become the contract's; names the table, the
            column and the remedy.
    """
    require_columns(table, described, profile.where(table.name))
    time_zone = profile.manifest.time_zone
    columns: list[sql.Composable] = []
    for column in table.columns:
        source = described.get(column.name)
        value: sql.Composable | None
        if source is not None:
            value = cast_expression(column.name, source, column, time_zone)
            if value is None:
                raise UserError(
                    f"{profile.where(table.name)} gives {table.name}.{column.name} as {source.type_name}, which does "
                    f"not become {column.data_type}; convert it in the SELECT."
                )
        elif column.name == table.cursor:
            value = _filled_cursor(table, described, time_zone)
        else:
            value = sql.SQL("null::" + column.data_type)
        columns.append(sql.SQL("{} as {}").format(value, sql.Identifier(column.name)))
    query = sql.SQL("select {} from ({}) as profile").format(
        sql.SQL(", ").join(columns), profile.select_sql(table.name)
    )
    return MappedTable(query, has_cursor=table.cursor is not None and table.cursor in described)
