"""Times of records: their units, their zones, and those that go backwards."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from runs import one_twin_app, run, run_text

SECOND = 1_700_000_000
MOMENT = datetime.fromtimestamp(SECOND, UTC)
MICROSECONDS = SECOND * 1_000_000


class Typed(msgspec.Struct):
    id: str
    t: datetime


class Whole(msgspec.Struct):
    id: str
    t: int


class Real(msgspec.Struct):
    id: str
    t: float


class Checked(msgspec.Struct):
    id: str
    t: datetime

    def __post_init__(self) -> None:
        pass


class Bare(msgspec.Struct):
    id: str


@pytest.mark.parametrize("body", [Typed, Checked, Bare])
@pytest.mark.parametrize(
    ("time", "after"),
    [
        ("1700000000", 0),
        ("1700000000.25", 250_000),
        ("1700000000000", 0),
        ("1700000000250", 250_000),
        ("1700000000250000", 250_000),
        ('"2023-11-14T22:13:20Z"', 0),
        ('"2023-11-14T23:13:20+01:00"', 0),
        ('"2023-11-14T22:13:20.25Z"', 250_000),
        ('"2023-11-14T23:13:20"', 0),
        ('"2023-11-14 23:13:20"', 0),
    ],
)
def test_a_time_moves_the_clock_whatever_its_form(time: str, after: int, body: Any, tmp_path: Path) -> None:
    done = run_text(f'{{"id": "7", "t": {time}}}\n', body, tmp_path, tz="Europe/Berlin", time="t")
    assert done.letters == []
    assert done.clock == MICROSECONDS + after


@pytest.mark.parametrize(("body", "time"), [(Whole, "1700000000000"), (Real, "1700000000.5")])
def test_a_number_field_keeps_its_number_and_moves_the_clock(body: Any, time: str, tmp_path: Path) -> None:
    done = run_text(f'{{"id": "7", "t": {time}}}\n', body, tmp_path, time="t")
    assert done.letters == []
    assert done.twins["/thing/7"]["t"] == float(time)
    assert done.clock // 1_000_000 == SECOND


@pytest.mark.parametrize("body", [Typed, Checked])
def test_the_field_holds_the_instant(body: Any, tmp_path: Path) -> None:
    text = '{"id": "a", "t": 1700000000}\n{"id": "b", "t": "2023-11-14T23:13:20"}\n'
    done = run_text(text, body, tmp_path, tz="Europe/Berlin", time="t")
    assert done.letters == []
    assert [twin["t"] for twin in done.twins.values()] == [MOMENT, MOMENT]


@pytest.mark.parametrize("body", [Typed, Checked])
@pytest.mark.parametrize(
    "time", ['"yesterday"', '"2023-13-01T00:00:00Z"', "true", "{}", "1e300", "-1e300", '""', '"1700000000"']
)
def test_what_is_no_time_is_dead(time: str, body: Any, tmp_path: Path) -> None:
    done = run_text(f'{{"id": "7", "t": {time}}}\n{{"id": "7", "t": 1}}\n', body, tmp_path, time="t")
    assert (done.counts.dead, done.counts.applied, done.positions) == (1, 1, [1])
    assert "time" in done.reasons[0].lower() or "Expected `str | int | float`" in done.reasons[0]


def test_a_time_that_goes_back_is_applied_at_the_clocks_time_and_counted(tmp_path: Path) -> None:
    lines = "".join(f'{{"id": "7", "t": {SECOND + seconds}}}\n' for seconds in (0, 10, 5, 9, 10, 11))
    done = run_text(lines, Bare, tmp_path, time="t")
    assert (done.counts.applied, done.counts.late) == (6, 2)
    assert done.clock == MICROSECONDS + 11_000_000
    assert ", 2 late" in done.totals.lines()[0]


def test_a_file_without_times_does_not_move_the_clock(tmp_path: Path) -> None:
    file = tmp_path / "things.jsonl"
    file.write_text('{"id": "7"}\n{"id": "7", "t": 5}\n')
    done = run(one_twin_app(file, Bare, time="t"), tmp_path)
    assert (done.counts.applied, done.counts.late) == (2, 0)
    assert done.clock == 5_000_000


@pytest.mark.parametrize("lat", [91, -90.5, 1e300])
def test_a_latitude_off_the_earth_is_dead(lat: float, tmp_path: Path) -> None:
    from shoal import App, Command, Latest, Point, Twin

    class Fix(msgspec.Struct):
        id: str
        lat: float
        lon: float

    app = App("map")

    @app.twin("/thing/{id}")
    class Thing(Twin):
        report = Command(Fix)
        place = Latest(Point(report.body.lat, report.body.lon))

    file = tmp_path / "fixes.jsonl"
    file.write_text(f'{{"id": "7", "lat": 1, "lon": 2}}\n{{"id": "7", "lat": {lat}, "lon": 2}}\n')
    app.ingest(str(file), Thing.report)
    done = run(app, tmp_path)
    assert (done.counts.applied, done.counts.dead, done.positions) == (1, 1, [2])
    assert "latitude" in done.reasons[0]
    assert done.twins["/thing/7"]["place"] == Point(1, 2)
