"""Meters whose lanes the core folds, meters whose Python handlers do the same, and their groups."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import msgspec
from hypothesis import strategies as st

from shoal import Above, App, Below, Command, Count, Ewma, Latest, Max, Mean, Members, Min, Sum, Twin, Value

ALPHA, HALF_LIFE, LIMIT, CLEAR, HOLD = 0.3, 10.0, 10.0, 4.0, 20.0


class Reading(msgspec.Struct):
    id: str
    t: datetime
    x: float | None = None
    n: int = 0
    hall: str | None = None


class Made(NamedTuple):
    app: App[None]
    folded: Any
    written: Any
    hall: Any


def build() -> Made:
    app = App("meters", tz="UTC")

    @app.twin("/folded/{id}")
    class Folded(Twin):
        read = Command(Reading, time="t")
        events = Count(read)
        last = Latest(read.body.x)
        count = Count(last)
        sum = Sum(read.body.x)
        whole = Sum(read.body.n)
        mean = Mean(read.body.x)
        low = Min(read.body.x)
        high = Max(read.body.n)
        smooth = Ewma(read.body.x, alpha=ALPHA)
        slow = Ewma(read.body.x, half_life=HALF_LIFE)
        hot = Above(last, LIMIT, clear=CLEAR)
        held = Above(last, LIMIT, hold=HOLD)
        cold = Below(smooth, CLEAR)
        hall = Latest(read.body.hall)
        end = Command()

        @end.handler
        def on_end(self) -> None:
            self.delete()

    @app.twin("/written/{id}")
    class Written(Twin):
        read = Command(Reading, time="t")
        events = Value(int, 0)
        last = Value(float)
        count = Value(int, 0)
        sum = Value(float, 0.0)
        whole = Value(int, 0)
        mean = Value(float)
        low = Value(float)
        high = Value(int)
        smooth = Value(float)
        slow = Value(float)
        hot = Value(bool, False)
        held = Value(bool, False)
        cold = Value(bool, False)
        hall = Value(str)
        values = Value(tuple[float, ...], ())
        since = Value(datetime | None, None)
        waiting = Value(bool, False)
        end = Command()

        @read.handler
        def on_read(self, reading: Reading) -> None:
            self.events += 1
            self.whole += reading.n
            self.high = reading.n if self.events == 1 else max(self.high, reading.n)
            if reading.hall is not None:
                self.hall = reading.hall
            if reading.x is not None:
                self.value(reading.x)

        def value(self, x: float) -> None:
            first = self.count == 0
            self.count += 1
            self.last = x
            self.values = (*self.values, x)
            self.sum = math.fsum(self.values)
            self.mean = self.sum / self.count
            self.low = x if first else min(self.low, x)
            self.smooth = x if first else self.smooth + ALPHA * (x - self.smooth)
            if self.since is None:
                self.slow = x
            else:
                passed = (self.now - self.since) / timedelta(seconds=1)
                self.slow = x + (self.slow - x) * 2.0 ** -(passed / HALF_LIFE)
            self.since = self.now
            self.hot = x > LIMIT or (self.hot and x > CLEAR)
            self.cold = self.smooth < CLEAR
            if self.held:
                self.held = x > LIMIT
            elif x > LIMIT and not self.waiting:
                self.waiting = True
                self.after(HOLD, self.lasted)
            elif x <= LIMIT and self.waiting:
                self.waiting = False
                self.cancel(self.lasted)

        def lasted(self) -> None:
            self.waiting = False
            self.held = True

        @end.handler
        def on_end(self) -> None:
            self.delete()

    @app.twin("/hall/{name}")
    class Hall(Twin):
        meters = Members(Folded, by=Folded.hall)
        size = Count(over=meters)
        sum = Sum(Folded.last, over=meters)
        whole = Sum(Folded.whole, over=meters)
        mean = Mean(Folded.last, over=meters)
        low = Min(Folded.last, over=meters)
        high = Max(Folded.high, over=meters)
        hot = Count(Folded.hot, over=meters)

    return Made(app, Folded, Written, Hall)


LANES = [
    "events",
    "last",
    "count",
    "sum",
    "whole",
    "mean",
    "low",
    "high",
    "smooth",
    "slow",
    "hot",
    "held",
    "cold",
    "hall",
]
START = datetime.fromisoformat("2024-05-01T00:00:00+00:00")


@st.composite
def histories(draw: st.DrawFn, most: int = 60) -> list[Reading]:
    """Readings in the order of a file: mostly, not always, in the order of time."""
    # at the limits of thresholds, and on both sides
    specials = st.sampled_from([3.0, 4.0, 5.0, 10.0, 11.0, 12.0])
    reading = st.builds(
        Reading,
        st.sampled_from("aaabc"),
        st.just(START),
        st.none() | st.floats(-50, 50) | specials | specials | specials,
        st.integers(-(2**40), 2**40),
        st.sampled_from([None, None, "h1", "h2", "h3"]),
    )
    size = draw(st.integers(1, most))
    readings = draw(st.lists(reading, min_size=size, max_size=size))
    now = 0.0
    for each in readings:
        now += draw(st.sampled_from([0.0, 0.001, 1.0, 5.0, 19.0, 30.0, -3.0]))
        each.t = START + timedelta(seconds=max(now, 0.0))
    return readings
