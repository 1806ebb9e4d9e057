"""What ``profile.yml`` may say, read and judged, and its settings put in place. No data of the source is read here."""

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Literal, cast, get_args

import yaml
from psycopg import sql

from warehouse_assets.errors import UserError
from warehouse_assets.settings import Settings, is_time_zone

Kind = Literal["postgres", "files"]
Format = Literal["csv", "json", "xml", "parquet"]
UnreadableRows = Literal["stop", "quarantine"]

GUIDE = "docs/how-to/bring-your-own-data.md"
UNREADABLE_ROWS = "unreadable_rows"
PLACEHOLDER = re.compile(r"\{([a-z_][a-z0-9_]*)\}")
_NAME = re.compile(r"[a-z_][a-z0-9_]*")


@dataclass(frozen=True)
class Setting:
    """One ``--set`` key of a profile. Without a default and not optional, it must be given.

    What is given is stored with the warehouse and shown with each run: a secret comes from its variable only.
    """

    name: str
    help: str = ""
    default: str | None = None
    env: str | None = None
    is_optional: bool = False
    is_secret: bool = False


@dataclass(frozen=True)
class FileSource:
    """Files of one layout, seen by the SELECTs as a view called ``name``.

    ``location`` is a path, a glob or an http(s) URL and may hold ``{setting}``. ``columns`` must stand in every file,
    ``optional_columns`` are null where a file lacks them.
    """

    name: str
    location: str
    format: Format | None = None
    rows: str | None = None
    columns: tuple[str, ...] = ()
    optional_columns: tuple[str, ...] = ()
    delimiter: str | None = None
    quote: str = '"'
    encoding: str = "utf-8"
    header: tuple[str, ...] | None = None
    skip_lines: int = 0
    nulls: tuple[str, ...] = ("",)
    http_headers: Mapping[str, str] = field(default_factory=dict)
    timeout_seconds: float = 60.0


@dataclass(frozen=True)
class Manifest:
    """The whole of a ``profile.yml``.

    ``tables_from`` (postgres): the schema whose tables stand in for contracted tables without a SELECT.
    """

    name: str
    kind: Kind
    directory: Path
    description: str = ""
    time_zone: str = "UTC"
    unreadable_rows: UnreadableRows = "stop"
    tables_from: str | None = None
    settings: Mapping[str, Setting] = field(default_factory=dict)
    files: Mapping[str, FileSource] = field(default_factory=dict)


def known(names: Iterable[str]) -> str:
    """The names, sorted and joined for a sentence; "none" if there are none."""
    return ", ".join(sorted(names)) or "none"


def closest(name: str, names: Iterable[str]) -> str:
    """A hint such as " (did you mean 'loads'?)", or nothing."""
    found = difflib.get_close_matches(name, list(names), n=1)
    return f" (did you mean {found[0]!r}?)" if found else ""


class _Reader:
    """Takes keys out of one YAML mapping and complains about the rest."""

    def __init__(self, where: str, value: Any) -> None:
        if not isinstance(value, dict):
            raise UserError(f"{where} is no mapping of keys to values; see {GUIDE}.")
        self.where = where
        self.rest: dict[str, Any] = {str(key): item for key, item in value.items()}
        self.keys: list[str] = []

    def take(self, key: str, wanted: type, default: Any = None) -> Any:
        self.keys.append(key)
        value = self.rest.pop(key, None)
        if value is None:
            return default
        if wanted is str and isinstance(value, int | float | date) and not isinstance(value, bool):
            value = str(value)
        if wanted is float and isinstance(value, int):
            value = float(value)
        if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
            kind = {str: "text", int: "a whole number", float: "a number", list: "a list", dict: "a mapping"}
            raise UserError(
                f"{self.where}: {key} must be {kind.get(wanted, 'true or false')}, not {value!r}; see {GUIDE}."
            )
        return value

    def choice(self, key: str, allowed: tuple[str, ...], default: str | None) -> str | None:
        value = self.take(key, str, default)
        if value is not None and value not in allowed:
            raise UserError(f"{self.where}: {key} is {value!r}; use one of {', '.join(allowed)}.")
        return cast("str | None", value)

    def names(self, key: str) -> tuple[str, ...]:
        items = self.take(key, list, [])
        for item in items:  # NULL, NO and the like are no text in YAML
            if item is None or isinstance(item, bool):
                raise UserError(
                    f"{self.where}: YAML reads an item of {key} as {str(item).lower().replace('none', 'null')}; "
                    "write it in quotes, such as 'NULL' or 'NO'."
                )
        return tuple(map(str, items))

    def finish(self) -> None:
        for key in self.rest:
            raise UserError(
                f"{self.where} has an unknown key {key!r}{closest(key, self.keys)}; it may have {known(self.keys)}."
            )


