"""One moment of the airspace in plain numbers: what the screen draws."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from airspace.app import Alert


@dataclass
class AircraftReading:
    icao24: str
    callsign: str = ""
    position: tuple[float, float] | None = None
    altitude: float | None = None
    speed: float | None = None
    track: float | None = None
    climb: float = 0.0
    phase: str = ""
    airborne: bool = False
    sinking: bool = False
    emergency: str = ""


@dataclass
class CellReading:
    id: str
    traffic: int = 0
    airborne: int = 0
    altitude: float | None = None


@dataclass
class Snapshot:
    time: datetime | None = None
    read: int = 0
    applied: int = 0
    dead: int = 0
    waiting: int = 0
    known: int = 0
    airborne: int = 0
    sinking: int = 0
    reports: int = 0
    alerts: int = 0
    speed: float | None = None
    highest: float | None = None
    recent: Sequence[Alert] = ()
    aircraft: list[AircraftReading] = field(default_factory=list)
    cells: list[CellReading] = field(default_factory=list)
