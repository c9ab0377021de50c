"""A store's checkpoint, opened with what people analyse data with."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow.dataset
import pytest

pytestmark = pytest.mark.slow

APP = """
from datetime import datetime
from typing import Any

import msgspec
from shoal import App, Command, Count, Ewma, Latest, Map, Mean, Point, Twin, Value

app = App("fleet")

class Fix(msgspec.Struct):
    id: str
    lat: float
    lon: float
    speed: float
    line: int
    at: datetime
    stop: str | None = None
    extra: Any = None

@app.twin("/bus/{id}")
class Bus(Twin):
    report = Command(Fix, time="at")
    position = Latest(Point(report.body.lat, report.body.lon))
    speed = Latest(report.body.speed)
    smooth = Ewma(speed, half_life="1 min")
    recent = Mean(speed, last="1 h")
    line = Latest(report.body.line)
    seen = Latest(report.body.at)
    reports = Count(report)
    extra = Value(Any)
    driver = Value(str)
    visits = Value(int, 0, save="never")
    stops = Map(str, int, 0)

    @report.handler
    def on_report(self, fix: Fix) -> None:
        self.visits += 1
        if fix.extra is not None:
            self.extra = fix.extra
        if fix.stop:
            self.stops[fix.stop] += 1

app.ingest("fixes.jsonl", Bus.report)
"""

SEEN = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
FIXES: list[dict[str, Any]] = [
    {"id": "7", "lat": 52.5, "lon": 13.25, "speed": 10.0, "line": 1, "at": SEEN.isoformat(), "stop": "Nord"},
    {"id": "a/b", "lat": 1.0, "lon": 2.0, "speed": 3.0, "line": 2**62, "at": SEEN.isoformat(),
     "stop": "größer als zwölf"},
    {"id": "7", "lat": 52.5, "lon": 13.5, "speed": 20.0, "line": 1, "at": SEEN.isoformat(), "stop": "Nord",
     "extra": {"z": 3.0, "a": [1, None]}},
]  # fmt: skip
URIS = ["/bus/7", "/bus/a%2Fb"]

Rows = list[dict[str, Any]]
Reader = Callable[[Path], Rows]


def by_polars(file: Path) -> Rows:
    return pl.read_ipc(file).to_dicts()


def by_polars_mapped(file: Path) -> Rows:
    return pl.scan_ipc(file).collect().to_dicts()


def by_pandas(file: Path) -> Rows:
    frame = pd.read_feather(file, dtype_backend="pyarrow")
    return frame.astype(object).where(frame.notna(), None).to_dict("records")


def by_duckdb(file: Path) -> Rows:
    table = pyarrow.dataset.dataset(file, format="arrow")
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.register("checkpoint", table)
        found = connection.sql("select * from checkpoint").to_arrow_table()
    rows: Rows = found.to_pylist()
    return rows


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The newest checkpoint of a run that has ended."""
    home = tmp_path_factory.mktemp("fleet")
    (home / "fleet.py").write_text(APP)
    (home / "fixes.jsonl").write_text("".join(json.dumps(fix) + "\n" for fix in FIXES))
    done = subprocess.run(
        [sys.executable, "-m", "shoal.cli", "run", "fleet.py", "--store", "state", "--once"],
        cwd=home,
        env={**os.environ, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return max((home / "state" / "checkpoints").iterdir())


@pytest.fixture(params=[by_polars, by_polars_mapped, by_pandas, by_duckdb])
def read(request: pytest.FixtureRequest) -> Reader:
    reader: Reader = request.param
    return reader


def test_twins_are_rows_and_lanes_are_columns(folder: Path, read: Reader) -> None:
    rows = read(folder / "Bus-0000.arrow")
    assert [row["uri"] for row in rows] == URIS
    assert [row["_id"] for row in rows] == [1, 2]
    assert [row["position"] for row in rows] == [{"lat": 52.5, "lon": 13.5}, {"lat": 1.0, "lon": 2.0}]
    assert [row["speed"] for row in rows] == [20.0, 3.0]
    assert [row["recent"] for row in rows] == [15.0, 3.0]
    assert [row["line"] for row in rows] == [1, 2**62]
    assert [row["seen"] for row in rows] == [SEEN, SEEN]
    assert [row["reports"] for row in rows] == [2, 1]
    assert [row["extra"] for row in rows] == ['{"z":3.0,"a":[1,null]}', None]
    assert [row["driver"] for row in rows] == [None, None]
    assert all("smooth.ewma_at" in row for row in rows)
    assert not any("visits" in row for row in rows)


def test_entries_of_a_map_are_a_table(folder: Path, read: Reader) -> None:
    rows = read(folder / "Bus.stops-0000.arrow")
    assert [(row["_id"], row["key"], row["value"]) for row in rows] == [(1, "Nord", 2), (2, "größer als zwölf", 1)]
    assert rows[0]["_number"] < rows[1]["_number"]


def test_what_windows_hold_is_a_table(folder: Path, read: Reader) -> None:
    rows = read(folder / "Bus.windows-0000.arrow")
    assert [(row["_id"], row["count"], row["real"], row["whole"]) for row in rows] == [
        (1, 2, 30.0, None),
        (2, 1, 3.0, None),
    ]
    assert all(row["window"].startswith("recent ") and row["start"] == row["newest"] == SEEN for row in rows)