def _setting(path: Path, name: str, value: Any) -> Setting:
    where = f"{path}, setting {name!r}"
    if not _NAME.fullmatch(name) or name == UNREADABLE_ROWS:
        raise UserError(f"{where}: use another name, of small letters, digits and underscores.")
    reader = _Reader(where, {} if value is None else value)
    setting = Setting(
        name=name,
        help=reader.take("help", str, ""),
        default=reader.take("default", str),
        env=reader.take("env", str),
        is_optional=reader.take("optional", bool, False),
        is_secret=reader.take("secret", bool, False),
    )
    reader.finish()
    if setting.is_secret and setting.env is None:
        raise UserError(f"{where} is secret: name the variable of the environment that holds it, `env: NAME`.")
    return setting


def _file_source(path: Path, name: str, value: Any) -> FileSource:
    where = f"{path}, file {name!r}"
    if not _NAME.fullmatch(name):
        raise UserError(f"{where}: use a name of small letters, digits and underscores; the SELECTs read from it.")
    reader = _Reader(where, value)
    location = reader.take("location", str)
    if not location:
        raise UserError(f"{where} has no location; give a path, a glob, an http(s) URL, or '{{setting}}'.")
    header = reader.names("header")
    source = FileSource(
        name=name,
        location=location,
        format=cast("Format | None", reader.choice("format", get_args(Format), None)),
        rows=reader.take("rows", str),
        columns=reader.names("columns"),
        optional_columns=reader.names("optional_columns"),
        delimiter=reader.take("delimiter", str),
        quote=reader.take("quote", str, '"'),
        encoding=reader.take("encoding", str, "utf-8"),
        header=header or None,
        skip_lines=reader.take("skip_lines", int, 0),
        nulls=("", *reader.names("nulls")),
        http_headers={str(k): str(v) for k, v in reader.take("http_headers", dict, {}).items()},
        timeout_seconds=reader.take("timeout_seconds", float, 60.0),
    )
    reader.finish()
    for key, text in (("delimiter", source.delimiter), ("quote", source.quote)):
        if text is not None and len(text) != 1:
            raise UserError(f"{where}: {key} is {text!r}; use one character.")
    try:
        "".encode(source.encoding)
    except LookupError as error:
        raise UserError(
            f"{where}: encoding {source.encoding!r} is not known; use one such as utf-8 or latin-1."
        ) from error
    return source


