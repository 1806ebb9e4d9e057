"""A DuckDB session that sees a profile's files as views, and nothing else. What the rows mean does not belong here.

Each session is a database of its own in memory, without extensions to load, without the network, and with access to
the named Parquet files alone; its configuration is locked before any SELECT of a profile runs.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from warehouse_assets.errors import UserError
from warehouse_assets.source.profiles.manifest import PLACEHOLDER

if TYPE_CHECKING:
    import duckdb

MEMORY_LIMIT = "768MB"
THREADS = 2

# Text helpers hand on what they do not understand, so that the contract's cast refuses the row by name.
# %y comes first: %Y takes the year 24 as it stands, %y never takes four digits.
MACROS = (
    """create macro row_key(key_values) as md5(array_to_string(
        list_transform(key_values, lambda item: coalesce(item::varchar, chr(30))), chr(31)))""",
    """create macro occurrence(key_values, in_file, on_line) as
        row_number() over (partition by key_values order by in_file, on_line)""",
    """create macro unique_row_key(key_values, in_file, on_line) as
        row_key(key_values) || case occurrence(key_values, in_file, on_line)
            when 1 then '' else '-' || occurrence(key_values, in_file, on_line) end""",
    """create macro us_date(value) as
        coalesce(try_strptime(trim(value), ['%m/%d/%y', '%m/%d/%Y'])::date::varchar, value)""",
    """create macro us_timestamp(value) as coalesce(try_strptime(trim(value), [
        '%m/%d/%y %I:%M:%S %p', '%m/%d/%y %I:%M %p', '%m/%d/%y %H:%M:%S', '%m/%d/%y %H:%M', '%m/%d/%y',
        '%m/%d/%Y %I:%M:%S %p', '%m/%d/%Y %I:%M %p', '%m/%d/%Y %H:%M:%S', '%m/%d/%Y %H:%M', '%m/%d/%Y'
        ])::varchar, value)""",
    r"""create macro plain_number(value) as case
        when regexp_full_match(trim(value), '\(\s*\$?[0-9,]*\.?[0-9]+\s*\)')
            then '-' || regexp_replace(value, '[^0-9.]', '', 'g')
        when regexp_full_match(trim(value), '-?\s*\$?\s*-?[0-9]{1,3}(,[0-9]{3})*(\.[0-9]*)?')
            then regexp_replace(value, '[$,\s]', '', 'g')
        when regexp_full_match(trim(value), '-?\s*\$\s*-?[0-9]*\.?[0-9]+') then regexp_replace(value, '[$\s]', '', 'g')
        else value end""",
    "create macro title_key(value) as nullif(regexp_replace(upper(trim(value)), '\\s+', ' ', 'g'), '')",
)


def quoted(name: str) -> str:
    """``name`` as a SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """``text`` as a SQL string."""
    return "'" + text.replace("'", "''") + "'"


def open_session(files: Sequence[Path], temporary: Path, time_zone: str, settings: Mapping[str, str]) -> Any:
    """A connection that may read ``files`` and write to ``temporary`` (for what memory cannot hold), nothing else.

    ``settings`` are bound as variables: see ``with_variables``.
    """
    import duckdb

    connection = duckdb.connect(
        ":memory:",
        config={
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "memory_limit": MEMORY_LIMIT,
            "threads": str(THREADS),
            "temp_directory": str(temporary),
        },
    )
    connection.execute(f"set TimeZone = {literal(time_zone)}")
    connection.execute("set preserve_insertion_order = true")
    for name, value in settings.items():
        connection.execute(f"set variable {quoted(name)} = ?", [value])
    for macro in MACROS:
        connection.execute(macro)
    if files:
        connection.execute(f"set allowed_paths = [{', '.join(literal(str(path)) for path in files)}]")
    connection.execute("set enable_external_access = false")
    connection.execute("set lock_configuration = true")
    return connection


def with_variables(select: str, settings: Iterable[str]) -> str:
    """The SELECT with each ``{setting}`` of ``settings`` read from its bound variable; values never become SQL text."""
    names = set(settings)
    return PLACEHOLDER.sub(
        lambda match: f"getvariable({literal(match.group(1))})" if match.group(1) in names else match.group(0),
        select,
    )


def create_view(
    connection: "duckdb.DuckDBPyConnection", name: str, query: str, present: Sequence[str], absent: Sequence[str]
) -> None:
    """A view of ``query``; columns in ``absent`` are added as null text."""
    nulls = "".join(f", null::varchar as {quoted(column)}" for column in absent if column not in present)
    connection.execute(f"create view {quoted(name)} as select *{nulls} from ({query})")  # noqa: S608  names quoted, query ours


def first_line(error: Exception) -> str:
    """DuckDB's message up to where it quotes the statement, on one line."""
    text = str(error).split("\n\nLINE ")[0]
    return " ".join(text.split())


def select_error(where: str, error: Exception) -> UserError:
    """The sentence for a SELECT that DuckDB refuses or that fails as it runs."""
    said = first_line(error)
    kind = said.partition(" Error: ")[0]  # an OSError, as which Arrow hands on what stops a stream, has no other
    if kind in ("Conversion", "Invalid Input", "Out of Range"):
        return UserError(
            f"{where} fails on the data ({said}); hand the text on uncast, so that the contract's cast names the row, "
            "or use try_cast."
        )
    if kind in ("Out of Memory", "IO"):
        return UserError(
            f"{where} does not fit into memory and temporary disk space ({said}); free space on the disk of temporary "
            "files, or set TMPDIR to a folder on another."
        )
    if kind == "Permission":
        return UserError(
            f"{where} opens a file itself ({said}); name the file under files: in profile.yml and read its view."
        )
    if isinstance(error, OSError):
        return UserError(f"{where} cannot be read to its end ({said}).")
    return UserError(f"{where} is refused by DuckDB ({said}); correct it.")
