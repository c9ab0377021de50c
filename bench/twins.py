"""A million twins: what they take, and how fast their first events make them."""

import events
import msgspec
from measure import Sample, drive, resident, start
from table import REFERENCE, Row

from shoal import App, Command, Latest, Reject, Twin, Value

CONTENDERS = ["twins"]
RUNS = 7


class Fix(msgspec.Struct):
    id: str
    lat: float
    lon: float
    speed: float


def measure(contender: str) -> Sample:
    assert contender == "twins"
    app = App("twins")

    @app.twin("/bus/{id}")
    class Bus(Twin):
        report = Command(Fix)
        lat = Latest(report.body.lat)
        lon = Latest(report.body.lon)
        speed = Latest(report.body.speed)

    @app.twin("/probe/{id}")
    class Probe(Twin):
        go = Command()
        tries = Value(int, 0)

        @go.handler
        def on_go(self) -> None:
            self.tries += 1
            raise Reject("so that the undo log is used once")

    app.ingest([{"id": "1"}], Probe.go)
    app.ingest(str(events.buses()), Bus.report)
    run = start(app)
    before = resident()
    ran = drive(run, dead=1)
    after = resident()
    assert len(ran.twins()) == events.TWINS
    return {**ran.spent.sample(events.TWINS), "bytes": (after - before) / events.TWINS}


def rows(medians: dict[str, Sample], loop: Sample) -> list[Row]:
    sample, scale = medians["twins"], REFERENCE / loop["rate"]
    rate, size = sample["rate"] * scale, sample["bytes"]
    return [
        Row("memory of 1,000,000 twins, three float lanes", f"{size:.1f} bytes a twin", "≤ 96 bytes", size <= 96),
        Row(
            "creating twins by their first event",
            f"{rate:,.0f}/s",
            "≥ 1,000,000/s",
            rate >= 1_000_000,
            f"unscaled {sample['rate']:,.0f} a CPU-second, {sample['wall_rate']:,.0f} a second",
        ),
    ]
