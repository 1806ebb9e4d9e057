"""Compares a profile with the contract, table by table and column by column, before anything is loaded."""

from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from psycopg import sql

from warehouse_assets.database.errors import message_of
from warehouse_assets.errors import UserError
from warehouse_assets.source.contract import Column, Contract, Table
from warehouse_assets.source.profiles import duck
from warehouse_assets.source.profiles.batches import is_wrong, typed
from warehouse_assets.source.profiles.manifest import closest
from warehouse_assets.source.profiles.mapping import (
    REFUSALS,
    MappedTable,
    SourceColumn,
    cast_expression,
    describe,
    map_table,
    require_conditions,
    stands_for_itself,
)
from warehouse_assets.source.profiles.profile import FilesProfile, PostgresProfile, Profile, missing_columns
from warehouse_assets.source.profiles.report import ColumnReport, ProfileReport, State, TableReport
from warehouse_assets.source.profiles.spool import shown_text

SAMPLE_ROWS = 10_000
_SAMPLE_SECONDS = 20


def check_profile(profile: Profile, contract: Contract, connection: psycopg.Connection | None = None) -> ProfileReport:
    """Say of each table the profile gives, and each column, whether it can be loaded.

    Nothing is written. Types are judged by the source's own description of the SELECT and by casting up to
    ``SAMPLE_ROWS`` rows; conditions of rules by the source database, where there is one.

    Args:
        profile: the profile.
        contract: the contract it should fill.
        connection: the source database, for profiles of kind postgres.

    Raises:
        UserError: the profile is of kind postgres and no connection is given.
    """
    tables = []
    for name in profile.tables:
        table = contract.table(name)
        try:
            if isinstance(profile, FilesProfile):
                tables.append(_check_files(profile, table))
            elif isinstance(profile, PostgresProfile) and connection is not None:
                tables.append(_check_postgres(profile, table, connection))
            else:
                raise UserError(f"Profile {profile.name!r} is over PostgreSQL; give the source database's URL.")
        except UserError as error:
            if isinstance(profile, PostgresProfile) and connection is None:
                raise
            tables.append(TableReport(name, error=str(error)))
    return ProfileReport(
        profile=profile.name,
        kind=profile.kind,
        tables=tuple(tables),
        empty=tuple(table.name for table in contract if table.name not in profile.tables),
    )


def _absent(table: Table, column: Column, given: Mapping[str, object], is_whole: bool) -> ColumnReport:
    extra = [name for name in given if name not in table.column_names and not name.startswith("_")]
    hint = closest(column.name, extra).strip(" ()")
    if column.name in missing_columns(table, given) or is_whole:
        return ColumnReport(column.name, column.data_type, "", "missing required", hint or column.description)
    if column.name == table.cursor:
        day = table.business_date and (table.business_date.column or table.business_date.start)
        source = day if day and day in given else "1970-01-01"
        return ColumnReport(
            column.name, column.data_type, "", "filled", f"from {source}; the table is read whole each time"
        )
    return ColumnReport(column.name, column.data_type, "", "missing", hint or "stays null")


def _extra(table: Table, given: Mapping[str, str]) -> list[ColumnReport]:
    return [
        ColumnReport(name, "", kind, "extra", "is not in the contract, so ignored" + closest(name, table.column_names))
        for name, kind in given.items()
        if name not in table.column_names and not name.startswith("_")
    ]


def _judged(column: Column, given: str, present: int, wrong: int, example: str) -> ColumnReport:
    state: State = "mapped"
    note = ""
    if wrong:
        state = "wrong type" if wrong * 2 > present else "partly"
        verb = "does" if wrong == 1 else "do"
        note = f"{wrong:,} of {present:,} values sampled {verb} not fit, such as {shown_text(example)!r}"
        if state == "partly":
            note += "; such rows go to quarantine"
    return ColumnReport(column.name, column.data_type, given, state, note)


def _check_files(profile: FilesProfile, table: Table) -> TableReport:
    import duckdb

    connection, select, described = profile.session(table.name)
    try:
        counts = _sample_files(connection, table, select, described)
    except duckdb.Error as error:
        raise duck.select_error(profile.where(table.name), error) from error
    finally:
        connection.close()
    rows = counts.pop("", (0, 0, ""))[0]
    columns = [
        _judged(column, described[column.name].lower(), *counts[column.name])
        if column.name in described
        else _absent(table, column, described, is_whole=False)
        for column in table.columns
    ]
    unreadable = len(profile.unreadable_rows(table.name))
    note = f"{rows:,} rows sampled" + (f", {unreadable:,} rows unreadable" if unreadable else "")
    return TableReport(table.name, (*columns, *_extra(table, described)), note=note)


