"""Forecast a CSV file: reading with every complaint named by line, and writing all or nothing. No modelling here."""

import csv
import gzip
import io
import logging
import os
import re
import tempfile
import zlib
from pathlib import Path

import numpy as np
import pandas as pd

from warehouse_assets.errors import UserError
from warehouse_assets.forecast.backtest import Progress
from warehouse_assets.forecast.frequency import frequency_of, step_index
from warehouse_assets.forecast.model import ForecastResult, forecast, no_progress, require_horizon

COLUMNS = ("unique_id", "ds", "y")
MISSING = {"", "na", "nan", "null", "none"}
"""Spellings of a missing y, in lower case."""
COMPACT = {6: "%Y%m", 8: "%Y%m%d", 10: "%Y%m%d%H", 12: "%Y%m%d%H%M"}
"""Dates written as whole numbers, by their digits: a month, day, hour or minute of 1900 to 2099."""
LONGER_STEPS = {
    "h": (24, "choose the frequency D, W or MS"),
    "D": (7 * 24, "choose the frequency W or MS"),
    "W": (28 * 24, "choose the frequency MS"),
    "MS": (59 * 24, "write step numbers (0, 1, 2 …) for dates"),
}
"""By frequency, hours between all dates from which on they are of a longer one, and the remedy."""
TIME_ZONE = r"[T ].*(?:Z|[+-]\d{2}(?::?\d{2})?)$"
"""How a time ends that tells its zone."""
LARGEST = 1e150
"""Squares of larger values are no numbers any more."""
WHOLE_NUMBER = re.compile(r"[+-]?\d+")
MANY_FILLED, MOST_FILLED = 300, 0.9
"""Steps, and share of a series' steps, from which on filling is told: a year mistyped by a digit fills thousands."""

logger = logging.getLogger(__name__)


def forecast_file(
    input: Path | str,
    output: Path | str,
    horizon: int,
    freq: str,
    level: float = 90,
    *,
    country: str | None = "US",
    fill: str = "season",
    threads: int = 2,
    on_progress: Progress = no_progress,
) -> ForecastResult:
    """Forecast the series of a CSV file into another; a series that is nearly all filled is told in a logged warning.

    Args:
        input: a CSV (or .csv.gz) with the columns unique_id, ds, y; others are passed over. ``ds`` holds dates
            (ISO, or month/day/year) or whole step numbers; a missing ``y`` is empty or NA.
        output: written with unique_id, ds, yhat, yhat_lower, yhat_upper, ``horizon`` rows for each series; only
            when everything has succeeded.
        horizon: steps ahead.
        freq: D, W, MS or h.
        level: percent the intervals should cover.
        country: whose public holidays to use; None for none.
        fill: "season", or "zero" where a missing row means nothing happened.
        threads: origins computed at a time.
        on_progress: called with what is being done, done and total.

    Raises:
        UserError: the file or an argument cannot be used; says the file, the line and the remedy.
    """
    require_horizon(horizon)
    frequency_of(freq)
    input, output = Path(input), Path(output)
    if not output.parent.is_dir():
        raise UserError(f"The folder of {output} does not exist; create it or choose another output.")
    if output.is_dir():
        raise UserError(f"{output} is a folder; name a file to write.")
    if output.exists() and input.exists() and output.samefile(input):
        raise UserError(f"{output} is the input itself; name another file to write.")
    history = read_history(input)
    _refuse_longer_steps(history, freq, input)
    try:
        result = forecast(
            history, horizon, freq, level, country=country, fill=fill, threads=threads, on_progress=on_progress
        )
    except UserError as error:
        raise UserError(f"{input}: {error}") from error
    _tell_of_gaps(history, freq, input)
    columns = ["unique_id", "ds", "yhat", "yhat_lower", "yhat_upper"]
    _write_whole(result.forecasts[columns], output)
    return result


