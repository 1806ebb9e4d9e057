"""The operational tables in SQL: made from the contract, indexed after loading, grown with it. No rows belong here."""

import psycopg
from psycopg import sql

from warehouse_assets.errors import UserError
from warehouse_assets.source.contract import Column, Contract, Table, load_contract
from warehouse_assets.source.simulator.dirt import ORPHANED

#: references that a real application would index because it looks rows up by them
_INDEXED = frozenset(
    {"customers", "route_runs", "invoices", "portal_sessions", "service_agreements", "service_tickets"}
)
#: as many rows as make checking a foreign key of a table slower than the check is worth on every new simulation
CHECKED_ROWS = 1_000_000

STATE = """
create schema if not exists simulator;
drop table if exists simulator.state;
create table simulator.state (
    only_row boolean primary key default true check (only_row),
    version integer not null,
    preset text not null,
    seed bigint not null,
    plan jsonb not null,
    clock timestamptz not null,
    world bytea not null,
    pending bytea not null,
    simulated_at timestamptz not null default now()
);
alter table simulator.state alter column world set storage external, alter column pending set storage external;
comment on table simulator.state is
    'The simulated company: its plan, its clock, its state at the start of the month, and rows still to change.';
"""


def _name(table: Table) -> sql.Identifier:
    return sql.Identifier("public", table.name)


def parents_first(contract: Contract) -> list[Table]:
    """Return the tables, each after those it refers to."""
    done: dict[str, Table] = {}

    def visit(table: Table) -> None:
        if table.name in done:
            return
        for column in table.columns:
            if column.references and column.references != table.name:
                visit(contract.table(column.references))
        done[table.name] = table

    for table in contract:
        visit(table)
    return list(done.values())


def refuse_strangers(connection: psycopg.Connection, contract: Contract) -> None:
    """Refuse a database whose tables somebody else made.

    Raises:
        UserError: schema public has a contracted table and there is no simulated company beside it.
    """
    row = connection.execute("select to_regclass('simulator.state') is not null").fetchone()
    if row is not None and row[0]:
        return
    found = connection.execute(
        "select tablename from pg_tables where schemaname = 'public' and tablename = any(%s) order by 1",
        [list(contract.tables)],
    ).fetchall()
    if found:
        names = ", ".join(name for (name,) in found[:5])
        raise UserError(
            f"Database {connection.info.dbname!r} has tables of its own ({names}) and no simulated company; "
            "nothing was written. Use an empty database for the simulation, or read this one with "
            "WAREHOUSE_SOURCE_URL and without --preset."
        )


def create_tables(connection: psycopg.Connection) -> None:
    """Make all contracted tables anew, empty, without keys; drops those of an earlier simulation."""
    contract = load_contract()
    for table in contract:
        connection.execute(sql.SQL("drop table if exists {} cascade").format(_name(table)))
    for table in contract:
        _create(connection, table)
    connection.execute(STATE)


def add_keys(connection: psycopg.Connection, rows: dict[str, int]) -> None:
    """Add primary keys, indexes and foreign keys to the loaded tables; ``rows`` tells how many each has.

    Columns with planted orphans get no foreign key. Those of tables with a million rows and more hold for new rows
    and are left unchecked (not valid) for those loaded.
    """
    contract = load_contract()
    connection.execute("set local maintenance_work_mem = '256MB'")
    for table in contract:
        _add_indexes(connection, table)
    for table in contract:
        _add_references(connection, contract, table, is_checked=rows.get(table.name, 0) < CHECKED_ROWS)
    # A third of the usual sample: the planner needs to know that these tables are large, not much more.
    connection.execute("set local default_statistics_target = 30")
    for table in contract:
        connection.execute(sql.SQL("analyze {}").format(_name(table)))


def add_missing(connection: psycopg.Connection) -> None:
    """Give the company what the contract has gained since: tables, empty, and columns, null and without keys.

    Raises:
        UserError: a column that a table has gained is required.
    """
    contract = load_contract()
    there: dict[str, set[str]] = {}
    for name, column in connection.execute(
        "select relname, attname from pg_attribute join pg_class on pg_class.oid = attrelid "
        "where relnamespace = 'public'::regnamespace and relkind = 'r' and attnum > 0 and not attisdropped"
    ):
        there.setdefault(name, set()).add(column)
    new = [table for table in contract if table.name not in there]
    for table in new:
        _create(connection, table)
        _add_indexes(connection, table)
    for table in new:
        _add_references(connection, contract, table, is_checked=True)
    for table in contract:
        for column in table.columns:
            if table.name in there and column.name not in there[table.name]:
                refuse_required(table, column)
                connection.execute(
                    sql.SQL("alter table {} add column {} {}").format(
                        _name(table), sql.Identifier(column.name), sql.SQL(column.data_type)
                    )
                )


def refuse_required(table: Table, column: Column) -> None:
    """Refuse a column that must have a value and that the simulator does not write.

    Raises:
        UserError: the column is required.
    """
    if column.is_required or column.name in table.primary_key:
        raise UserError(
            f"The simulated company has no values for {table.name}.{column.name}, which the contract requires; "
            f"take `required` from its entry in _{table.system}__sources.yml, or write the column in "
            "warehouse_assets/source/simulator."
        )


def _create(connection: psycopg.Connection, table: Table) -> None:
    columns = sql.SQL(", ").join(
        sql.SQL("{} {}{}").format(
            sql.Identifier(column.name),
            sql.SQL(column.data_type),  # one of a list of types, as the contract checks
            sql.SQL(" not null" if column.is_required or column.name in table.primary_key else ""),
        )
        for column in table.columns
    )
    connection.execute(sql.SQL("create table {} ({})").format(_name(table), columns))


def _add_indexes(connection: psycopg.Connection, table: Table) -> None:
    """The primary key, and indexes on the cursor and on references that are looked up."""
    primary = sql.SQL(", ").join(map(sql.Identifier, table.primary_key))
    connection.execute(sql.SQL("alter table {} add primary key ({})").format(_name(table), primary))
    for column in table.columns:
        wanted = column.name == table.cursor or (column.references in _INDEXED and (column.name,) != table.primary_key)
        if wanted:
            connection.execute(
                sql.SQL("create index {} on {} ({})").format(
                    sql.Identifier(f"{table.name}_{column.name}"), _name(table), sql.Identifier(column.name)
                )
            )


def _add_references(connection: psycopg.Connection, contract: Contract, table: Table, *, is_checked: bool) -> None:
    for column in table.columns:
        if not column.references or (table.name, column.name) in ORPHANED:
            continue
        target = contract.table(column.references)
        connection.execute(
            sql.SQL("alter table {} add constraint {} foreign key ({}) references {} ({}){}").format(
                _name(table),
                sql.Identifier(f"{table.name}_{column.name}_fkey"),
                sql.Identifier(column.name),
                _name(target),
                sql.Identifier(target.primary_key[0]),
                sql.SQL("" if is_checked else " not valid"),
            )
        )
