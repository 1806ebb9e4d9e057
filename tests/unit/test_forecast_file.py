"""Forecasting a file: what comes out, and one sentence with file, line and remedy for what cannot go in."""

import gzip
import os
import re
import stat
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from warehouse_assets.errors import UserError
from warehouse_assets.forecast import file as module
from warehouse_assets.forecast.file import forecast_file, read_history

GOOD = "unique_id,ds,y\n" + "".join(f"007,2024-01-{day:02d},{10 + day % 7}\n" for day in range(1, 29))


def test_a_file_of_dates_becomes_a_file_of_forecasts(tmp_path: Path) -> None:
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text(GOOD)
    told: list[tuple[str, int, int]] = []
    forecast_file(source, target, 3, "D", 90, on_progress=lambda *step: told.append(step))
    lines = target.read_text().splitlines()
    assert lines[0] == "unique_id,ds,yhat,yhat_lower,yhat_upper"
    assert [line.split(",")[:2] for line in lines[1:]] == [["007", f"2024-01-{day}"] for day in (29, 30, 31)]
    values = pd.read_csv(target)
    assert (values["yhat_lower"] <= values["yhat"]).all()
    assert (values["yhat"] <= values["yhat_upper"]).all()
    np.testing.assert_allclose(values["yhat"], [11, 12, 13], atol=0.5)
    assert told[-1] == ("done", 1, 1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", "out.csv"]


# Text of the file, frequency, and the ds of the first forecast as written.
STYLES = [
    ("y,extra,ds,unique_id\n1,a,5,W1\n2,b,6,W1\n", "W", "7"),
    ('unique_id,ds,y\n"a, b",2024-01-01 22:00:00,1\n"a, b",2024-01-01 23:00:00,2\n', "h", "2024-01-02 00:00:00"),
    ("unique_id,ds,y\nx,2024-01-01T22:00:00Z,1\nx,2024-01-01T23:00:00Z,2\n", "h", "2024-01-02"),
    ("unique_id,ds,y\nx,2024-01-01,1\nx,2024-02-01,\nx,2024-03-01,3\n", "MS", "2024-04-01"),
    ("unique_id,ds,y\nx,01/30/2024,1\nx,01/31/2024,2\n", "D", "2024-02-01"),
    ("unique_id,ds,y\r\nx,20240130,1\r\nx,20240131,NA\r\nx,20240201,2\r\n\r\n", "D", "2024-02-02"),
    # Regression: months and hours of digits alone were steps, and 202312 was followed by 202313.
    ("unique_id,ds,y\nx,202311,1\nx,202312,2\n", "MS", "2024-01-01"),
    ("unique_id,ds,y\nx,2024013122,1\nx,2024013123,2\n", "h", "2024-02-01"),
    ("unique_id,ds,y\nx,202399,1\nx,202400,2\n", "MS", "202401"),
    ("\n\nunique_id,ds,y\nx,2024-01-30,1\nx,2024-01-31,2\n", "D", "2024-02-01"),
    ("unique_id,ds,y\nx,2024-01-01,1\nx,2024-03-01,2\nx,2024-03-08,2\nx,2024-03-09,2\n", "D", "2024-03-10"),
    ("\ufeffunique_id,ds,y\nx,2024-01-30,1e3\nx,2024-01-31,-2\n", "D", "2024-02-01"),
]


@pytest.mark.parametrize(("text", "freq", "first"), STYLES)
def test_the_usual_styles_are_read(tmp_path: Path, text: str, freq: str, first: str) -> None:
    source = tmp_path / "in.csv"
    source.write_text(text, encoding="utf-8", newline="")
    forecast_file(str(source), str(tmp_path / "out.csv"), 2, freq)  # as text, too
    made = pd.read_csv(tmp_path / "out.csv", dtype=str)
    assert len(made) == 2
    assert made["ds"].iloc[0].startswith(first)


def test_a_compressed_file_is_read(tmp_path: Path) -> None:
    source = tmp_path / "in.csv.gz"
    source.write_bytes(gzip.compress(GOOD.encode()))
    assert len(read_history(source)) == 28


def _damaged() -> bytes:
    """A compressed file whose data are overwritten; header and end stay."""
    whole = bytearray(gzip.compress(GOOD.encode()))
    whole[14:40] = b"\xff" * 26
    return bytes(whole)


# Bytes of a compressed file that is not whole: damaged inside, cut off, of another kind, with a wrong checksum.
DAMAGED = [
    _damaged(),
    gzip.compress(GOOD.encode())[:-20],
    b"PK\x03\x04" + gzip.compress(GOOD.encode()),
    gzip.compress(GOOD.encode())[:-8] + b"\x00" * 8,
]


@pytest.mark.parametrize("data", DAMAGED)
def test_a_damaged_compressed_file_is_one_sentence(tmp_path: Path, data: bytes) -> None:
    # Regression: damage inside the compressed data came out as zlib.error.
    source = tmp_path / "in.csv.gz"
    source.write_bytes(data)
    with pytest.raises(UserError, match=r"in\.csv\.gz cannot be read .*; check its permissions and that it is whole"):
        read_history(source)


def test_a_link_stays_and_what_it_points_at_is_written(tmp_path: Path) -> None:
    # Regression: the link, pipe or device itself was replaced by a file.
    source, link, place = tmp_path / "in.csv", tmp_path / "out.csv", tmp_path / "elsewhere.csv"
    source.write_text(GOOD)
    link.symlink_to(place)
    for _ in range(2):
        forecast_file(source, link, 3, "D")
        assert link.is_symlink()
        assert len(place.read_text().splitlines()) == 4
        place.write_text("older\n")


def test_a_pipe_stays_and_is_written_into(tmp_path: Path) -> None:
    source, pipe = tmp_path / "in.csv", tmp_path / "pipe"
    source.write_text(GOOD)
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()), daemon=True)
    reader.start()
    forecast_file(source, pipe, 3, "D")
    reader.join(timeout=10)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert read
    assert len(read[0].splitlines()) == 4


