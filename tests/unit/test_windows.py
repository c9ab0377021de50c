"""Windows: folds over the events of a time that slides, and over the last whole window of the clock."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from shoal import App, Command, Count, Latest, Max, Mean, Members, Min, Sum, Twin, Value
from shoal.errors import DeclarationError, Unset


class Reading(msgspec.Struct):
    t: datetime
    kw: float | None = None
    n: int | None = None


app = App("windows", tz="Europe/Berlin")


@app.twin("/meter/{id}")
class Meter(Twin):
    reading = Command(Reading, time="t")
    end = Command()
    power = Latest(reading.body.kw)
    hour = Mean(power, last="1 h")
    peak = Max(reading.body.kw, last="1 h")
    low = Min(reading.body.n, last="1 h")
    total = Sum(reading.body.n, last="10 min")
    readings = Count(reading, last="1 h")
    rest = Mean(power, last="1 h", default=-1.0)
    quarter = Mean(power, every="15 min")
    quarters = Count(quarter)
    day = Sum(reading.body.kw, every="1 d")
    counted = Count(reading, every="15 min")
    log_of_peaks = Value(tuple[float | None, ...], ())
    all_in_hour = Count(peak)

    @peak.changed
    def on_peak(self, new: float | None) -> None:
        self.log_of_peaks = (*self.log_of_peaks, new)

    @end.handler
    def on_end(self) -> None:
        self.delete()


@app.twin("/grid")
class Grid(Twin):
    meters = Members(Meter)
    most = Max(Meter.peak, over=meters)


@app.twin("/yard")
class Yard(Twin):
    meters = Members(Meter)
    load = Sum(Meter.power, over=meters)
    steady = Mean(load, last="1 h")


NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def read(t: Any, minutes: float, kw: float | None = None, n: int | None = None) -> None:
    t.at(Meter, "m").reading(Reading(NOON + timedelta(minutes=minutes), kw, n))


def unset(twin: Any, lane: str) -> bool:
    try:
        getattr(twin, lane)
    except Unset:
        return True
    return False


def test_what_is_as_old_as_the_window_leaves_it_by_time_alone() -> None:
    with app.test() as t:
        read(t, 0, 4.0, 7)
        read(t, 30, 2.0, 9)
        meter = t.at(Meter, "m")
        assert (meter.hour, meter.peak, meter.low, meter.readings) == (3.0, 4.0, 7, 2)
        t.advance(1799.999999)
        assert (meter.hour, meter.readings) == (3.0, 2)
        t.advance(0.000001)
        assert (meter.hour, meter.peak, meter.low, meter.readings) == (2.0, 2.0, 9, 1)
        t.advance("30 min")
        assert all(unset(meter, lane) for lane in ("hour", "peak", "low"))
        assert (meter.readings, meter.total, meter.rest) == (0, 0, -1.0)
        assert meter.power == 2.0


def test_an_event_at_the_very_end_is_outside_and_one_now_inside() -> None:
    with app.test() as t:
        read(t, 0, 4.0)
        read(t, 60, 1.0)
        assert (t.at(Meter, "m").peak, t.at(Meter, "m").readings) == (1.0, 1)


def test_changed_handlers_see_what_time_does() -> None:
    with app.test() as t:
        read(t, 0, 4.0)
        read(t, 10, 2.0)
        t.advance("3 h")
        assert t.at(Meter, "m").log_of_peaks == (4.0, 2.0, None)
        # a lane that is unset steps nothing
        assert t.at(Meter, "m").all_in_hour == 3


def test_groups_see_what_time_does() -> None:
    with app.test() as t:
        read(t, 0, 4.0)
        t.at(Meter, "other").reading(Reading(NOON + timedelta(minutes=30), 1.0))
        assert t.at(Grid).most == 4.0
        assert t.at(Yard).steady == 4.5
        t.advance("30 min")
        assert t.at(Grid).most == 1.0
        t.advance("1 h")
        assert unset(t.at(Grid), "most")
        assert unset(t.at(Yard), "steady")
        assert t.at(Yard).load == 5.0


def test_an_idle_twin_sets_no_timer() -> None:
    with app.test() as t:
        read(t, 0, 4.0, 1)
        t.advance("2 d")
        # the windows are empty, the whole ones too
        assert t._next_due() is None
        read(t, 60 * 24 * 3, 4.0, 1)
        assert t._next_due() is not None
        t.at(Meter, "m").end()
        t.advance("2 h")
        assert t._next_due() is None


def test_the_last_whole_window_steps_once_when_it_ends() -> None:
    with app.test() as t:
        meter = t.at(Meter, "m")
        read(t, 1, 4.0)
        read(t, 14.999, 2.0)
        assert unset(meter, "quarter")
        assert meter.counted == 0
        read(t, 15, 9.0)
        assert (meter.quarter, meter.counted, meter.quarters) == (3.0, 2, 1)
        read(t, 16, 9.0)
        assert meter.quarters == 1
        t.advance("14 min")
        assert (meter.quarter, meter.counted, meter.quarters) == (9.0, 2, 2)
        t.advance("15 min")
        assert unset(meter, "quarter")
        assert (meter.counted, meter.quarters) == (0, 2)


def test_days_are_those_of_the_apps_time_zone() -> None:
    with app.test() as t:
        meter = t.at(Meter, "m")
        read(t, 0, 4.0)
        read(t, 60 * 10.5, 1.0)
        assert meter.day == 0.0
        # midnight in Berlin
        t.advance("30 min")
        assert meter.day == 5.0
        t.advance("24 h")
        assert meter.day == 0.0


def test_many_events_keep_few_panes_and_stay_a_sixtieth_longer_at_most() -> None:
    with app.test() as t:
        for second in range(600):
            t.at(Meter, "m").reading(Reading(NOON + timedelta(seconds=second), None, 1))
        assert t.at(Meter, "m").total == 600
        for _ in range(30):
            t.advance("7 s")
            now = (t.now - NOON).total_seconds()
            true = max(0, 600 - int(now - 600) - 1)
            assert true <= t.at(Meter, "m").total <= true + 10
        import json

        windows = json.loads(t.shard.dump())["populations"]["Meter"]["twins"][0]["windows"]
        assert max(map(len, windows)) <= 62


def test_events_before_the_first_time_move_with_the_clock() -> None:
    class Plain(Twin):
        poke = Command()
        timed = Command(Reading, time="t")
        pokes = Count(poke, last="10 s")

    other = App("untimed")
    other.twin("/plain/{id}", Plain)
    with other.test() as t:
        t.at(Plain, "p").poke()
        t.at(Plain, "p").timed(Reading(NOON))
        assert t.at(Plain, "p").pokes == 1
        t.advance("10 s")
        assert t.at(Plain, "p").pokes == 0


def test_windows_that_make_no_sense_are_refused() -> None:
    def refuse(what: str, make: Any) -> None:
        with pytest.raises(DeclarationError, match=what):
            type("Wrong", (Twin,), make)

    report = Command(Reading)
    refuse("both last= and every=", {"report": report, "lane": Max(report.body.kw, last=1, every=1)})
    report = Command(Reading)
    refuse("last= must be above 0", {"report": report, "lane": Max(report.body.kw, last=0)})
    report = Command(Reading)
    refuse("no span of time", {"report": report, "lane": Max(report.body.kw, every="a while")})
    meters = Members(Meter)
    refuse(
        r"over= and last= do not go together; fold the roll-up's own lane: hour = Mean\(lane, last='1 h'\)",
        {"meters": meters, "lane": Mean(Meter.power, over=meters, last="1 h")},
    )
