"""The database of planted truths, which only tests and benchmarks read: true churn, true hazards, every fault."""

from dataclasses import fields
from datetime import UTC, date, datetime

import numpy as np
import psycopg
from psycopg import sql

from warehouse_assets.database.copy import copy_columns
from warehouse_assets.source.contract import load_contract
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
comment on table planted.fault is 'Every planted fault that shows: null, impossible, zero, malformed, orphan, reversed,'
    ' misdated, duplicate, late, corrected or deleted; detail names the column.';
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


def write_churn(connection: psycopg.Connection, truth: Rows, leaves: Rows, today: np.datetime64) -> None:
    """Add rows of customer (position), as_of (day) and probability, or settle those there with who left in 90 days.

    ``leaves`` has the customer and last day of every agreement that ended.
    """
    connection.execute("create temporary table truth (like planted.churn) on commit drop")
    _copy(
        connection,
        "truth",
        {
            "customer_id": (format_keys(truth["customer"] + 1, "customers"), "text"),
            "as_of": (truth["as_of"], "date"),
            "true_probability_90d": (truth["probability"], "double precision"),
            "churned_within_90d": (_outcomes(truth, leaves, today), "boolean"),
        },
    )
    connection.execute(
        "insert into planted.churn select * from truth on conflict (customer_id, as_of) "
        "do update set churned_within_90d = excluded.churned_within_90d"
    )


def forget(connection: psycopg.Connection, since: np.datetime64, today: date) -> None:
    """Remove what lies after ``since``: left by a step forward that did not reach the operational database."""
    connection.execute("delete from planted.fault where planted_at > %s", [since.astype(datetime).replace(tzinfo=UTC)])
    connection.execute("delete from planted.vehicle_hazard where day > %s", [today])
    connection.execute("delete from planted.churn where as_of > %s", [today])


def _outcomes(truth: Rows, leaves: Rows, today: np.datetime64) -> Array:
    """Whether each customer left within 90 days of as_of: true, false, or None where 90 days have not passed."""
    ends = np.unique(leaves["customer"] * 1_000_000 + leaves["day"].astype(np.int64))
    key = truth["customer"] * 1_000_000 + truth["as_of"].astype(np.int64)
    place = np.searchsorted(ends, key)
    following = np.r_[ends, np.iinfo(np.int64).max][place]
    left = following - key < 90
    known = truth["as_of"] + np.timedelta64(90, "D") <= today
    outcome = np.asarray(left).astype(object)
    outcome[~known] = None
    return outcome


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


def shown_faults(
    blocks: list[Block], now: np.datetime64, since: np.datetime64 | None = None
) -> list[tuple[str, str, str, Array, Array]]:
    """The faults of ``blocks`` that show by ``now``, and after ``since`` if given: table, kind, detail, keys, times."""
    contract = load_contract()
    found: list[tuple[str, str, str, Array, Array]] = []
    for block in blocks:
        key = contract.table(block.table).primary_key[0]
        for fault in block.faults:
            shows = fault.at <= now
            if since is not None:
                shows &= fault.at > since
            which = fault.which[shows]
            if len(which):
                found.append((block.table, fault.kind, fault.detail, block.columns[key][which], fault.at[shows]))
    return found


def write_faults(connection: psycopg.Connection, found: list[tuple[str, str, str, Array, Array]]) -> None:
    """Add faults as ``shown_faults`` lists them."""
    import pyarrow as pa

    if not found:
        return
    counts = [len(keys) for _, _, _, keys, _ in found]
    _copy(
        connection,
        "planted.fault",
        {
            "table_name": (np.repeat(np.array([table for table, *_ in found], dtype=object), counts), "text"),
            "row_key": (pa.concat_arrays([format_keys(keys, table) for table, _, _, keys, _ in found]), "text"),
            "kind": (np.repeat(np.array([kind for _, kind, *_ in found], dtype=object), counts), "text"),
            "detail": (np.repeat(np.array([detail for _, _, detail, *_ in found], dtype=object), counts), "text"),
            "planted_at": (np.concatenate([at for *_, at in found]), "timestamptz"),
        },
    )


def _copy(connection: psycopg.Connection, table: str, columns: dict[str, tuple[Array, str]]) -> None:
    data = {name: values for name, (values, _) in columns.items()}
    types = {name: kind for name, (_, kind) in columns.items()}
    copy_columns(data, connection, sql.Identifier(*table.split(".")), types)