def _sample_files(
    connection: Any, table: Table, select: str, described: Mapping[str, str]
) -> dict[str, tuple[int, int, str]]:
    """Values, values that do not fit, and one of these, per column; under "" the number of rows."""
    given = [column for column in table.columns if column.name in described]
    parts = ["count(*)"]
    for column in given:
        name = f"profile.{duck.quoted(column.name)}"
        wrong = is_wrong(column.name, described[column.name], column.data_type) or "false"
        parts += [
            f"count({name})",
            f"count(*) filter (where {wrong})",
            f"min({name}::varchar) filter (where {wrong})",
            f"count({typed(column.name, described[column.name], column.data_type)})",
        ]
    sample = f"select * from (\n{select}\n) as source using sample {SAMPLE_ROWS} rows"  # noqa: S608  the profile's own SELECT
    query = f"select {', '.join(parts)} from ({sample}) as profile"  # noqa: S608  contract names, quoted
    row: Sequence[Any] = connection.execute(query).fetchall()[0]
    counts = {"": (int(row[0]), 0, "")}
    for number, column in enumerate(given):
        present, wrong_count, example, fitting = row[1 + 4 * number : 5 + 4 * number]
        values = present if column.data_type == "text" else fitting + wrong_count
        counts[column.name] = (values, wrong_count, example or "")
    return counts


def _check_postgres(profile: PostgresProfile, table: Table, connection: psycopg.Connection) -> TableReport:
    require_conditions(connection, table)
    described = describe(connection, profile, table.name)
    is_whole = stands_for_itself(profile, table.name)
    columns: list[ColumnReport] = []
    for column in table.columns:
        source = described.get(column.name)
        if source is None:
            columns.append(_absent(table, column, described, is_whole))
        elif cast_expression(column.name, source, column, profile.manifest.time_zone) is None:
            note = f"{source.type_name} does not become {column.data_type}; convert it in the SELECT"
            columns.append(ColumnReport(column.name, column.data_type, source.type_name, "wrong type", note))
        else:
            columns.append(ColumnReport(column.name, column.data_type, source.type_name, "mapped"))
    columns += _extra(table, {name: source.type_name for name, source in described.items()})
    report = TableReport(table.name, tuple(columns))
    if report.blocks:
        return report
    return _sampled(connection, profile, table, map_table(profile, table, described), described, report)


def _sampled(
    connection: psycopg.Connection,
    profile: PostgresProfile,
    table: Table,
    mapped: MappedTable,
    described: Mapping[str, SourceColumn],
    report: TableReport,
) -> TableReport:
    """The report with the columns whose values cannot be cast in a sample."""
    rows, said = _try(connection, sql.SQL("select count(part) from ({}) as sample").format(_all_of(mapped.query)))
    if said is None:
        return TableReport(table.name, report.columns, note=f"{rows:,} rows sampled")
    if said == "":
        return TableReport(
            table.name, report.columns, note=f"not sampled: the SELECT takes over {_SAMPLE_SECONDS} seconds"
        )
    columns = []
    found = False
    for column in report.columns:
        message: str | None = None
        if column.state == "mapped":
            value = cast_expression(
                column.name, described[column.name], table.column(column.name), profile.manifest.time_zone
            )
            one = sql.SQL("select {} as value from ({}) as profile").format(value, profile.select_sql(table.name))
            _, message = _try(connection, sql.SQL("select count(part) from ({}) as sample").format(_all_of(one)))
        if message:
            found = True
            note = f"{message}; convert it in the SELECT"
            columns.append(ColumnReport(column.name, column.expected, column.given, "wrong type", note))
        else:
            columns.append(column)
    if not found:
        return TableReport(table.name, report.columns, error=f"{profile.where(table.name)} fails on the data ({said}).")
    return TableReport(table.name, tuple(columns))


def _all_of(query: sql.Composable) -> sql.Composed:
    """The first rows of ``query`` with every column computed: the planner drops what nothing is made of."""
    return sql.SQL("select to_jsonb(part) as part from ({} limit {}) as part").format(query, sql.Literal(SAMPLE_ROWS))


def _try(connection: psycopg.Connection, query: sql.Composed) -> tuple[int, str | None]:
    """The count a query gives, or what the server says against its data; "" when it takes too long."""
    try:
        with connection.transaction():
            connection.execute(sql.SQL("set local statement_timeout = {}").format(sql.Literal(f"{_SAMPLE_SECONDS}s")))
            row = connection.execute(query).fetchone()
    except psycopg.errors.QueryCanceled:
        return 0, ""
    except REFUSALS as error:
        return 0, message_of(error)
    return int(row[0]) if row else 0, None
