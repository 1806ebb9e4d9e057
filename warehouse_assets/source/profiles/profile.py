"""Profiles as extraction uses them: opened by name or folder, judged, and read table by table."""

import hashlib
import os
import re
import shutil
import threading
import weakref
from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from psycopg import sql

from warehouse_assets.errors import UserError
from warehouse_assets.source.contract import Contract, Table, load_contract
from warehouse_assets.source.profiles import duck
from warehouse_assets.source.profiles.batches import RecordBatches, casting_query
from warehouse_assets.source.profiles.lines import with_lines
from warehouse_assets.source.profiles.manifest import (
    GUIDE,
    UNREADABLE_ROWS,
    Kind,
    Manifest,
    closest,
    known,
    read_manifest,
    resolve_settings,
    whole_table,
    with_literals,
)
from warehouse_assets.source.profiles.rejects import Reject
from warehouse_assets.source.profiles.views import FileViews, mentioned, modified_times, temporary_folder

SHIPPED = Path(__file__).parent


class Profile:
    """A source profile whose settings are resolved.

    ``tables`` names the contracted tables it gives, in the contract's order. Everything else of the contract stays
    empty.
    """

    def __init__(
        self, manifest: Manifest, selects: Mapping[str, str], values: Mapping[str, str], source_url: str | None
    ) -> None:
        self.manifest = manifest
        self.settings = dict(values)
        self.source_url = source_url
        self._selects = dict(selects)

    @property
    def name(self) -> str:
        """Name of the profile."""
        return self.manifest.name

    @property
    def kind(self) -> Kind:
        """``postgres`` or ``files``."""
        return self.manifest.kind

    @property
    def tables(self) -> tuple[str, ...]:
        """Contracted tables the profile gives."""
        return tuple(self._selects)

    def where(self, table: str) -> str:
        """The SELECT of a table, named for a sentence."""
        as_it_stands = f"table {table} as it stands"
        return f"Profile {self.name!r}, {f'{table}.sql' if self.has_select(table) else as_it_stands}"

    def has_select(self, table: str) -> bool:
        """Whether the profile has a SELECT of its own for ``table``; else it is taken as it stands."""
        return (self.manifest.directory / f"{table}.sql").is_file()

    def select(self, table: str) -> str:
        """The SELECT of ``table``, settings filled in, without a closing semicolon.

        Raises:
            UserError: the profile has no such table.
        """
        try:
            return self._selects[table]
        except KeyError:
            raise UserError(
                f"Profile {self.name!r} has no {table}.sql{closest(table, self._selects)}; it has "
                f"{known(self._selects)}."
            ) from None

    def close(self) -> None:
        """Give up what the profile holds."""


class PostgresProfile(Profile):
    """A profile over a PostgreSQL database; ``mapping.map_table`` casts its columns."""

    def select_sql(self, table: str) -> sql.SQL:
        """The SELECT of ``table`` on lines of its own, to stand between parentheses."""
        return sql.SQL(f"\n{self.select(table)}\n")


