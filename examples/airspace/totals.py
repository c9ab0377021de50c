"""The sums at the end, and where they differ from a plain recount of the file."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from math import fsum, isclose

from airspace.readings import Readings
from airspace.recount import Recount

# (lane of an aircraft, the recount's name for it)
COMPARED = ("reports", "altitude", "speed", "highest", "fastest", "climb", "squawk", "descents", "silences", "cell")


def lines(readings: Readings, simulated: bool) -> list[str]:
    """What a person reads when the run is over."""
    now = readings.snapshot()
    aircraft = readings.twins("Aircraft")
    descents = sum(readings.lane("Aircraft", twin, "descents") for twin in aircraft)
    silences = sum(readings.lane("Aircraft", twin, "silences") for twin in aircraft)
    busiest = sorted(aircraft, key=lambda twin: -readings.lane("Aircraft", twin, "reports"))[:3]
    made = [
        "SIMULATED traffic, not a recording" if simulated else "recorded traffic, 2021-10-07",
        f"{now.read:,} rows read = {now.applied:,} applied + {now.dead:,} refused + {now.waiting:,} waiting"
        + (f"; the clock stands at {now.time:%Y-%m-%d %H:%M:%S} UTC" if now.time else ""),
        f"{now.known:,} aircraft in {len(now.cells)} cells, {now.airborne:,} airborne, {now.reports:,} reports counted",
        f"{descents:,} rapid descents, {now.alerts:,} alerts, {silences:,} times that an aircraft fell silent",
        "most reports: "
        + ", ".join(
            f"{readings.lane('Aircraft', twin, 'callsign')} ({twin[0]}) {readings.lane('Aircraft', twin, 'reports'):,}"
            for twin in busiest
        ),
    ]
    if now.highest is not None and now.speed is not None:
        made.append(f"highest {now.highest:,.0f} ft, mean of the last ground speeds {now.speed:.1f} kt")
    return made


@dataclass(frozen=True)
class Difference:
    what: str
    twins: object
    recount: object

    def __str__(self) -> str:
        return f"{self.what}: twins {self.twins!r}, recount {self.recount!r}"


def differences(readings: Readings, plain: Recount) -> list[Difference]:
    """Every number in which a finished run and the recount of the same file disagree; empty is agreement.

    Counts, extremes, last values and the trend are compared exactly, means and sums of floats within 1e-9.
    """
    now = readings.snapshot()
    found: list[Difference] = []

    def same(what: str, twins: object, recount: object) -> None:
        if isinstance(twins, float) and isinstance(recount, float) and isclose(twins, recount, rel_tol=1e-9):
            return
        if twins != recount:
            found.append(Difference(what, twins, recount))

    same("rows read", now.read, plain.rows)
    same("rows refused", now.dead, plain.refused)
    same("rows waiting", now.waiting, 0)
    same("rows applied", now.applied, plain.rows - plain.refused)
    same("aircraft", sorted(one.icao24 for one in now.aircraft), sorted(plain.flights))
    for (icao24,) in readings.twins("Aircraft"):
        flight = plain.flights.get(icao24)
        if flight is None:
            continue
        for lane in COMPARED:
            same(f"{icao24}.{lane}", readings.lane("Aircraft", (icao24,), lane), getattr(flight, lane))
        if flight.trend is not None:
            trend = readings.lane("Aircraft", (icao24,), "trend")
            if trend != flight.trend:
                found.append(Difference(f"{icao24}.trend", trend, flight.trend))
        if flight.speeds:
            mean = fsum(flight.speeds) / len(flight.speeds)
            same(f"{icao24}.average", readings.lane("Aircraft", (icao24,), "average"), mean)
        heard = flight.cell is not None
        same(f"{icao24}.airborne", readings.lane("Aircraft", (icao24,), "airborne"), heard and not flight.on_ground)
    compare_groups(readings, plain, same)
    return found


def compare_groups(readings: Readings, plain: Recount, same: Callable[[str, object, object], None]) -> None:
    """The airspace and the cells: what the roll-ups kept by deltas against sums made afresh."""
    now = readings.snapshot()
    flights = list(plain.flights.values())
    flying = [flight for flight in flights if flight.cell is not None and not flight.on_ground]
    same("airspace.known", now.known, len(flights))
    same("airspace.airborne", now.airborne, len(flying))
    same("airspace.sinking", now.sinking, sum(flight.sinking for flight in flights))
    same("airspace.reports", now.reports, sum(flight.reports for flight in flights))
    same("airspace.alerts", now.alerts, sum(flight.descents + flight.emergencies for flight in flights))
    same("airspace.highest", now.highest, max((f.highest for f in flights if f.highest is not None), default=None))
    speeds = [flight.speed for flight in flights if flight.speed is not None]
    same("airspace.speed", now.speed, fsum(speeds) / len(speeds) if speeds else None)
    traffic = Counter(flight.cell for flight in flights if flight.cell is not None)
    airborne = Counter(flight.cell for flight in flying)
    same("cells", {cell.id: cell.traffic for cell in now.cells if cell.traffic}, dict(traffic))
    same("cells' airborne", {cell.id: cell.airborne for cell in now.cells if cell.airborne}, dict(airborne))
    for cell in now.cells:
        heights = [f.altitude for f in flights if f.cell == cell.id and f.altitude is not None]
        same(f"{cell.id}.altitude", cell.altitude, fsum(heights) / len(heights) if heights else None)
