"""Histories, and alarms that follow a lane."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from shoal import Above, Alarm, App, Below, Command, Count, History, Latest, Map, Point, Reject, Stamped, Twin, Value
from shoal.errors import DeclarationError


class Reading(msgspec.Struct):
    t: datetime
    kw: float | None = None
    lat: float = 1.0


app = App("history")


@app.twin("/meter/{id}")
class Meter(Twin):
    reading = Command(Reading, time="t")
    refuse = Command(float)
    say = Command(str)
    power = Latest(reading.body.kw, unit="kW")
    place = Latest(Point(reading.body.lat, reading.body.lat))
    day = History(power, last="1 h")
    three = History(power, count=3)
    both = History(place, last="1 h", count=2)
    changes = Count(three)
    level = Value(float, 0.0)
    levels = History(level, count=2)
    seen = Value(int, 0)
    high = Above(power, 10.0, clear=5.0)
    alarm = Alarm(high, severity="critical", text="over 10 kW")
    low = Below(power, 1.0, hold="30 s")
    held = Alarm(low, text="under 1 kW")
    problem = Alarm()

    @day.changed
    def on_day(self, new: tuple[Stamped[float], ...], old: tuple[Stamped[float], ...]) -> None:
        self.seen = len(new)

    @refuse.handler
    def on_refuse(self, level: float) -> None:
        self.level = level
        self.level = level + 1
        assert [each.value for each in self.levels] == [level, level + 1]
        raise Reject("no")

    @say.handler
    def on_say(self, what: str) -> None:
        getattr(self.alarm, what)(*(("x",) if what == "set" else ()))


NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def read(t: Any, minutes: float, kw: float | None) -> None:
    t.at(Meter, "m").reading(Reading(NOON + timedelta(minutes=minutes), kw))


def test_values_are_kept_with_their_times() -> None:
    with app.test() as t:
        read(t, 0, 1.0)
        assert t.at(Meter, "m").day == (Stamped(NOON, 1.0),)
        read(t, 30, 2.0)
        read(t, 40, None)
        assert [each.value for each in t.at(Meter, "m").day] == [1.0, 2.0]
        assert t.at(Meter, "m").day[1].time == NOON + timedelta(minutes=30)
        assert t.at(Meter, "m").both[0].value == Point(1.0, 1.0)


def test_what_is_too_old_leaves_by_time_alone() -> None:
    with app.test() as t:
        read(t, 0, 1.0)
        read(t, 30, 2.0)
        t.advance("30 min")
        assert [each.value for each in t.at(Meter, "m").day] == [2.0]
        assert t.at(Meter, "m").seen == 1
        t.advance("29 min")
        assert t.at(Meter, "m").seen == 1
        t.advance("1 min")
        assert t.at(Meter, "m").day == ()
        assert t.at(Meter, "m").seen == 0
        assert len(t.at(Meter, "m").three) == 2
        assert t._next_due() is None


def test_the_newest_are_kept() -> None:
    with app.test() as t:
        assert_empty = t.at(Meter, "m")
        for minute in range(6):
            read(t, minute, float(minute))
        assert [each.value for each in t.at(Meter, "m").three] == [3.0, 4.0, 5.0]
        assert len(t.at(Meter, "m").both) == 2
        assert t.at(Meter, "m").changes == 6
        assert assert_empty.levels == ()


def test_a_turn_that_fails_leaves_the_history_as_it_was() -> None:
    with app.test() as t:
        t.at(Meter, "m").refuse(3.0)
        assert t.at(Meter, "m").levels == ()
        assert t.rejected == ["/meter/m: no"]


def test_an_alarm_follows_its_lane() -> None:
    with app.test() as t:
        read(t, 0, 3.0)
        meter = t.at(Meter, "m")
        assert (meter.alarm.active, meter.alarm.since, meter.alarm.text) == (False, None, "")
        read(t, 1, 11.0)
        assert (meter.alarm.active, meter.alarm.since, meter.alarm.text) == (
            True,
            NOON + timedelta(minutes=1),
            "over 10 kW",
        )
        meter.alarm.ack(by="ann")
        read(t, 2, 12.0)
        assert (meter.alarm.acked, meter.alarm.by, meter.alarm.since) == (True, "ann", NOON + timedelta(minutes=1))
        read(t, 3, 5.0)
        assert (meter.alarm.active, meter.alarm.since, meter.alarm.text) == (False, None, "over 10 kW")
        read(t, 4, 11.0)
        assert (meter.alarm.active, meter.alarm.acked, meter.alarm.by) == (True, False, "")


def test_an_alarm_of_a_condition_that_must_last_waits_for_it() -> None:
    with app.test() as t:
        read(t, 0, 0.5)
        t.advance("29 s")
        assert not t.at(Meter, "m").held.active
        t.advance("1 s")
        assert t.at(Meter, "m").held.active
        assert t.at(Meter, "m").held.since == NOON + timedelta(seconds=30)


@pytest.mark.parametrize("what", ["set", "clear"])
def test_handlers_do_not_set_an_alarm_that_follows_a_lane(what: str) -> None:
    with app.test(strict=False) as t:
        t.at(Meter, "m").say(what)
        assert f"Meter.alarm.{what}: it follows Meter.high, which alone sets and clears it" in str(t.errors[0])


def test_what_makes_no_sense_is_refused() -> None:
    def refuse(what: str, **names: Any) -> None:
        with pytest.raises(DeclarationError, match=what):
            type("Wrong", (Twin,), names)

    lane = Value(float, 0.0)
    refuse("it needs last=, count= or both", lane=lane, past=History(lane))
    lane = Value(float, 0.0)
    refuse("from 1 to 10,000", lane=lane, past=History(lane, count=10_001))
    lane = Value(float, 0.0)
    refuse("last= must be above 0", lane=lane, past=History(lane, last=0))
    command = Command(float)
    refuse("it keeps the values of a lane", command=command, past=History(command, count=1))  # type: ignore[arg-type]
    lane = Value(float, 0.0)
    refuse("which is no bool lane", lane=lane, alarm=Alarm(lane))  # type: ignore[arg-type]
    entries = Map(str, bool)
    refuse("which is no lane", entries=entries, alarm=Alarm(entries))  # type: ignore[arg-type]