# What stands in the file, and what the sentence must say.
BROKEN = [
    (b"", "is empty; it needs a header line"),
    (b"unique_id,ds,y\n", "holds a header but no row"),
    (b"unique_id,date,y\nx,2024-01-01,1\n", r"line 1: the column 'ds' is missing \(found: unique_id, date, y\)"),
    (b"unique_id,ds,y\nx,2024-01-01,1\nx,2024-01-02\n", "line 3: 2 values where the header has 3; complete"),
    (b"unique_id,ds,y\nx,2024-01-01,1,9\n", "line 2: 4 values where the header has 3"),
    (b"unique_id,ds,y\nx,2024-01-01,1\nx,soon,2\n", "line 3: ds 'soon' is no date; write dates such as"),
    (b"unique_id,ds,y\nx,2024-02-30,1\n", "line 2: ds '2024-02-30' is no date"),
    (b"unique_id,ds,y\nx,,1\n", "line 2: ds '' is no date"),
    (b"unique_id,ds,y\nx,2024-01-01,12 t\n", "line 2: y '12 t' is no finite number; write it with"),
    (b"unique_id,ds,y\nx,2024-01-01,inf\n", "line 2: y 'inf' is no finite number"),
    (b"unique_id,ds,y\n ,2024-01-01,1\n", "line 2: unique_id is empty; name the series"),
    (
        b"unique_id,ds,y\nx,2024-01-01,1\ny,2024-01-01,1\nx,2024-01-01,2\n",
        "line 4: series 'x' has 2024-01-01 already on line 2; keep one",
    ),
    (b"unique_id,ds,y\nx,2024-01-01,1\nx,2024-01-02,\x00\n", "line 3: holds a NUL byte; save the file"),
    (b"unique_id,ds,y\nx,2024-01-01,1\nk\xfc,2024-01-02,1\n", "line 3: not UTF-8; save the file as UTF-8"),
    (b'unique_id,ds,y\nx,2024-01-01,1\n"x,2024-01-02,1\n', "not readable as CSV"),
    (b"unique_id,ds,y\nx,2024-01-01,\n", "No row of the history has a y"),
    (b"unique_id,ds,y\nx,2024-01-01 06:00,1\nx,2024-01-02,1\n", "off its D grid, 2024-01-02"),
    # Regression: the first of the two was taken without a word.
    (b"unique_id,ds,y,y\nx,2024-01-01,1,2\n", "line 1: the column 'y' is there twice; rename one"),
    # Regression: weeks read as days, since that is the default, gave a forecast of the next days.
    (
        b"unique_id,ds,y\nx,2024-01-01,1\nx,2024-01-08,2\nx,2024-01-15,1\nx,2024-01-22,1\n",
        "closer than 7 days, so D is not their step; choose the frequency W or MS, or give rows",
    ),
    (b"unique_id,ds,y\nx,0,1\nx,7,2\nx,14,1\nx,21,1\n", "closer than 7; number the steps 0, 1, 2 and so on"),
    (b"unique_id,ds,y\nx,2024-01-01T00:00Z,1\nx,2024-01-02T00:00,1\n", "line 3: ds .* lacks the time zone that"),
    (b"unique_id,ds,y\nx,2024-01-01,1\nx,2024-01-02T00:00+01,1\n", "line 3: ds .* has a time zone that"),
    # Regression: the forecast was infinite, which the tool itself does not read.
    (b"unique_id,ds,y\nx,2024-01-01,5e301\n", "line 2: y '5e301' is too large to reckon with"),
    (b"unique_id,ds,y\nx,1001-01-01,1\nx,2024-01-02,1\n", "spans 373,"),
    # Regression: the forecast was dated 10000-01-02, which the tool itself does not read.
    (
        b"unique_id,ds,y\nw,2024-01-01,1\nx,9999-12-29,1\nx,9999-12-30,1\n",
        "Series 'x' ends on 9999-12-30, and 3 steps of frequency D from there go past the year 9999; correct its dates",
    ),
]


