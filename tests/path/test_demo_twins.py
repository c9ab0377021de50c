"""The demo's twins in memory, and the check of their totals."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from airspace import simulator
from airspace.app import Aircraft, Airspace, Cell, Report, app
from airspace.readings import Readings
from airspace.recount import recount
from airspace.totals import differences

from shoal.run import Run, RunOptions, with_loop

START = datetime(2021, 10, 7, 12, tzinfo=UTC)


def report(
    second: int,
    icao24: str = "3991e7",
    place: tuple[float, float] = (48.7, 2.4),
    altitude: float | None = 20_000.0,
    climb: float | None = 0.0,
    squawk: str | None = "1000",
    onground: bool = False,
) -> Report:
    time = START + timedelta(seconds=second)
    return Report(icao24, time, *place, onground, "AFR010", altitude, 400.0, 90.0, climb, squawk)


def test_an_emergency_squawk_reaches_the_airspace_once() -> None:
    with app.test() as t:
        t.feed(Aircraft.report, [report(0), report(1, squawk="7700"), report(2, squawk=None), report(3, squawk="7700")])
        assert t.at(Aircraft, "3991e7").emergency == "emergency"
        assert t.at(Airspace).alerts == 1
        (alert,) = t.at(Airspace).recent
        assert (alert.kind, alert.text, alert.callsign) == ("emergency", "squawks 7700", "AFR010")
        assert alert.time == START + timedelta(seconds=1)

        t.feed(Aircraft.report, [report(4), report(5, squawk="7600")])
        assert [alert.kind for alert in t.at(Airspace).recent] == ["emergency", "radio failure"]


def test_a_rapid_descent_is_told_once_until_it_is_over() -> None:
    with app.test() as t:
        t.feed(Aircraft.report, [report(second, climb=-4000.0) for second in range(10)])
        assert t.at(Aircraft, "3991e7").phase == "descent"
        assert t.at(Airspace).sinking == 1
        assert [alert.kind for alert in t.at(Airspace).recent] == ["rapid descent"]
        t.feed(Aircraft.report, [report(second, climb=0.0) for second in range(10, 30)])
        assert t.at(Airspace).sinking == 0
        assert t.at(Aircraft, "3991e7").descents == 1


def test_aircraft_move_between_cells_and_leave_them_when_silent() -> None:
    with app.test() as t:
        t.feed(Aircraft.report, [report(0), report(0, "39cea2"), report(1, place=(49.1, 2.4))])
        assert t.at(Cell, "N48E002").traffic == 1
        assert t.at(Cell, "N49E002").airborne == 1
        assert t.at(Airspace).airborne == 2

        t.advance("5 min")
        assert t.at(Aircraft, "3991e7").phase == "silent"
        assert t.at(Aircraft, "3991e7").silences == 1
        assert t.at(Cell, "N49E002").traffic == 0
        assert t.at(Airspace).airborne == 0
        assert t.at(Airspace).known == 2


def test_an_altitude_that_no_aircraft_reaches_is_refused_and_changes_nothing() -> None:
    with app.test() as t:
        t.feed(Aircraft.report, [report(0), report(1, altitude=72_500.0, place=(49.5, 2.4))])
        assert "72,500 ft is higher than aircraft fly" in t.rejected[0]
        assert t.at(Aircraft, "3991e7").altitude == 20_000
        assert t.at(Aircraft, "3991e7").reports == 1
        assert t.at(Aircraft, "3991e7").cell == "N48E002"


def test_an_aircraft_on_the_ground_is_not_airborne() -> None:
    with app.test() as t:
        t.feed(Aircraft.report, [report(0, onground=True, altitude=None, climb=None, squawk=None)])
        assert t.at(Aircraft, "3991e7").phase == "ground"
        assert not t.at(Aircraft, "3991e7").airborne
        assert t.at(Airspace).known == 1


@pytest.fixture
def finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Readings, Path]]:
    """A run of 20 simulated minutes."""
    path = simulator.prepare(tmp_path, 1200)
    monkeypatch.setattr(app, "ingests", [])
    app.ingest(str(path), Aircraft.report)
    run = Run(app, None, RunOptions(once=True, dead_letters=tmp_path / "dead-letters.jsonl"))
    with_loop(run.until_done())
    yield Readings(run), path
    run.close()


@pytest.mark.slow
def test_the_check_of_the_totals_finds_every_kind_of_difference(finished: tuple[Readings, Path]) -> None:
    readings, path = finished
    plain = recount(path)
    assert differences(readings, plain) == []

    icao24, flight = next(
        (icao24, flight)
        for icao24, flight in plain.flights.items()
        if flight.trend is not None and flight.cell is not None
    )
    plain.rows += 1
    plain.refused += 1
    flight.reports += 1
    flight.trend = (flight.trend or 0.0) + 1e-9
    flight.speeds[0] += 1.0
    flight.cell = "N00E000"
    found = [difference.what for difference in differences(readings, plain)]
    assert {"rows read", "rows refused", "airspace.reports", "cells"} <= set(found)
    assert {f"{icao24}.{lane}" for lane in ("reports", "trend", "average", "cell")} <= set(found)
