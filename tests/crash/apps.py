"""Apps that are killed, and what they read. Each takes the folder with its records."""

from __future__ import annotations

import asyncio
import csv
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
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
    Reject,
    Settings,
    Sum,
    Twin,
    Value,
    every,
)

# Records are cut so often that a kill finds one on the way, and checkpoints are many.
SETTINGS = Settings(journal_seconds=0.004, checkpoint_bytes=150_000, checkpoint_seconds=0.1)
DAY = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Fix(msgspec.Struct):
    id: str
    time: datetime
    n: int
    what: str = ""
    speed: float | None = None  # m/s
    stop: str | None = None
    route: str | None = None


class Pass(msgspec.Struct):
    bus: str
    n: int


def transit(folder: Path) -> App[None]:
    """Buses on the records' own time: folds, windows, timers, groups, commands, deletions, letters of every kind."""
    app: App[None] = App("transit", settings=SETTINGS)

    @app.twin("/bus/{id}")
    class Bus(Twin):
        report = Command(Fix, time="time")
        called = Command(int)
        reports = Count(report)
        route = Latest(report.body.route)
        speed = Latest(report.body.speed)
        total = Sum(report.body.n)
        way = Sum(speed)
        mean = Mean(speed)
        smooth = Ewma(speed, alpha=0.1)
        slow = Ewma(speed, half_life="20 s")
        top = Max(speed, last="1 min")
        low = Min(speed, every="10 s")
        minute = Sum(report.body.n, last="30 s")
        quarter = Mean(speed, every="15 min")
        over = Above(speed, 40.0, clear=30.0, hold="3 s")
        past = History(speed, count=4)
        stops = Map(str, int, 0)
        seen = Map(int, str)
        calls = Sum(called.body)
        births = Value(int, 0)
        starts = Value(int, 0)
        silences = Value(int, 0)
        ticks = Value(int, 0)
        excesses = Value(int, 0)
        notes = Value(tuple[str, ...], ())
        scratch = Value(int, 0, save="never")

        def on_create(self) -> None:
            self.births += 1
            # read after the event that made it
            self.at(Bus, self.params.id).called(1)

        def on_start(self) -> None:
            self.starts += 1

        @report.handler
        def on_report(self, fix: Fix) -> None:
            self.scratch += 1
            if fix.stop is not None:
                self.stops[fix.stop] += 1
                self.seen[fix.n % 7] = fix.stop
            self.after("5 s", self.fall_silent)
            self.at(Depot, fix.id[-1]).passed(Pass(fix.id, fix.n))
            match fix.what:
                case "delete":
                    self.delete()
                case "reject":
                    raise Reject("it will not")
                case "fail":
                    raise ValueError(fix.n)
                case "forget":
                    self.stops.clear()
                    self.seen.pop(3, None)
                case "quiet":
                    self.cancel(self.fall_silent)
                case "note":
                    self.notes = (*self.notes, str(fix.n))[-5:]

        @called.handler
        def on_called(self, n: int) -> None:
            self.notes = (*self.notes, f"called {n} at {self.reports}")[-5:]

        @over.changed
        def on_over(self, new: bool) -> None:
            if new:
                self.excesses += 1
                self.at(City).excess(self.uri)

        def fall_silent(self) -> None:
            self.silences += 1

        @every("7 s")
        def tick(self) -> None:
            self.ticks += 1

    @app.twin("/depot/{name}")
    class Depot(Twin):
        passed = Command(Pass)
        passes = Count(passed)
        total = Sum(passed.body.n)
        buses = Map(str, int, 0)

        @passed.handler
        def on_passed(self, one: Pass) -> None:
            self.buses[one.bus] += one.n
            if one.n % 97 == 0:
                raise Reject("not this one")
            if one.n % 5 == 0:
                self.at(Bus, one.bus).called(one.n)

    @app.twin("/route/{name}")
    class Route(Twin):
        buses = Members(Bus, by=Bus.route)
        known = Count(over=buses)
        total = Sum(Bus.total, over=buses)
        way = Sum(Bus.way, over=buses)
        top = Max(Bus.speed, over=buses)
        speeding = Count(Bus.over, over=buses)

    @app.twin("/city")
    class City(Twin):
        excess = Command(str)
        excesses = Count(excess)
        buses = Members(Bus)
        known = Count(over=buses)
        total = Sum(Bus.total, over=buses)
        speed = Mean(Bus.smooth, over=buses)
        stops = Sum(Bus.reports, over=buses)

    app.ingest(str(folder / "transit.jsonl"), Bus.report)
    return app


def write_transit(folder: Path, seed: int, count: int) -> None:
    rng = random.Random(seed)
    time = DAY
    with (folder / "transit.jsonl").open("w", encoding="utf-8") as file:
        for n in range(count):
            time += timedelta(milliseconds=rng.choice((0, 1, 3, 20, 50)))
            at = time - timedelta(seconds=2) if rng.random() < 0.01 else time
            fix: dict[str, Any] = {"id": f"b{rng.randrange(60)}", "time": at.isoformat(), "n": n}
            if rng.random() < 0.9:
                fix["speed"] = round(rng.gauss(30, 9), 3)
            if rng.random() < 0.5:
                fix["stop"] = f"stop {rng.randrange(12)}"
            if rng.random() < 0.3:
                fix["route"] = f"r{rng.randrange(6)}"
            odd = rng.random()
            if odd < 0.12:
                fix["what"] = rng.choice(("reject", "fail", "forget", "quiet", "note", "note", "delete"))
            if 0.12 < odd < 0.125:
                fix[rng.choice(("speed", "n"))] = "fast"
            line = json.dumps(fix)
            file.write((line[: rng.randrange(len(line))] if 0.125 < odd < 0.13 else line) + "\n")


