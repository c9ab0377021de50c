"""Map lanes: 1,000,000 twins of five entries, and ``self.stops[key] += 1``."""

import time

import events
import msgspec
from measure import Sample, drive, resident, start
from table import REFERENCE, Row

from shoal import App, Command, Map, Twin

CONTENDERS = ["entries", "no-entries", "increment"]
RUNS = 7
ENTRIES = 5
TIMES = 1_000_000
STOPS = [f"s{number:06}" for number in range(10_000)]


class Fix(msgspec.Struct):
    id: str
    lat: float
    lon: float
    speed: float


def measure(contender: str) -> Sample:
    return increment() if contender == "increment" else grown(contender == "entries")


def grown(entries: bool) -> Sample:
    """Bytes of the process that a million twins added, with or without five map entries each."""
    app = App("maps")

    @app.twin("/bus/{id}")
    class Bus(Twin):
        report = Command(Fix)
        stops = Map(str, int, 0)

        @report.handler
        def on_report(self, fix: Fix) -> None:
            if entries:
                first = int(fix.id[1:]) * 7
                for number in range(first, first + ENTRIES):
                    self.stops[STOPS[number % 10_000]] += 1

    app.ingest(str(events.buses()), Bus.report)
    run = start(app)
    before = resident()
    ran = drive(run)
    after = resident()
    twins = ran.twins()
    assert len(twins) == events.TWINS
    assert len(run.shard.read_map(0, twins[-1], 0)) == (ENTRIES if entries else 0)
    return {**ran.spent.sample(events.TWINS), "bytes": float(after - before)}


def increment() -> Sample:
    app = App("maps")
    taken: dict[str, float] = {}

    @app.twin("/bus/{id}")
    class Bus(Twin):
        go = Command()
        stops = Map(str, int, 0)

        @go.handler
        def on_go(self) -> None:
            keys = STOPS[:ENTRIES] * (TIMES // ENTRIES)
            start = time.thread_time_ns()
            for _ in keys:
                pass
            empty = time.thread_time_ns() - start
            start = time.thread_time_ns()
            for key in keys:
                self.stops[key] += 1
            taken["ns"] = (time.thread_time_ns() - start - empty) / TIMES

    app.ingest([{"id": "b0000001"}], Bus.go)
    drive(start(app))
    return taken


def rows(medians: dict[str, Sample], loop: Sample) -> list[Row]:
    scale = loop["rate"] / REFERENCE
    grown, bare, ns = medians["entries"], medians["no-entries"], medians["increment"]["ns"]
    size = (grown["bytes"] - bare["bytes"]) / events.TWINS / ENTRIES
    new = (grown["cpu"] - bare["cpu"]) / events.TWINS / ENTRIES * 1e9
    return [
        Row("map entries, 1,000,000 twins × 5", f"{size:.1f} bytes an entry", "≤ 80 bytes", size <= 80),
        Row("self.stops[key] += 1", f"{ns * scale:.0f} ns", "≤ 400 ns", ns * scale <= 400, f"{ns:.0f} ns unscaled"),
        Row("the same, making the entry", f"{new * scale:.0f} ns", "", None, f"{new:.0f} ns unscaled"),
    ]