def read_history(path: Path) -> pd.DataFrame:
    """Read a long CSV into the columns unique_id (text, as it is), ds (datetime64, or int64 steps), y (float).

    Raises:
        UserError: the file cannot be read, is empty, is no UTF-8, holds a NUL byte or a line of another length,
            lacks a column, or holds a date, number or name that cannot be used, or a row twice.
    """
    text = _text(path)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [name.strip() for name in next((row for row in reader if row), [])]
        if not header:
            raise UserError(f"{path} is empty; it needs a header line unique_id,ds,y and rows.")
        twice = [name for name in COLUMNS if header.count(name) > 1]
        if twice:
            raise UserError(
                f"{path}, line {reader.line_num}: the column {twice[0]!r} is there twice; rename one of them."
            )
        missing = [name for name in COLUMNS if name not in header]
        if missing:
            raise UserError(
                f"{path}, line {reader.line_num}: the column {missing[0]!r} is missing (found: {', '.join(header)}); "
                "the columns must be called unique_id, ds and y."
            )
        at = [header.index(name) for name in COLUMNS]
        lines, cells = [], []
        for row in reader:
            if not row:
                continue
            if len(row) != len(header):
                raise UserError(
                    f"{path}, line {reader.line_num}: {len(row)} values where the header has {len(header)}; "
                    "complete the line or remove it."
                )
            lines.append(reader.line_num)
            cells.append((row[at[0]], row[at[1]], row[at[2]]))
    except csv.Error as error:
        raise UserError(f"{path}, line {reader.line_num}: not readable as CSV ({error}); check the quotes.") from error
    if not cells:
        raise UserError(f"{path} holds a header but no row; give at least one value to forecast from.")
    frame = pd.DataFrame(cells, columns=list(COLUMNS), dtype=object)
    nameless = np.flatnonzero((frame["unique_id"].str.strip() == "").to_numpy())
    if len(nameless):
        raise UserError(f"{path}, line {lines[nameless[0]]}: unique_id is empty; name the series.")
    frame["ds"] = _steps_or_dates(frame["ds"].str.strip(), path, lines)
    frame["y"] = _numbers(frame["y"].str.strip(), path, lines)
    _refuse_twice(frame, path, lines)
    return frame


