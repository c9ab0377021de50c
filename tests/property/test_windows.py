"""Windows against a slow and obvious model that keeps every event."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal import App, Command, Count, Max, Mean, Min, Sum, Twin
from shoal.errors import Unset

pytestmark = pytest.mark.slow

LENGTH = 600
PART = 10
PERIOD = 60


class Event(msgspec.Struct):
    x: float
    n: int


app = App("model")


@app.twin("/thing/{id}")
class Thing(Twin):
    event = Command(Event)
    boom = Command(Event)
    sum = Sum(event.body.x, last=LENGTH)
    mean = Mean(event.body.x, last=LENGTH)
    low = Min(event.body.n, last=LENGTH)
    high = Max(event.body.x, last=LENGTH)
    whole = Sum(event.body.n, last=LENGTH)
    count = Count(event, last=LENGTH)
    sum_every = Sum(event.body.x, every=PERIOD)
    mean_every = Mean(event.body.x, every=PERIOD)
    low_every = Min(event.body.n, every=PERIOD)
    high_every = Max(event.body.x, every=PERIOD)
    whole_every = Sum(event.body.n, every=PERIOD)
    count_every = Count(event, every=PERIOD)
    # a fold of the failing command: what it did must be undone
    boomed = Sum(boom.body.x, last=LENGTH)

    @event.handler
    def on_event(self, event: Event) -> None:
        if event.n == 13:
            raise ValueError("undone")


def aggregates(events: list[Event]) -> dict[str, Any]:
    xs, ns = [e.x for e in events], [e.n for e in events]
    return {
        "sum": math.fsum(xs) if xs else 0.0,
        "mean": math.fsum(xs) / len(xs) if xs else None,
        "low": min(ns, default=None),
        "high": max(xs, default=None),
        "whole": sum(ns),
        "count": len(ns),
    }


def read(twin: Any, lane: str) -> Any:
    try:
        return getattr(twin, lane)
    except Unset:
        return None


def same(found: Any, wanted: Any) -> bool:
    if isinstance(wanted, float) and found is not None:
        return math.isclose(found, wanted, rel_tol=1e-12, abs_tol=1e-6)
    return bool(found == wanted)


class Model:
    """All events with their times, in µs; panes as the page says them."""

    def __init__(self) -> None:
        self.events: list[tuple[int, Event]] = []
        self.panes: list[tuple[int, list[tuple[int, Event]]]] = []

    def add(self, now: int, event: Event) -> None:
        self.events.append((now, event))
        self.panes = [pane for pane in self.panes if pane[1][-1][0] + LENGTH * 10**6 > now]
        if not self.panes or now >= self.panes[-1][0] + PART * 10**6:
            self.panes.append((now, []))
        self.panes[-1][1].append((now, event))

    def sliding(self, now: int) -> list[Event]:
        living = [pane for _, pane in self.panes if pane[-1][0] + LENGTH * 10**6 > now]
        return [event for pane in living for _, event in pane]

    def exactly(self, now: int) -> list[Event]:
        return [event for t, event in self.events if now - LENGTH * 10**6 < t <= now]

    def at_most(self, now: int) -> list[Event]:
        return [event for t, event in self.events if now - (LENGTH + PART) * 10**6 < t <= now]

    def whole(self, now: int) -> list[Event]:
        period = PERIOD * 10**6
        end = now // period * period
        return [event for t, event in self.events if end - period <= t < end]


steps = st.lists(
    st.tuples(
        st.sampled_from([0, 1, 3, 9.5, 10, 25, 60, 59.999999, 300, 600, 700, 3_000]),
        st.one_of(st.none(), st.builds(Event, st.floats(-1e6, 1e6), st.integers(-1_000, 1_000) | st.just(13))),
    ),
    max_size=40,
)


def check(history: list[tuple[float, Event | None]]) -> None:
    model = Model()
    with app.test(strict=False) as t:
        t.at(Thing, "a").boom(Event(0.0, 0))
        for seconds, event in history:
            t.advance(seconds)
            now = t.shard.now()
            if event is not None:
                t.at(Thing, "a").event(event)
                if event.n != 13:
                    model.add(now, event)
            sliding, whole = aggregates(model.sliding(now)), aggregates(model.whole(now))
            for lane in sliding:
                assert same(read(t.at(Thing, "a"), lane), sliding[lane]), (lane, history)
                assert same(read(t.at(Thing, "a"), f"{lane}_every"), whole[lane]), (lane, history)
            # never early, and late by a sixtieth at most
            counts = [len(model.exactly(now)), t.at(Thing, "a").count, len(model.at_most(now))]
            assert counts == sorted(counts)


@settings(max_examples=100)
@given(steps)
def test_windows_are_what_the_model_says(history: list[tuple[float, Event | None]]) -> None:
    check(history)


@pytest.mark.long
@settings(max_examples=5_000)
@given(steps)
def test_windows_are_what_the_model_says_in_many_cases(history: list[tuple[float, Event | None]]) -> None:
    check(history)
