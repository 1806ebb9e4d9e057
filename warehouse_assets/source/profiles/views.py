"""The file sources of a profile as DuckDB views: found, fetched and spooled once, at first use."""

import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, cast

from warehouse_assets.errors import UserError
from warehouse_assets.source.profiles import duck
from warehouse_assets.source.profiles.csv_rows import spool_csv
from warehouse_assets.source.profiles.fetch import (
    LocalFile,
    Location,
    gunzip_to,
    is_gzip,
    local_files,
    modification_times,
)
from warehouse_assets.source.profiles.json_rows import spool_json
from warehouse_assets.source.profiles.manifest import (
    UNREADABLE_ROWS,
    FileSource,
    Manifest,
    UnreadableRows,
    closest,
    fill,
    known,
)
from warehouse_assets.source.profiles.rejects import Reject
from warehouse_assets.source.profiles.spool import FILE, LINE, Spooled, SpoolWriter, column_names
from warehouse_assets.source.profiles.xml_rows import spool_xml

_FOLDER = "warehouse-profile-"
_SPOOLERS = {"csv": spool_csv, "json": spool_json, "xml": spool_xml}


def mentioned(manifest: Manifest, select: str) -> list[str]:
    """The file sources of a profile whose name occurs in the SELECT."""
    return [name for name in manifest.files if re.search(rf"\b{name}\b", select)]


def locate(manifest: Manifest, source: FileSource, values: Mapping[str, str]) -> Location | None:
    """Where the files of a source are; None when an optional setting in its location has no value.

    A path that the user gives starts from the working directory, one in profile.yml, defaults of settings included,
    from the profile's folder: schedules run elsewhere than commands.

    Raises:
        UserError: the location names a setting that is not declared.
    """
    where = f"Profile {manifest.name!r}, file {source.name!r}"
    text = fill(source.location, values, manifest, where)
    if text is None:
        return None
    first = re.match(r"\{([a-z_][a-z0-9_]*)\}", source.location)
    is_users = first is not None and values[first[1]] != manifest.settings[first[1]].default
    headers = {
        key: value
        for key, header in source.http_headers.items()
        if (value := fill(header, values, manifest, where)) is not None
    }
    return Location(text, Path.cwd() if is_users else manifest.directory, headers, source.timeout_seconds)


def modified_times(manifest: Manifest, source: FileSource, values: Mapping[str, str]) -> list[datetime]:
    """When the files of a source last changed; nothing for a source that is left out.

    Raises:
        UserError: a file is not there, or its server does not answer.
    """
    place = locate(manifest, source, values)
    return [] if place is None else modification_times(place)