def read_manifest(directory: Path) -> Manifest:
    """Read ``directory/profile.yml``.

    Raises:
        UserError: there is none, it is no YAML, or a key or value in it is not understood.
    """
    path = directory / "profile.yml"
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    except FileNotFoundError as error:
        raise UserError(
            f"{directory} has no profile.yml; `warehouse profile new DIR` writes a profile to begin from."
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read ({error}); correct the file or its rights.") from error
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not valid YAML ({' '.join(str(error).split())}); correct it there.") from error
    reader = _Reader(str(path), content)
    kind = reader.choice("kind", get_args(Kind), None)
    if kind is None:
        raise UserError(f"{path} has no kind; write `kind: postgres` or `kind: files`.")
    manifest = Manifest(
        name=reader.take("name", str, directory.resolve().name),
        kind=cast("Kind", kind),
        directory=directory,
        description=reader.take("description", str, ""),
        time_zone=reader.take("time_zone", str) or Settings.from_env().time_zone,
        unreadable_rows=cast("UnreadableRows", reader.choice(UNREADABLE_ROWS, get_args(UnreadableRows), "stop")),
        tables_from=reader.take("tables_from", str),
        settings={str(k): _setting(path, str(k), v) for k, v in reader.take("settings", dict, {}).items()},
        files={str(k): _file_source(path, str(k), v) for k, v in reader.take("files", dict, {}).items()},
    )
    reader.finish()
    if not is_time_zone(manifest.time_zone):
        raise UserError(f"{path}: time_zone {manifest.time_zone!r} is not known; use one such as America/Chicago.")
    if manifest.kind == "postgres" and manifest.files:
        raise UserError(f"{path}: a profile of kind postgres has no files; remove them, or write `kind: files`.")
    if manifest.kind == "files" and manifest.tables_from:
        raise UserError(f"{path}: tables_from is for profiles of kind postgres; remove it.")
    return manifest


def resolve_settings(manifest: Manifest, given: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    """The value of each setting: given, else from its environment variable, else its default.

    Optional settings without a value are left out.

    Raises:
        UserError: a key is unknown, or a mandatory setting has no value; the message lists what exists.
    """
    possible = [*manifest.settings, *([UNREADABLE_ROWS] if manifest.kind == "files" else [])]
    for key in given:
        if key not in possible:
            raise UserError(
                f"Profile {manifest.name!r} has no setting {key!r}{closest(key, possible)}; it has {known(possible)}."
            )
        if key in manifest.settings and manifest.settings[key].is_secret:
            raise UserError(
                f"Setting {key!r} of profile {manifest.name!r} is secret, and what --set is given is stored and shown: "
                f"put it into the variable {manifest.settings[key].env} instead."
            )
    mode = given.get(UNREADABLE_ROWS, "stop")
    if mode not in get_args(UnreadableRows):
        raise UserError(f"Setting {UNREADABLE_ROWS} is {mode!r}; use stop or quarantine.")
    values: dict[str, str] = {}
    for setting in manifest.settings.values():
        value = given.get(setting.name)
        if value is None and setting.env:
            value = environ.get(setting.env)
        if value is None:
            value = setting.default
        if value is not None and value != "":
            values[setting.name] = value
        elif not setting.is_optional:
            wanted = "; ".join(
                f"{item.name}: {item.help or 'no help given'}"
                for item in manifest.settings.values()
                if item.default is None and not item.is_optional
            )
            ways = [] if setting.is_secret else [f"--set {setting.name}=VALUE"]
            ways += [f"the variable {setting.env}"] if setting.env else []
            raise UserError(f"Profile {manifest.name!r} needs {' or '.join(ways)}; mandatory are {wanted}.")
    return values


def fill(text: str, values: Mapping[str, str], manifest: Manifest, where: str) -> str | None:
    """``text`` with each ``{setting}`` replaced; None when an optional setting in it has no value.

    Raises:
        UserError: the text names a setting that profile.yml does not declare.
    """
    for name in PLACEHOLDER.findall(text):
        if name not in manifest.settings:
            raise UserError(f"{where} names setting {name!r}; profile.yml declares {known(manifest.settings)}.")
        if name not in values:
            return None
    return PLACEHOLDER.sub(lambda match: values[match.group(1)], text)


def whole_table(schema: str, table: str) -> str:
    """The SELECT of a table as it stands."""
    return sql.SQL("select * from {}").format(sql.Identifier(schema, table)).as_string(None)


def with_literals(select: str, values: Mapping[str, str], manifest: Manifest) -> str:
    """The SELECT with each ``{setting}`` as a quoted SQL string (null when it has no value)."""

    def quoted(name: str) -> str:
        return sql.Literal(values.get(name)).as_string(None).strip()

    return PLACEHOLDER.sub(
        lambda match: quoted(match.group(1)) if match.group(1) in manifest.settings else match.group(0), select
    )