class Order(msgspec.Struct):
    customer: str
    n: int
    price: float
    what: str = ""


def shop(folder: Path) -> App[None]:
    """Customers who wait: coroutines, what queues behind them, a filter, a ``to=``, letters; in no certain order."""
    app: App[None] = App("shop", settings=msgspec.structs.replace(SETTINGS, busy_bound=1_000_000))

    @app.twin("/customer/{customer}")
    class Customer(Twin):
        order = Command(Order)
        orders = Count(order)
        spent = Sum(order.body.n)
        births = Value(int, 0)
        starts = Value(int, 0)
        done = Map(int, int, 0)
        kept = Value(int, 0)

        def on_create(self) -> None:
            self.births += 1

        def on_start(self) -> None:
            self.starts += 1

        @order.handler
        async def on_order(self, order: Order) -> None:
            self.done[order.n] += 1
            if order.what == "wait":
                await asyncio.sleep(0.0005)
            self.kept += order.n
            self.at(Till).paid(order.n)
            if order.what == "reject":
                raise Reject("sold out")
            if order.what == "fail":
                raise RuntimeError("a bug")

    @app.twin("/till")
    class Till(Twin):
        paid = Command(int)
        times = Count(paid)
        total = Sum(paid.body)
        each = Map(int, int, 0)
        customers = Members(Customer)
        known = Count(over=customers)
        spent = Sum(Customer.kept, over=customers)

        @paid.handler
        def on_paid(self, n: int) -> None:
            if n % 41 == 0:
                raise Reject("unlucky")
            self.each[n] += 1

    app.ingest(str(folder / "shop.csv"), Customer.order, where=lambda order: order.price > 1.0)
    app.ingest(str(folder / "more.csv"), lambda row: f"/customer/{row['customer']}", lane="order", where=lambda _: True)
    return app


def write_shop(folder: Path, seed: int, count: int) -> None:
    rng = random.Random(seed)
    for number, (name, part) in enumerate((("shop", count * 3 // 4), ("more", count // 4))):
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(("customer", "n", "what", "price"))
            for at in range(part):
                what = rng.choice(("", "", "", "wait", "wait", "wait", "reject", "fail"))
                n: Any = 2 * at + number if rng.random() < 0.99 else "many"
                rows.writerow((f"c{rng.randrange(40)}", n, what, round(rng.uniform(0.5, 5), 2)))


class Reading(msgspec.Struct):
    meter: str
    kw: float
    n: int


def meters(folder: Path) -> App[None]:
    """Folds alone, from a file (records in runs) and from a list; no Python on the way."""
    app: App[None] = App("meters", settings=SETTINGS)

    @app.twin("/meter/{meter}")
    class Meter(Twin):
        reading = Command(Reading)
        kw = Latest(reading.body.kw)
        mean = Mean(kw)
        total = Sum(reading.body.kw)
        smooth = Ewma(kw, alpha=0.3)
        count = Count(reading)
        sum = Sum(reading.body.n)
        over = Above(kw, 6.0, clear=5.0)

    @app.twin("/listed/{meter}")
    class Listed(Twin):
        reading = Command(Reading)
        births = Value(int, 0)
        starts = Value(int, 0)
        count = Count(reading)
        sum = Sum(reading.body.n)
        newest = Max(reading.body.n)
        order = Value(int, 0)

        def on_create(self) -> None:
            self.births += 1

        def on_start(self) -> None:
            self.starts += 1

        @reading.handler
        def on_reading(self, reading: Reading) -> None:
            # of the order in which they come
            self.order = (self.order * 31 + reading.n) % 1_000_003
            if reading.n % 53 == 0:
                raise Reject("not this one")

    @app.twin("/all")
    class All(Twin):
        meters = Members(Meter)
        known = Count(over=meters)
        sum = Sum(Meter.sum, over=meters)
        total = Sum(Meter.total, over=meters)
        top = Max(Meter.kw, over=meters)
        over = Count(Meter.over, over=meters)

    app.ingest(str(folder / "meters.jsonl"), Meter.reading)
    records = [{"meter": f"l{n * n % 17}", "kw": n / 8, "n": n} for n in range(12_000)]
    app.ingest(records, Listed.reading, where=lambda reading: reading.n % 3 > 0)
    return app


def write_meters(folder: Path, seed: int, count: int) -> None:
    rng = random.Random(seed)
    with (folder / "meters.jsonl").open("w", encoding="utf-8") as file:
        for n in range(count):
            kw: Any = round(rng.uniform(0, 9), 3) if rng.random() < 0.999 else "many"
            file.write(json.dumps({"meter": f"m{rng.randrange(400)}", "kw": kw, "n": n}) + "\n")


@dataclass(frozen=True)
class Case:
    make: Callable[[Path], App[None]]
    # writes what it reads into a folder: seed, number of records
    write: Callable[[Path, int, int], None]
    # that take about half a second
    count: int
    # the order of its turns is a function of its records: state is the same to the last bit
    ordered: bool


CASES = {
    "transit": Case(transit, write_transit, 20_000, True),
    "shop": Case(shop, write_shop, 12_000, False),
    "meters": Case(meters, write_meters, 500_000, False),
}