class FilesProfile(Profile):
    """A profile over files, opened at the first read and once until ``close``: all tables see the same rows."""

    def __init__(
        self, manifest: Manifest, selects: Mapping[str, str], values: Mapping[str, str], source_url: str | None
    ) -> None:
        super().__init__(manifest, selects, values, source_url)
        self._lock = threading.Lock()
        self._views: FileViews | None = None
        self._finalizer: Callable[[], object] | None = None

    def close(self) -> None:
        """Remove the temporary files; a later read opens the profile's files anew."""
        with self._lock:
            if self._finalizer is not None:
                self._finalizer()
            self._views = self._finalizer = None

    def _opened(self) -> FileViews:
        """The views and their temporary folder, made at first use. Called under the lock."""
        if self._views is None:
            folder = temporary_folder()
            self._finalizer = weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
            self._views = FileViews(self.manifest, self.settings, folder)
        return self._views

    def unreadable_rows(self, table: str) -> list[Reject]:
        """The rows that could not be read in the files of ``table``; reads them if that is not done yet."""
        with self._lock:
            views = self._opened()
            return [reject for name in views.mentioned(self.select(table)) for reject in views.rejects(name)]

    def fingerprint(self, table: str) -> str:
        """Another one when the SELECT of ``table``, or the zone of its times, is another."""
        return fingerprint(self.select(table), self.manifest.time_zone)

    def require_files(self) -> None:
        """See that every file is there.

        Raises:
            UserError: one is not, or its server does not answer.
        """
        for name in sorted(self.tables):
            self.modified_at(name)

    def modified_at(self, table: str) -> datetime:
        """When the files that ``table`` is made of last changed; long ago where its SELECT reads none.

        A URL is asked for its Last-Modified; where the server does not tell, it counts as changed now.

        Raises:
            UserError: a file is not there, or its server does not answer.
        """
        with self._lock:
            sources = [self.manifest.files[name] for name in mentioned(self.manifest, self.select(table))]
        times = [time for source in sources for time in modified_times(self.manifest, source, self.settings)]
        return max(times, default=datetime.min.replace(tzinfo=UTC))

    def session(self, table: str) -> tuple[Any, str, dict[str, str]]:
        """A DuckDB session for ``table``, the SELECT with its settings bound, and its columns with DuckDB's types.

        Where the SELECT gives one row per record of a file, ``_file`` and ``_line`` are among the columns.

        Raises:
            UserError: a file cannot be read, or DuckDB refuses the SELECT.
        """
        import duckdb

        select = duck.with_variables(self.select(table), self.manifest.settings)
        with self._lock:
            views = self._opened()
            names = views.mentioned(select)
            paths = [path for name in names for path in views.paths(name)]
        connection = duck.open_session(paths, views.folder / "spill", self.manifest.time_zone, self.settings)
        try:
            for name in names:
                views.create(connection, name)
            traced = with_lines(connection, select)
            return connection, traced, _described(connection, traced)
        except duckdb.Error as error:
            connection.close()
            raise duck.select_error(self.where(table), error) from error
        except UserError:
            connection.close()
            raise

    def has_rows(self, table: str) -> bool:
        """Whether the SELECT of ``table`` gives a row, or its files hold rows that cannot be read.

        Raises:
            UserError: as ``session``.
        """
        import duckdb

        connection, select, _ = self.session(table)
        with closing(connection):
            try:
                found = connection.execute(f"select 1 from (\n{select}\n) as profile limit 1").fetchall()  # noqa: S608  the profile's own SELECT
            except duckdb.Error as error:
                raise duck.select_error(self.where(table), error) from error
        return bool(found) or bool(self.unreadable_rows(table))

    def read(self, table: Table) -> RecordBatches:
        """The rows of ``table`` as record batches of the contract's columns and types.

        Raises:
            UserError: a file cannot be read, DuckDB refuses the SELECT, or it lacks a required column.
        """
        connection, select, described = self.session(table.name)
        try:
            require_columns(table, described, self.where(table.name))
        except UserError:
            connection.close()
            raise
        query = casting_query(table, select, described)
        unreadable = self.unreadable_rows(table.name)
        return RecordBatches(table, self.where(table.name), query, unreadable, connection)


def fingerprint(*texts: str) -> str:
    """Sixteen characters that tell whether any of ``texts`` has changed."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]


def _described(connection: Any, select: str) -> dict[str, str]:
    relation = connection.sql(f"select * from (\n{select}\n) as profile")  # noqa: S608  the profile's own SELECT
    return {name: str(kind) for name, kind in zip(relation.columns, relation.types, strict=True)}


def missing_columns(table: Table, given: Mapping[str, object]) -> list[str]:
    """Required columns that are not given; the cursor is never among them, since it can be filled."""
    return [
        column.name
        for column in table.columns
        if column.name not in given
        and (column.is_required or column.name in table.primary_key)
        and column.name != table.cursor
    ]


def require_columns(table: Table, given: Mapping[str, object], where: str) -> None:
    """Check that every required column of ``table`` is given.

    Raises:
        UserError: names the table, the columns and the remedy.
    """
    missing = missing_columns(table, given)
    if missing:
        extra = [name for name in given if name not in table.column_names and not name.startswith("_")]
        hint = next((h for name in missing if (h := closest(name, extra))), "")
        plural = "s" if len(missing) > 1 else ""
        raise UserError(
            f"{where} lacks the required column{plural} {', '.join(missing)} of table {table.name}{hint}: select "
            f"{'them' if plural else 'it'} under that name, or remove the file to leave the table empty "
            "(`warehouse profile check` shows all columns)."
        )


def shipped_profiles() -> tuple[str, ...]:
    """Names of the profiles that come with the package."""
    return tuple(sorted(path.parent.name for path in SHIPPED.glob("*/profile.yml")))


def profile_directory(name_or_dir: str) -> Path:
    """The folder of a shipped profile or of the user's own.

    Raises:
        UserError: there is neither.
    """
    if name_or_dir in shipped_profiles():
        return SHIPPED / name_or_dir
    directory = Path(name_or_dir).expanduser()
    if directory.is_dir():
        return directory
    raise UserError(
        f"There is no profile {name_or_dir!r}{closest(name_or_dir, shipped_profiles())}: use one of "
        f"{known(shipped_profiles())}, or the folder of your own (see {GUIDE})."
    )


_TOKEN = re.compile(
    r"""(?P<blank>\s+|--[^\n]*|/\*.*?\*/)|(?P<other>'(?:[^']|'')*'|"(?:[^"]|"")*"|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$|.)""",
    re.DOTALL,
)


