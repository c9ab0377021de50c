"""W1: 10,000 entities, 1,000,000 JSON events; count, EWMA, maximum, last position and an alarm of each."""

import events
import msgspec
from loop import ALARMS, ALPHA, LIMIT
from measure import Sample, drive, start
from table import Row, ratio

from shoal import Above, App, Command, Count, Ewma, Latest, Max, Point, Twin, Value

CONTENDERS = ["folds", "handler"]
RUNS = 7


class Event(msgspec.Struct, gc=False):
    id: str
    t: float
    speed: float
    lat: float
    lon: float


def folds() -> App[None]:
    app = App("w1")

    @app.twin("/vehicle/{id}")
    class Vehicle(Twin):
        report = Command(Event)
        count = Count(report)
        ewma = Ewma(report.body.speed, alpha=ALPHA)
        top = Max(report.body.speed)
        position = Latest(Point(report.body.lat, report.body.lon))
        alarm = Above(ewma, LIMIT)
        changes = Value(int, 0)

        @alarm.changed
        def on_alarm(self, _new: bool) -> None:
            self.changes += 1

    app.ingest(str(events.w1()), Vehicle.report)
    return app


def handler() -> App[None]:
    app = App("w1")

    @app.twin("/vehicle/{id}")
    class Vehicle(Twin):
        report = Command(Event)
        count = Value(int, 0)
        ewma = Value(float, 0.0)
        top = Value(float, 0.0)
        lat = Value(float, 0.0)
        lon = Value(float, 0.0)
        alarm = Value(bool, False)
        changes = Value(int, 0)

        @report.handler
        def on_report(self, event: Event) -> None:
            speed = event.speed
            self.count = count = self.count + 1
            if count == 1:
                ewma = speed
            else:
                ewma = self.ewma
                ewma += ALPHA * (speed - ewma)
            self.ewma = ewma
            if speed > self.top:
                self.top = speed
            self.lat = event.lat
            self.lon = event.lon
            alarm = ewma > LIMIT
            if alarm != self.alarm:
                self.alarm = alarm
                self.changes += 1

    app.ingest(str(events.w1()), Vehicle.report)
    return app


def measure(contender: str) -> Sample:
    ran = drive(start({"folds": folds, "handler": handler}[contender]()))
    twins = ran.twins()
    assert len(twins) == events.ENTITIES, len(twins)
    changes = sum(ran.lane(twin, "changes") for twin in twins)
    assert changes == ALARMS, changes
    assert sum(ran.lane(twin, "count") for twin in twins) == events.EVENTS
    return ran.spent.sample(events.EVENTS)


def rows(medians: dict[str, Sample], loop: Sample) -> list[Row]:
    made = []
    for contender, what, bar in (("folds", "folds only", 4.0), ("handler", "one Python handler", 0.8)):
        sample = medians[contender]
        made.append(
            Row(
                f"W1, {what}",
                ratio(sample["rate"] / loop["rate"]),
                f"≥ {bar} × the loop",
                sample["rate"] / loop["rate"] >= bar,
                f"{sample['rate']:,.0f} a CPU-second, {sample['wall_rate']:,.0f} a second "
                f"({ratio(sample['wall_rate'] / loop['wall_rate'])} the loop by the wall clock)",
            )
        )
    return made