def temporary_folder() -> Path:
    """A new folder for spooled rows and downloads; folders whose process was killed are removed first."""
    import psutil

    root = Path(tempfile.gettempdir())
    for old in root.glob(f"{_FOLDER}*-*"):
        owner = old.name.removeprefix(_FOLDER).split("-")[0]
        if owner.isdigit() and not psutil.pid_exists(int(owner)):
            shutil.rmtree(old, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{_FOLDER}{os.getpid()}-"))


class FileViews:
    """The views of a profile. Not safe for threads: the profile holds a lock."""

    def __init__(self, manifest: Manifest, values: Mapping[str, str], folder: Path) -> None:
        self._manifest = manifest
        self._values = values
        self.folder = folder
        self._spooled: dict[str, Spooled] = {}
        self._queries: dict[str, str] = {}
        self._mode = cast("UnreadableRows", values.get(UNREADABLE_ROWS, manifest.unreadable_rows))

    def mentioned(self, select: str) -> list[str]:
        """The file sources whose name occurs in the SELECT."""
        return mentioned(self._manifest, select)

    def paths(self, name: str) -> list[Path]:
        """The Parquet files behind a view; reads the source's files at the first call.

        Raises:
            UserError: a file cannot be found, fetched or read.
        """
        if name not in self._spooled:
            try:
                self._spooled[name] = self._spool(self._manifest.files[name])
            except OSError as error:
                raise UserError(
                    f"Profile {self._manifest.name!r}, file {name!r}: {error.strerror or error}; see that the file can "
                    f"be read and that the disk of {self.folder.parent} has space, or set TMPDIR to another folder."
                ) from error
        return self._spooled[name].parts

    def rejects(self, name: str) -> list[Reject]:
        """The rows of a view's files that could not be read."""
        self.paths(name)
        return self._spooled[name].rejects

    def create(self, connection: Any, name: str) -> None:
        """Create the view in a session that may read its files."""
        source = self._manifest.files[name]
        spooled = self._spooled[name]
        declared = [*source.columns, *source.optional_columns]
        present = [*spooled.columns, FILE, LINE]
        if name in self._queries:
            query = self._queries[name]
        elif spooled.parts:
            parts = ", ".join(duck.literal(str(part)) for part in spooled.parts)
            query = f"select * from read_parquet([{parts}], union_by_name = true)"  # noqa: S608  our own paths, quoted
        else:
            nulls = ", ".join(f"null::varchar as {duck.quoted(column)}" for column in [*spooled.columns, FILE])
            query = f"select {nulls}, null::bigint as {LINE} where false"
        duck.create_view(connection, name, query, present, declared)

    def _spool(self, source: FileSource) -> Spooled:
        where = f"Profile {self._manifest.name!r}, file {source.name!r}"
        place = locate(self._manifest, source, self._values)
        if place is None:  # an optional setting without a value: a view without rows
            return Spooled()
        downloads = self.folder / "downloads"
        downloads.mkdir(exist_ok=True)
        files = local_files(place, downloads)
        formats = {source.format or file.format for file in files}
        if None in formats or len(formats) > 1:
            raise UserError(
                f"{where}: the format of {files[0].shown} is not plain from its name; state format: csv, json, xml or "
                "parquet in profile.yml."
            )
        if formats == {"parquet"}:
            spooled = self._parquet(source, files)
        else:
            spooled = self._text_rows(source, files, _SPOOLERS[str(formats.pop())])
        if not spooled.columns and not (source.columns or source.optional_columns):
            raise UserError(
                f"{where}: {files[0].shown} holds no rows, and so names no columns; if that may be, list them under "
                "columns: in profile.yml."
            )
        return spooled

    def _require_columns(self, source: FileSource, file: LocalFile, names: list[str]) -> None:
        """See that a file has the columns its profile counts on; one without any rows or header has none to lack.

        Raises:
            UserError: it lacks one.
        """
        missing = [column for column in source.columns if column not in names]
        if missing and names:
            raise UserError(
                f"Profile {self._manifest.name!r}, file {source.name!r}: {file.shown} has no column {missing[0]!r}"
                f"{closest(missing[0], names)}; it has {known(names)}. Is it the right file?"
            )

    def _text_rows(self, source: FileSource, files: list[LocalFile], spooler: Any) -> Spooled:
        writer = SpoolWriter(self.folder, source.name, self._mode)
        seen: list[list[str]] = []
        try:
            for file in files:
                writer.spooled.columns = []
                spooler(file, source, writer)
                self._require_columns(source, file, writer.spooled.columns)
                seen.append(writer.spooled.columns)
        finally:
            writer.close()
        for names in seen:
            writer.spooled.see_columns(names)
        return writer.spooled

    def _parquet(self, source: FileSource, files: list[LocalFile]) -> Spooled:
        import pyarrow as pa
        import pyarrow.parquet as pq

        spooled, selects = Spooled(), []
        for number, file in enumerate(files):
            path = file.path.resolve()
            if is_gzip(path):
                path = self.folder / f"{source.name}-{number}.parquet"
                gunzip_to(file.path, path, file.shown)
            try:
                raw = pq.read_schema(path).names
            except (pa.ArrowInvalid, OSError) as error:
                raise UserError(f"{file.shown} is no readable Parquet file ({error}); write it again.") from error
            names = column_names(raw)
            self._require_columns(source, file, names)
            spooled.see_columns(names)
            spooled.parts.append(path)
            renamed = ", ".join(f"{duck.quoted(a)} as {duck.quoted(b)}" for a, b in zip(raw, names, strict=True))
            selects.append(
                f"select {renamed}, {duck.literal(file.shown)} as {FILE}, file_row_number + 1 as {LINE} "  # noqa: S608  quoted
                f"from read_parquet({duck.literal(str(path))}, file_row_number = true, "
                "hive_partitioning = false)"  # else a folder's name would stand in for the file's own column
            )
        self._queries[source.name] = " union all by name ".join(selects)
        return spooled
