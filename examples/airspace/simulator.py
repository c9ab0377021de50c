"""Traffic for a machine without a network: seeded, the same file every time, in the form of the recording.

Arrivals, departures and overflights of the same region and the same three hours. Two aircraft squawk an emergency and
some descend rapidly, so that everything the twins watch for happens.
"""

import json
import math
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SEED = 20211007
START = 1_633_608_001  # s since 1970, as the recording
SECONDS = 10_799
FLIGHTS = 180
SOUTH, NORTH, WEST, EAST = 47.75, 49.98, 0.80, 4.05
AIRPORTS = ((49.010, 2.550), (48.724, 2.380), (48.970, 2.442))  # CDG, ORY, LBG
AIRLINES = ("AFR", "BAW", "DLH", "EZY", "KLM", "RYR", "TAP", "VLG")
COLUMNS = ("altitude", "groundspeed", "track", "vertical_rate")


@dataclass
class Flight:
    icao24: str
    callsign: str
    squawk: str
    start: int
    length: int  # s
    path: tuple[tuple[float, float], tuple[float, float]]  # (latitude, longitude) of both ends
    heights: tuple[float, float]  # ft at both ends
    bend: float  # degrees sideways at half-way
    emergency: str = ""
    plunge: int = 0  # when a rapid descent starts, s after the start; 0: none

    def row(self, second: int, chance: random.Random) -> dict[str, Any]:
        done = second / self.length
        (south, west), (north, east) = self.path
        side = math.sin(math.pi * done) * self.bend
        latitude = south + (north - south) * done + side * 0.6
        longitude = west + (east - west) * done - side
        turn = math.pi * math.cos(math.pi * done) * self.bend
        heading = math.degrees(math.atan2((east - west - turn) * 0.656, north - south + turn * 0.6)) % 360
        low, high = self.heights
        altitude = low + (high - low) * done
        rate = (high - low) / self.length * 60
        if self.plunge and self.plunge <= second < self.plunge + 60:
            rate = -4200.0
        if self.plunge and second >= self.plunge:
            altitude = max(altitude - min(second - self.plunge, 60) * 70, 2000.0)
        ground = altitude < 500
        speed = 25.0 if ground else 150.0 + altitude / 120 * (0.95 if done < 0.5 else 1.0)
        row: dict[str, Any] = {
            "altitude": round(altitude / 25) * 25.0,
            "callsign": self.callsign,
            "groundspeed": round(speed + chance.uniform(-3, 3)) * 1.0,
            "icao24": self.icao24,
            "latitude": round(latitude, 6),
            "longitude": round(longitude, 6),
            "onground": ground,
            "squawk": self.emergency if self.emergency and 0.3 < done < 0.6 else self.squawk,
            "timestamp": (START + self.start + second) * 1000,
            "track": round(heading, 2),
            "vertical_rate": round((rate + chance.uniform(-150, 150)) / 64) * 64.0,
        }
        if chance.random() < 0.13:
            for column in COLUMNS[1:]:
                row[column] = None
        if chance.random() < 0.10 or ground:
            row["altitude"] = None
        return row


def flights(chance: random.Random) -> list[Flight]:
    made = []
    for number in range(FLIGHTS):
        length = chance.randint(1100, 1900)
        start = chance.randint(-length // 2, SECONDS - 300)
        angle = chance.uniform(0, 2 * math.pi)
        far = edge(angle)
        field = chance.choice(AIRPORTS)
        kind = number % 5
        if kind < 2:  # arrival
            path, heights = (far, field), (chance.uniform(18_000, 30_000), 0.0)
        elif kind < 4:  # departure
            path, heights = (field, far), (0.0, chance.uniform(20_000, 34_000))
        else:
            level = chance.choice((29_000.0, 33_000.0, 35_000.0, 37_000.0, 39_000.0))
            path, heights = (far, edge(angle + math.pi + chance.uniform(-0.6, 0.6))), (level, level)
        made.append(
            Flight(
                icao24=f"{0x380000 + number * 2741 + chance.randrange(2000):06x}",
                callsign=f"{chance.choice(AIRLINES)}{chance.randint(10, 9899)}",
                squawk=f"{chance.randrange(1, 7)}{chance.randrange(512):03o}",
                start=start,
                length=length,
                path=path,
                heights=heights,
                bend=chance.uniform(-0.35, 0.35),
                emergency={44: "7700", 124: "7600"}.get(number, ""),
                plunge=chance.randint(300, 600) if number % 12 == 4 else 0,
            )
        )
    return made


def edge(angle: float) -> tuple[float, float]:
    """The point of the region's border (an ellipse inside it) in that direction from its middle."""
    return (
        (SOUTH + NORTH) / 2 + math.cos(angle) * (NORTH - SOUTH) / 2 * 0.98,
        (WEST + EAST) / 2 + math.sin(angle) * (EAST - WEST) / 2 * 0.98,
    )


def rows(seconds: int = SECONDS) -> Iterator[dict[str, Any]]:
    """The reports of the first ``seconds`` in order of time."""
    chance = random.Random(SEED)
    todo = sorted(flights(chance), key=lambda flight: flight.start)
    for second in range(seconds):
        for flight in todo:
            if flight.start > second:
                break
            if second - flight.start < flight.length:
                yield flight.row(second - flight.start, chance)


def prepare(cache: Path, seconds: int = SECONDS) -> Path:
    """The path of the simulated reports as JSON Lines; made on the first call."""
    target = cache / f"simulated-{SEED}-{seconds}.jsonl"
    if not target.exists():
        cache.mkdir(parents=True, exist_ok=True)
        part = target.with_suffix(f".{os.getpid()}")
        try:
            with part.open("w") as out:
                out.writelines(json.dumps(row) + "\n" for row in rows(seconds))
            os.replace(part, target)
        finally:
            part.unlink(missing_ok=True)
    return target
