"""What the screen and the totals ask a run: one snapshot of plain numbers, read between two commits."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from airspace.app import Alert
from airspace.snapshot import AircraftReading, CellReading, Snapshot
from shoal.run import Run

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Readings:
    """Reads committed state of the twins of one run, in the run's thread."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.populations = {population.name: number for number, population in enumerate(run.declaration.populations)}
        self.columns = {
            population.name: {column.name: number for number, column in enumerate(population.columns)}
            for population in run.declaration.populations
        }

    def twins(self, population: str) -> list[tuple[str, ...]]:
        return self.run.shard.twins(self.populations[population])

    def lane(self, population: str, twin: tuple[str, ...], lane: str) -> Any:
        """The lane's value in its builtin form; None where it is unset."""
        return self.run.shard.read(self.populations[population], twin, self.columns[population][lane])

    def snapshot(self) -> Snapshot:
        totals = self.run.totals()
        counts = list(totals.sources.values())
        now = Snapshot(
            read=sum(count.read for count in counts),
            applied=sum(count.applied for count in counts),
            dead=sum(count.dead for count in counts),
            waiting=sum(count.waiting for count in counts),
        )
        if now.read:
            now.time = EPOCH + timedelta(microseconds=self.run.shard.now())
        now.aircraft = [self.aircraft(twin) for twin in self.twins("Aircraft")]
        now.cells = [
            CellReading(twin[0], *(self.lane("Cell", twin, lane) for lane in ("traffic", "airborne", "altitude")))
            for twin in self.twins("Cell")
        ]
        for twin in self.twins("Airspace"):
            for lane in ("known", "airborne", "sinking", "reports", "alerts", "speed", "highest"):
                setattr(now, lane, self.lane("Airspace", twin, lane))
            now.recent = msgspec.convert(self.lane("Airspace", twin, "recent") or [], tuple[Alert, ...])
        return now

    def aircraft(self, twin: tuple[str, ...]) -> AircraftReading:
        lanes = (
            "callsign",
            "position",
            "altitude",
            "speed",
            "track",
            "climb",
            "phase",
            "airborne",
            "sinking",
            "emergency",
        )
        return AircraftReading(twin[0], *(self.lane("Aircraft", twin, lane) for lane in lanes))
