"""The app of the store beside it: a lane of every type, hidden state of every kind. It stays as it is for ever."""

import asyncio
import os
from datetime import UTC, datetime
from typing import Any

import msgspec

from shoal import (
    Above,
    App,
    Command,
    Count,
    Ewma,
    History,
    Latest,
    Map,
    Max,
    Mean,
    Members,
    Min,
    Point,
    Reject,
    Settings,
    Sum,
    Twin,
    Value,
    every,
)


class Fix(msgspec.Struct):
    id: str
    time: datetime
    n: int
    speed: float | None = None
    route: str | None = None


class Note(msgspec.Struct, frozen=True):
    text: str
    at: datetime


def make() -> App[None]:
    """Reads ``records.jsonl`` of the working directory."""
    app: App[None] = App("kept", settings=Settings(handler_seconds=60.0))

    @app.twin("/bus/{id}")
    class Bus(Twin):
        report = Command(Fix, time="time")
        reports = Count(report)
        n = Latest(report.body.n)
        route = Latest(report.body.route)
        speed = Latest(report.body.speed)
        total = Sum(report.body.n)
        mean = Mean(speed)
        smooth = Ewma(speed, alpha=0.25)
        slow = Ewma(speed, half_life="1 min")
        top = Max(speed, last="2 min")
        low = Min(speed, every="1 min")
        over = Above(speed, 30.0, clear=20.0, hold="45 s")
        past = History(speed, count=3)
        place = Value(Point, Point(0.0, 0.0))
        seen = Value(datetime | None, None)
        raw = Value(bytes, b"")
        notes = Value(tuple[Note, ...], ())
        is_odd = Value(bool, False)
        name = Value(str | None, None, save="sync")
        scratch = Value(int, 7, save="never")
        each = Map(str, int, 0)
        texts = Map(int, str)
        births = Value(int, 0)
        silences = Value(int, 0)
        ticks = Value(int, 0)

        def on_create(self) -> None:
            self.births += 1

        @report.handler
        def on_report(self, fix: Fix) -> None:
            self.place = Point(fix.n / 4, -fix.n / 8)
            self.seen = fix.time
            self.raw = bytes([fix.n, 0, 255])
            self.notes = (*self.notes, Note(f"note {fix.n}", fix.time))[-2:]
            self.is_odd = fix.n % 2 == 1
            self.name = f"bus {fix.id}, {fix.n} ä€𝄞"
            self.scratch = fix.n
            self.each[f"k{fix.n % 4}"] += fix.n
            self.texts[fix.n % 3] = fix.id
            if fix.n % 6 == 5:
                del self.each[f"k{fix.n % 4}"]
            self.after("50 s", self.fall_silent)
            self.at(Depot).passed(fix.n)
            if fix.n == 11:
                self.delete()
            if fix.n == 13:
                raise Reject("thirteen")

        def fall_silent(self) -> None:
            self.silences += 1

        @every("1 min")
        def tick(self) -> None:
            self.ticks += 1

    @app.twin("/depot")
    class Depot(Twin):
        passed = Command(int)
        times = Count(passed)
        total = Sum(passed.body)
        order = Value(tuple[int, ...], ())

        @passed.handler
        async def on_passed(self, n: int) -> None:
            if n == 16 and os.environ.get("SHOAL_KEPT_SLOWLY"):
                # when the store was made, this one and what came behind it had still to be applied
                await asyncio.sleep(3_600)
            self.order = (*self.order, n)

    @app.twin("/route/{name}")
    class Route(Twin):
        buses = Members(Bus, by=Bus.route)
        known = Count(over=buses)
        total = Sum(Bus.total, over=buses)
        top = Max(Bus.speed, over=buses)

    app.ingest("records.jsonl", Bus.report)
    return app


def records() -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    for n in range(30):
        time = datetime(2026, 3, 1, 12, n // 2, 29 * (n % 2), tzinfo=UTC)
        fix: dict[str, Any] = {"id": "abcd"[n % 4], "time": time.isoformat(), "n": n}
        if n % 5:
            fix["speed"] = 15.5 + n
        if n % 7 < 3:
            fix["route"] = f"r{n % 3}"
        made.append(fix)
    return made