@pytest.mark.parametrize(("data", "sentence"), BROKEN)
def test_a_broken_file_is_one_sentence_and_writes_nothing(tmp_path: Path, data: bytes, sentence: str) -> None:
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_bytes(data)
    target.write_text("as it was")
    with pytest.raises(UserError, match=sentence) as raised:
        forecast_file(source, target, 3, "D")
    assert str(source) in str(raised.value)
    assert "\n" not in str(raised.value)
    assert target.read_text() == "as it was"
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
    ("freq", "dates"),
    [
        # last dates that 3 steps lead from to the end of the year 9999
        ("D", ["9999-12-27", "9999-12-28"]),
        ("W", ["9999-12-03", "9999-12-10"]),
        ("MS", ["9999-08-31", "9999-09-30"]),
        ("h", ["9999-12-31 19:00", "9999-12-31 20:00"]),
    ],
)
def test_the_year_9999_is_forecast_to_its_end(tmp_path: Path, freq: str, dates: list[str]) -> None:
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text("unique_id,ds,y\n" + "".join(f"x,{date},1\n" for date in dates))
    forecast_file(source, target, 3, freq)
    assert pd.read_csv(target)["ds"].iloc[-1].startswith("9999-12-31")


def test_names_of_series_are_kept_as_they_are(tmp_path: Path) -> None:
    # Regression: spaces around them were taken away, though the docs say that nothing is.
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text('unique_id,ds,y\n a,2024-01-01,1\na,2024-01-01,2\n"a ",2024-01-01,3\n')
    forecast_file(source, target, 1, "D")
    made = pd.read_csv(target)
    assert dict(zip(made["unique_id"], made["yhat"], strict=True)) == {" a": 1, "a": 2, "a ": 3}


