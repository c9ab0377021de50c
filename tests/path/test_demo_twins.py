"""The demo's twins, in memory."""

from datetime import UTC, datetime, timedelta

from airspace.app import Aircraft, Airspace, Cell, Report, app

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