def one_select(text: str) -> str:
    r"""The statement in ``text`` without what comes after it: semicolons and comments. Empty if all is comment.

    >>> one_select("-- one row\nselect 'a;' -- b\nfrom c ; -- the end")
    "-- one row\nselect 'a;' -- b\nfrom c"
    """
    begin_of_end = 0
    for token in _TOKEN.finditer(text):
        if token.lastgroup != "blank" and token.group() != ";":
            begin_of_end = token.end()
    return text[:begin_of_end].strip()


def _begins_as_select(select: str) -> bool:
    first = next((token.start() for token in _TOKEN.finditer(select) if token.lastgroup != "blank"), 0)
    return re.match(r"(?i)(select|with|from|values)\b", select[first:]) is not None


def _read_selects(manifest: Manifest, contract: Contract) -> dict[str, str]:
    found: dict[str, str] = {}
    for path in sorted(manifest.directory.glob("*.sql")):
        if path.stem not in contract.tables:
            raise UserError(
                f"{path} is for no contracted table{closest(path.stem, contract.tables)}; the contract has "
                f"{known(contract.tables)}."
            )
        try:
            text = path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{path} cannot be read ({error}); write it as UTF-8.") from error
        select = one_select(text)
        if not select:
            continue  # a skeleton whose SELECT is still a comment
        if not _begins_as_select(select):
            raise UserError(f"{path} does not begin with select or with; a profile holds one SELECT per table.")
        found[path.stem] = select
    return found


def open_profile(
    name_or_dir: str,
    settings: Mapping[str, str],
    source_url: str | None = None,
    contract: Contract | None = None,
    environ: Mapping[str, str] | None = None,
) -> Profile:
    """Open a profile by its shipped name or its folder.

    Args:
        name_or_dir: ``default``, another shipped name, or a folder.
        settings: the ``--set`` values.
        source_url: URL of the source database; profiles over files have no use for it.
        contract: the contract to judge it by (default: this installation's).
        environ: where settings with ``env`` are looked up (default: the process environment).

    Raises:
        UserError: the profile is not there, says something not understood, or a setting is unknown or missing.
    """
    contract = load_contract() if contract is None else contract
    manifest = read_manifest(profile_directory(name_or_dir))
    values = resolve_settings(manifest, settings, os.environ if environ is None else environ)
    selects = _read_selects(manifest, contract)
    if manifest.tables_from:
        for table in contract:
            selects.setdefault(table.name, whole_table(manifest.tables_from, table.name))
    selects = {table.name: selects[table.name] for table in contract if table.name in selects}
    if not selects:
        raise UserError(
            f"Profile {manifest.name!r} has no SELECT: take the comment marks off at least one <table>.sql in "
            f"{manifest.directory} (see {GUIDE})."
        )
    if manifest.kind == "postgres":
        selects = {name: with_literals(select, values, manifest) for name, select in selects.items()}
        return PostgresProfile(manifest, selects, values, source_url)
    if UNREADABLE_ROWS in settings:
        values[UNREADABLE_ROWS] = settings[UNREADABLE_ROWS]
    return FilesProfile(manifest, selects, values, source_url)
