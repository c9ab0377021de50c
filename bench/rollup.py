"""Roll-ups: 40,000 meters → 200 feeders → 5 substations, 1,000,000 readings, with and without."""

import math

import events
import msgspec
from measure import Ran, Sample, drive, start
from table import Row, ratio

from shoal import App, Command, Count, Latest, Max, Mean, Members, Min, Sum, Twin, Value

CONTENDERS = ["meters", "meters-feeders", "meters-feeders-five"]
RUNS = 7


class Reading(msgspec.Struct):
    meter: str
    feeder: str
    kw: float


def measure(contender: str) -> Sample:
    app = App("rollup")

    @app.twin("/meter/{meter}")
    class Meter(Twin):
        reading = Command(Reading)
        feeder = Latest(reading.body.feeder)
        power = Latest(reading.body.kw, unit="kW")

    class Feeding(Twin):
        meters = Members(Meter, by=Meter.feeder)
        load = Sum(Meter.power, over=meters, unit="kW")
        station = Value(str, "")

        def on_create(self) -> None:
            self.station = f"s{int(self.params.feeder[1:]) % events.SUBSTATIONS}"

    if contender != "meters":
        if contender == "meters-feeders":

            @app.twin("/feeder/{feeder}")
            class Feeder(Feeding):
                pass
        else:

            @app.twin("/feeder/{feeder}")
            class Feeder(Feeding):  # type: ignore[no-redef]
                mean = Mean(Meter.power, over=Feeding.meters)
                lowest = Min(Meter.power, over=Feeding.meters)
                highest = Max(Meter.power, over=Feeding.meters)
                known = Count(over=Feeding.meters)

        @app.twin("/substation/{id}")
        class Substation(Twin):
            feeders = Members(Feeder, by=Feeder.station)
            load = Sum(Feeder.load, over=feeders, unit="kW")

    app.ingest(str(events.readings()), Meter.reading)
    ran = drive(start(app))
    assert len(ran.twins()) == events.METERS
    if contender != "meters":
        check(ran)
    return ran.spent.sample(events.READINGS)


def check(ran: Ran) -> None:
    """The substations' loads are the sum of the meters'."""
    assert len(ran.twins(1)) == events.FEEDERS
    assert len(ran.twins(2)) == events.SUBSTATIONS
    rolled = math.fsum(ran.lane(twin, "load", 2) for twin in ran.twins(2))
    plain = math.fsum(ran.lane(twin, "power") for twin in ran.twins())
    assert math.isclose(rolled, plain, rel_tol=1e-9), (rolled, plain)


def rows(medians: dict[str, Sample], loop: Sample) -> list[Row]:
    del loop  # the ratio is between two contenders of this bench
    without = medians["meters"]
    made = []
    for contender, what, bar in (
        ("meters-feeders", "a sum at both levels", 0.7),
        ("meters-feeders-five", "five lanes a feeder", None),
    ):
        sample = medians[contender]
        share = sample["rate"] / without["rate"]
        made.append(
            Row(
                f"roll-up of 40,000 meters, {what}",
                ratio(share),
                "" if bar is None else f"≥ {bar} × without",
                None if bar is None else share >= bar,
                f"{sample['rate']:,.0f} against {without['rate']:,.0f} a CPU-second; "
                f"by the wall clock {ratio(sample['wall_rate'] / without['wall_rate'])}",
            )
        )
    return made
