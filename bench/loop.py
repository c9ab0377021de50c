"""The hand-written loop of W1: a dict of slotted objects and msgspec's decoder. What ratios are measured against."""

import events
import msgspec
from measure import Sample, Stopwatch

ALPHA, LIMIT = 0.2, 80.0
ALARMS = 49_126  # changes of the alarm in the file; every contender must count as many


class Event(msgspec.Struct, gc=False):
    id: str
    t: float
    speed: float
    lat: float
    lon: float


class Vehicle:
    __slots__ = ("alarm", "count", "ewma", "lat", "lon", "top")

    def __init__(self) -> None:
        self.count = 0
        self.ewma = 0.0
        self.top = 0.0
        self.lat = 0.0
        self.lon = 0.0
        self.alarm = False


def update(vehicle: Vehicle, event: Event) -> tuple[str, float, bool] | None:
    """The alarm's change, if it changed."""
    speed = event.speed
    vehicle.count = count = vehicle.count + 1
    if count == 1:
        ewma = speed
    else:
        ewma = vehicle.ewma
        ewma += ALPHA * (speed - ewma)
    vehicle.ewma = ewma
    if speed > vehicle.top:
        vehicle.top = speed
    vehicle.lat = event.lat
    vehicle.lon = event.lon
    alarm = ewma > LIMIT
    if alarm != vehicle.alarm:
        vehicle.alarm = alarm
        return event.id, event.t, alarm
    return None


def measure(contender: str) -> Sample:
    assert contender == "loop"
    path = events.w1()
    decode = msgspec.json.Decoder(Event).decode
    vehicles: dict[str, Vehicle] = {}
    changes = []
    with Stopwatch() as spent, path.open("rb") as file:
        for line in file:
            event = decode(line)
            vehicle = vehicles.get(event.id)
            if vehicle is None:
                vehicle = vehicles[event.id] = Vehicle()
            change = update(vehicle, event)
            if change is not None:
                changes.append(change)
    assert len(changes) == ALARMS, len(changes)
    assert sum(vehicle.count for vehicle in vehicles.values()) == events.EVENTS
    return spent.sample(events.EVENTS)
