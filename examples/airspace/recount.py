"""The same numbers by a plain loop over the file: what the twins' totals are checked against.

It shares no code with the twins; the rules (ceiling, silence, descent) are written down a second time on purpose.
"""

import json
from dataclasses import dataclass, field
from math import floor
from pathlib import Path

MINUTE = 60_000


@dataclass
class Flight:
    reports: int = 0
    last: int = 0
    on_ground: bool = False
    altitude: float | None = None
    highest: float | None = None
    fastest: float | None = None
    speed: float | None = None
    speeds: list[float] = field(default_factory=list)
    climb: float = 0.0
    trend: float | None = None
    sinking: bool = False
    descents: int = 0
    silences: int = 0
    emergencies: int = 0
    squawk: str | None = None
    cell: str | None = None


@dataclass
class Recount:
    rows: int = 0
    refused: int = 0
    flights: dict[str, Flight] = field(default_factory=dict)


def recount(path: Path) -> Recount:
    total = Recount()
    now = 0
    with path.open() as lines:
        for line in lines:
            row = json.loads(line)
            total.rows += 1
            now = max(now, row["timestamp"])
            flight = total.flights.get(row["icao24"])
            if flight is None:
                # an aircraft whose first report is refused has a twin already, which has counted nothing yet
                flight = total.flights[row["icao24"]] = Flight()
            if row["altitude"] is not None and row["altitude"] > 51_000:
                total.refused += 1
            else:
                step(flight, row)
    for flight in total.flights.values():
        if flight.last and now - flight.last >= 5 * MINUTE:
            flight.silences += 1
            flight.cell = None
    return total


def step(flight: Flight, row: dict[str, object]) -> None:
    now = row["timestamp"]
    assert isinstance(now, int)
    if flight.last and now - flight.last >= 5 * MINUTE:
        flight.silences += 1
    flight.last = now
    flight.reports += 1
    flight.on_ground = row["onground"] is True
    latitude, longitude = row["latitude"], row["longitude"]
    assert isinstance(latitude, float)
    assert isinstance(longitude, float)
    flight.cell = f"N{floor(latitude):02}E{floor(longitude):03}"
    altitude, speed, climb, squawk = row["altitude"], row["groundspeed"], row["vertical_rate"], row["squawk"]
    if isinstance(altitude, float):
        flight.altitude = altitude
        flight.highest = altitude if flight.highest is None else max(flight.highest, altitude)
    if isinstance(speed, float):
        flight.speed = speed
        flight.speeds.append(speed)
        flight.fastest = speed if flight.fastest is None else max(flight.fastest, speed)
    if isinstance(climb, float):
        flight.climb = climb
        flight.trend = climb if flight.trend is None else flight.trend + 0.2 * (climb - flight.trend)
        if not flight.sinking and flight.trend < -3000:
            flight.sinking = True
            flight.descents += 1
        elif flight.sinking and flight.trend >= -2000:
            flight.sinking = False
    if isinstance(squawk, str):
        if squawk != flight.squawk and squawk in ("7500", "7600", "7700"):
            flight.emergencies += 1
        flight.squawk = squawk
