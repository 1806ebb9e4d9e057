"""The database of planted truths, which only tests and benchmarks read: true churn, true hazards, every fault."""

from dataclasses import fields

import numpy as np
import psycopg

from warehouse_assets.database.copy import copy_columns
from warehouse_assets.source.contract import Table, load_contract
from warehouse_assets.source.simulator import hazard
from warehouse_assets.source.simulator.dirt import RATES
from warehouse_assets.source.simulator.load import format_keys
from warehouse_assets.source.simulator.plan import Plan
from warehouse_assets.source.simulator.rows import Array, Block, Rows

DDL = """
drop schema if exists planted cascade;
create schema planted;
create table planted.churn (
    customer_id text not null,
    as_of date not null,
    true_probability_90d double precision not null,
    churned_within_90d boolean,
    primary key (customer_id, as_of)
);
comment on table planted.churn is 'Per customer and month: the true probability of leaving within 90 days of as_of.';
comment on column planted.churn.churned_within_90d is 'Whether it left; null until 90 days have passed.';
create table planted.vehicle_hazard (
    vehicle_id text not null,
    day date not null,
    true_hazard double precision not null,
    primary key (vehicle_id, day)
);
comment on table planted.vehicle_hazard is 'Per vehicle and day at work: the true probability of failing that day.';
create table planted.fault (
    table_name text not null,
    row_key text not null,
    kind text not null,
    detail text not null,
    planted_at timestamptz not null
);
comment on table planted.fault is 'Every planted fault that shows: null, impossible, zero, orphan, reversed, duplicate,'
    ' late, corrected or deleted; detail names the column.';
create table planted.parameter (
    name text primary key,
    value text not null
);
comment on table planted.parameter is 'Weights, rates and the plan that the company was simulated with.';
"""


def create(connection: psycopg.Connection, plan: Plan) -> None:
    """Make the tables anew and write the parameters."""
    connection.execute(DDL)
    parameters = {field.name: str(getattr(plan, field.name)) for field in fields(plan)}
    parameters |= {f"churn.{name}": str(weight) for name, weight in hazard.FACTOR_WEIGHTS.items()}
    parameters |= {
        "churn.base": str(hazard.BASE_LOG_ODDS),
        "vehicle.base": str(hazard.VEHICLE_BASE),
        "vehicle.hours": str(hazard.VEHICLE_HOURS),
        "vehicle.age": str(hazard.VEHICLE_AGE),
        "vehicle.drift": str(hazard.VEHICLE_DRIFT),
    }
    parameters |= {f"dirt.{rate.table}.{rate.kind}.{rate.column or 'row'}": str(rate.share) for rate in RATES}
    with connection.cursor() as cursor:
        cursor.executemany("insert into planted.parameter (name, value) values (%s, %s)", list(parameters.items()))


def write_churn(connection: psycopg.Connection, truth: Rows) -> None:
    """Add rows of customer (position), as_of (day) and probability."""
    _copy(
        connection,
        "planted.churn",
        {
            "customer_id": (format_keys(truth["customer"] + 1, "customers"), "text"),
            "as_of": (truth["as_of"], "date"),
            "true_probability_90d": (truth["probability"], "double precision"),
        },
    )


def settle_churn(connection: psycopg.Connection, leaves: Rows, today: np.datetime64) -> None:
    """Fill in who left within 90 days, for the months that are 90 days past; ``leaves`` has customer and day."""
    connection.execute("create temporary table leaves (customer_id text, day date) on commit drop")
    _copy(
        connection,
        "leaves",
        {
            "customer_id": (format_keys(leaves["customer"] + 1, "customers"), "text"),
            "day": (leaves["day"], "date"),
        },
    )
    connection.execute(
        "update planted.churn set churned_within_90d = exists (select from leaves where "
        "leaves.customer_id = churn.customer_id and leaves.day >= as_of and leaves.day < as_of + 90) "
        "where churned_within_90d is null and as_of + 90 <= %s",
        [today.astype(object)],
    )


def write_hazard(connection: psycopg.Connection, hazards: Rows) -> None:
    """Add rows of vehicle (position), day and hazard."""
    _copy(
        connection,
        "planted.vehicle_hazard",
        {
            "vehicle_id": (format_keys(hazards["vehicle"] + 1, "vehicles"), "text"),
            "day": (hazards["day"], "date"),
            "true_hazard": (hazards["hazard"], "double precision"),
        },
    )


def write_faults(
    connection: psycopg.Connection, blocks: list[Block], now: np.datetime64, since: np.datetime64 | None = None
) -> None:
    """Add the faults of ``blocks`` that show by ``now``, and after ``since`` if given."""
    contract = load_contract()
    for block in blocks:
        table: Table = contract.table(block.table)
        for fault in block.faults:
            shows = fault.at <= now
            if since is not None:
                shows &= fault.at > since
            which = fault.which[shows]
            if not len(which):
                continue
            count = len(which)
            _copy(
                connection,
                "planted.fault",
                {
                    "table_name": (np.full(count, block.table, dtype=object), "text"),
                    "row_key": (format_keys(block.columns[table.primary_key[0]][which], block.table), "text"),
                    "kind": (np.full(count, fault.kind, dtype=object), "text"),
                    "detail": (np.full(count, fault.detail, dtype=object), "text"),
                    "planted_at": (fault.at[shows], "timestamptz"),
                },
            )


def _copy(connection: psycopg.Connection, table: str, columns: dict[str, tuple[Array, str]]) -> None:
    from psycopg import sql

    data = {name: values for name, (values, _) in columns.items()}
    types = {name: kind for name, (_, kind) in columns.items()}
    copy_columns(data, connection, sql.Identifier(*table.split(".")), types)