DAYS = "".join(f"a,{day:%Y-%m-%d},{10 + day.day % 7}\n" for day in pd.date_range("2025-01-01", periods=59))
# rows beside 59 days of 2025 → what is told
GAPS = [
    (
        "a,2205-12-31,12\n",
        "series 'a' has no value at 66,048 of its 66,108 steps, and they are filled; correct a date that is mistyped "
        r"\(the longest gap lies between 2025-02-28 and 2205-12-31\), leave out what",
    ),
    ("a,1925-01-01,12\n", "between 1925-01-01 and 2025-01-01"),
    ("b,2205-12-31,12\nb,2025-12-31,12\na,2105-12-31,12\n", r"series 'b' .* \(and 1 more series hardly any\)"),
]


@pytest.mark.parametrize(("rows", "told"), GAPS)
def test_a_series_that_is_nearly_all_filled_is_told(
    tmp_path: Path, rows: str, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    # Regression: one mistyped year filled 66,000 days and made a forecast of 2206 without a word.
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text("unique_id,ds,y\n" + DAYS + rows)
    forecast_file(source, target, 3, "D")
    assert target.exists()
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith(f"{source}: ")
    assert re.search(told, caplog.messages[0])


def test_step_numbers_far_apart_are_told_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = tmp_path / "in.csv"
    source.write_text("unique_id,ds,y\na,1,5\na,2,6\na,3,7\na,4444,8\n")
    forecast_file(source, tmp_path / "out.csv", 3, "D")
    assert "4,440 of its 4,444 steps" in caplog.text
    assert "between 3 and 4444" in caplog.text


@pytest.mark.parametrize("rows", ["", "a,2025-12-31,12\n", "b,2025-12-31,12\nc,1925-12-31,12\n", "a,2205-12-31,\n"])
def test_a_usual_gap_is_not_told(tmp_path: Path, rows: str, caplog: pytest.LogCaptureFixture) -> None:
    source = tmp_path / "in.csv"
    source.write_text("unique_id,ds,y\n" + DAYS + rows)
    forecast_file(source, tmp_path / "out.csv", 3, "D")
    assert not caplog.messages


# Regression: quarters read as months were two thirds made up.
def test_quarters_are_no_months(tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_text("unique_id,ds,y\nx,2024-01,1\nx,2024-04,2\nx,2024-07,1\nx,2024-10,1\n")
    with pytest.raises(UserError, match="closer than 91 days, so MS is not their step; write step numbers"):
        forecast_file(source, tmp_path / "out.csv", 3, "MS")


def test_arguments_are_refused_before_the_file_is_read(tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_text(GOOD)
    target = tmp_path / "out.csv"
    with pytest.raises(UserError, match="The horizon is 0; ask for 1"):
        forecast_file(source, target, 0, "D")
    with pytest.raises(UserError, match="Frequency 'Q' is not known; use D"):
        forecast_file(source, target, 3, "Q")
    with pytest.raises(UserError, match="level is 0"):
        forecast_file(source, target, 3, "D", 0)
    with pytest.raises(UserError, match=r"folder of .* does not exist"):
        forecast_file(source, tmp_path / "nowhere" / "out.csv", 3, "D")
    with pytest.raises(UserError, match="is a folder; name a file to write"):
        forecast_file(source, tmp_path, 3, "D")
    with pytest.raises(UserError, match="is the input itself"):
        forecast_file(source, source, 3, "D")
    with pytest.raises(UserError, match=r"absent\.csv does not exist; check the name"):
        forecast_file(tmp_path / "absent.csv", target, 3, "D")
    with pytest.raises(UserError, match="is a folder; name a CSV file"):
        forecast_file(tmp_path, target, 3, "D")
    assert source.read_text() == GOOD
    assert not target.exists()


def test_a_full_disk_leaves_no_half_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text(GOOD)

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.os, "fsync", full)
    with pytest.raises(UserError, match=r"cannot be written .No space left on device.; free space"):
        forecast_file(source, target, 3, "D")
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]
