"""The files of a new profile: ``profile.yml`` and a commented SELECT for every contracted table."""

from pathlib import Path

from warehouse_assets.errors import UserError
from warehouse_assets.source.contract import Column, Contract, Table
from warehouse_assets.source.profiles.manifest import GUIDE

_HEAD = """\
# A source profile: how your own data give the tables of the warehouse. {guide} tells all keys.
name: {name}
kind: {kind}
description: Say whose data these are.
# The zone that times without a zone are in (default: the company's, WAREHOUSE_TIME_ZONE).
# time_zone: America/Chicago
"""

_POSTGRES = """\
# The database is the one of WAREHOUSE_SOURCE_URL.
# Tables without a SELECT here stay empty; with this key they are taken as they stand from a schema, under their
# contracted names:
# tables_from: public
# Values that the SELECTs use as {since} and the user gives as --set since=2024-01-01:
# settings:
#   since:
#     help: first day to load
#     default: "2020-01-01"
"""

_FILES = """\
# What to do at a line that cannot be read (too few values, broken UTF-8 …): stop, or put it in quarantine.
# unreadable_rows: stop
# What the user gives as --set loads=PATH:
settings:
  loads:
    help: path, glob or URL of the loads file
    optional: true
# The files, each under the name that the SELECTs read from:
files:
  loads_file:
    location: "{loads}"          # a path, a glob such as exports/loads-*.csv, or an http(s) URL; may hold {settings}
    # format: csv                # csv, json, xml or parquet; by default from the file's name
    # rows: .//load              # xml: the element that is a row; json: where the array is, such as data.items
    # columns: [id, weight]      # columns that must be there
    # optional_columns: [route]  # columns that are null where a file lacks them
"""


def new_profile(directory: Path, kind: str, contract: Contract) -> list[Path]:
    """Write the skeleton into ``directory`` and return the files written.

    Raises:
        UserError: the kind is unknown, the folder is not empty, or it cannot be written.
    """
    if kind not in ("postgres", "files"):
        raise UserError(f"--kind is {kind!r}; use postgres or files.")
    if directory.exists() and not directory.is_dir():
        raise UserError(f"{directory} is a file; name a folder that does not exist yet.")
    if directory.is_dir() and any(directory.iterdir()):
        raise UserError(f"{directory} is not empty, and nothing is overwritten; name a folder that does not exist yet.")
    head = _HEAD.format(guide=GUIDE, name=directory.resolve().name, kind=kind)
    texts = {"profile.yml": head + (_POSTGRES if kind == "postgres" else _FILES)}
    texts |= {f"{table.name}.sql": commented_select(table, kind) for table in contract}
    written = []
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            path = directory / name
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
            written.append(path)
    except OSError as error:
        raise UserError(f"{directory} cannot be written ({error.strerror}); name another folder.") from error
    return written


def commented_select(table: Table, kind: str) -> str:
    """A SELECT for ``table`` in comments: each column with its type, whether it must be given, and what it is."""
    lines = [
        f"-- {table.name} ({table.system}): {table.description}",
        "-- Take the comment marks off, put your own expression before each `as`, and leave out optional columns you",
        "-- lack (they become null). As long as all is a comment, the table stays empty.",
    ]
    lines += [
        f"-- Rule {rule.name} ({rule.severity}): {rule.expect or 'no two rows alike in ' + ', '.join(rule.unique)}"
        for rule in table.rules
    ]
    lines += ["--", "-- select"]
    width = max(len(column.name) for column in table.columns)
    for number, column in enumerate(table.columns):
        comma = "," if number < len(table.columns) - 1 else ""
        lines.append(f"--     your_column as {column.name + comma:<{width + 1}}  -- {_about(table, column)}")
    lines.append(f"-- from {'your_schema.your_table' if kind == 'postgres' else 'loads_file'}")
    return "\n".join(lines) + "\n"


def _about(table: Table, column: Column) -> str:
    if column.name == table.cursor:
        need = "optional: without it the table is read whole each time"
    elif column.name in table.primary_key:
        need = "required, key"
    else:
        need = "required" if column.is_required else "optional"
    target = f", key of {column.references}" if column.references else ""
    return f"{column.data_type}, {need}{target}. {column.description}"