def _text(path: Path) -> str:
    """Return the file's text."""
    if not path.exists():
        raise UserError(f"{path} does not exist; check the name.")
    if path.is_dir():
        raise UserError(f"{path} is a folder; name a CSV file.")
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path} cannot be read ({error}); check its permissions and that it is whole.") from error
    zero = data.find(b"\0")
    if zero >= 0:
        line = data.count(b"\n", 0, zero) + 1
        raise UserError(f"{path}, line {line}: holds a NUL byte; save the file as plain UTF-8 text.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(f"{path}, line {line}: not UTF-8; save the file as UTF-8 text.") from error


def _steps_or_dates(
    texts: "pd.Series[str]", path: Path, lines: list[int]
) -> "pd.Series[int] | pd.Series[pd.Timestamp]":
    """Return step numbers where all texts are whole numbers (and no dates, see `COMPACT`), else dates."""
    whole = texts.map(lambda text: WHOLE_NUMBER.fullmatch(text) is not None)
    if whole.all():
        for digits, style in COMPACT.items():
            if texts.str.fullmatch(rf"(19|20)\d{{{digits - 2}}}").all():
                compact = pd.to_datetime(texts, format=style, errors="coerce")
                if compact.notna().all():
                    return compact
        if texts.str.len().max() > 12:
            raise UserError(
                f"{path}: ds holds numbers of over 12 digits; write dates such as 2024-01-31 or small step numbers."
            )
        return texts.astype("int64")
    has_zone = texts.str.contains(TIME_ZONE)
    if has_zone.any() and not has_zone.all():
        other = int(np.flatnonzero((has_zone != has_zone.iloc[0]).to_numpy())[0])
        raise UserError(
            f"{path}, line {lines[other]}: ds {texts.iloc[other]!r} {'has a' if has_zone.iloc[other] else 'lacks the'} "
            f"time zone that {'the first row lacks' if has_zone.iloc[other] else 'the first row has'}; "
            "write all times in one style."
        )
    for style in ("ISO8601", "%m/%d/%Y", "%m/%d/%Y %H:%M", "%m/%d/%Y %H:%M:%S", "%b %d, %Y", "%Y/%m/%d"):
        dates = pd.to_datetime(texts, format=style, errors="coerce", utc=True).dt.tz_localize(None)
        if dates.notna().any():
            break
    bad = np.flatnonzero(dates.isna().to_numpy())
    if len(bad):
        raise UserError(
            f"{path}, line {lines[bad[0]]}: ds {texts.iloc[bad[0]]!r} is no date; write dates such as 2024-01-31 "
            "(all in one style), or whole step numbers in every row."
        )
    return dates


def _numbers(texts: "pd.Series[str]", path: Path, lines: list[int]) -> "pd.Series[float]":
    """Return y as float, NaN where missing."""
    values = pd.to_numeric(texts, errors="coerce").astype(float)
    absent = texts.str.lower().isin(MISSING)
    bad = np.flatnonzero((values.isna() & ~absent).to_numpy() | np.isinf(values.to_numpy()))
    if len(bad):
        raise UserError(
            f"{path}, line {lines[bad[0]]}: y {texts.iloc[bad[0]]!r} is no finite number; "
            "write it with a decimal point and no unit, or leave it empty."
        )
    large = np.flatnonzero(np.abs(values.to_numpy()) > LARGEST)
    if len(large):
        raise UserError(
            f"{path}, line {lines[large[0]]}: y {texts.iloc[large[0]]!r} is too large to reckon with; correct it, or "
            "give the values in a larger unit."
        )
    return values


def _refuse_twice(frame: pd.DataFrame, path: Path, lines: list[int]) -> None:
    """Raise a UserError naming the second of two rows for one series and date."""
    twice = np.flatnonzero(frame.duplicated(["unique_id", "ds"]).to_numpy())
    if len(twice):
        row = frame.iloc[twice[0]]
        same = (frame["unique_id"] == row["unique_id"]) & (frame["ds"] == row["ds"])
        first = lines[int(np.flatnonzero(same.to_numpy())[0])]
        shown = str(row["ds"]).removesuffix(" 00:00:00")
        raise UserError(
            f"{path}, line {lines[twice[0]]}: series {row['unique_id']!r} has {shown} already on line {first}; "
            f"{'write times with their zone if the clock was set back' if ':' in shown else 'keep one of the rows'}, "
            "or add them up."
        )


def _refuse_longer_steps(frame: pd.DataFrame, freq: str, path: Path) -> None:
    """Raise a UserError where the dates of all series lie weeks apart and days are asked for, and the like."""
    apart = frame.sort_values(["unique_id", "ds"]).groupby("unique_id")["ds"].diff().dropna()
    if not pd.api.types.is_datetime64_any_dtype(frame["ds"]):
        if len(apart) >= 3 and apart.min() > 1:
            raise UserError(
                f"{path}: no two step numbers of a series are closer than {apart.min():.0f}; number the steps 0, 1, 2 "
                "and so on, or give dates."
            )
        return
    hours, remedy = LONGER_STEPS[freq]
    if len(apart) >= 3 and apart.min() >= pd.Timedelta(hours=hours):
        raise UserError(
            f"{path}: no two dates of a series are closer than {apart.min() / pd.Timedelta(days=1):g} days, so {freq} "
            f"is not their step; {remedy}, or give rows for the steps between, their y empty."
        )


def _tell_of_gaps(history: pd.DataFrame, freq: str, path: Path) -> None:
    """Log one warning that names the series with most steps filled, where nearly all of them are."""
    known = history[history["y"].notna()].sort_values(["unique_id", "ds"])
    if pd.api.types.is_datetime64_any_dtype(known["ds"]):
        known["step"] = step_index(pd.DatetimeIndex(known["ds"]), frequency_of(freq))[0]
    else:
        known["step"] = known["ds"]
    steps = known.groupby("unique_id")["step"].agg(["min", "max", "size"])
    span = steps["max"] - steps["min"] + 1
    filled = span - steps["size"]
    told = filled[(filled >= MANY_FILLED) & (filled > MOST_FILLED * span)]
    if told.empty:
        return
    name = str(told.idxmax())
    own = known[known["unique_id"] == name]
    after = int(own["step"].diff().to_numpy()[1:].argmax()) + 1
    begin, end = (str(own["ds"].iloc[row]).removesuffix(" 00:00:00") for row in (after - 1, after))
    logger.warning(
        "%s: series %r has no value at %s of its %s steps%s, and they are filled; correct a date that is mistyped "
        "(the longest gap lies between %s and %s), leave out what lies before the gap, or choose a longer frequency.",
        path, name, f"{told[name]:,}", f"{span[name]:,}",
        f" (and {len(told) - 1} more series hardly any)" if len(told) > 1 else "", begin, end,
    )  # fmt: skip


def _write_whole(frame: pd.DataFrame, output: Path) -> None:
    """Write the CSV beside its place and move it there, so that no half of it is ever seen.

    A link is followed and stays; a pipe or device is written into.
    """
    text = frame.to_csv(index=False, float_format="%.10g", lineterminator="\n")
    name = ""
    try:
        if output.exists() and not output.is_file():
            output.write_text(text, encoding="utf-8", newline="")
            return
        place = Path(os.path.realpath(output))
        handle, name = tempfile.mkstemp(prefix=f".{place.name}.", dir=place.parent)
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)
        os.replace(name, place)
        name = ""
    except OSError as error:
        raise UserError(
            f"{output} cannot be written ({error.strerror}); free space or choose another place."
        ) from error
    finally:
        if name and os.path.exists(name):
            os.unlink(name)
