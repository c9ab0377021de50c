"""Aircraft, cells of one degree and the airspace over all of them, as live twins."""

from datetime import datetime
from math import floor
from typing import Literal

import msgspec

from shoal import App, Below, Command, Count, Ewma, Latest, Max, Mean, Members, Point, Reject, Sum, Twin, Value

app = App("airspace")

Phase = Literal["", "ground", "climb", "level", "descent", "silent"]

EMERGENCIES = {"7500": "hijack", "7600": "radio failure", "7700": "emergency"}
CEILING = 51_000.0  # ft; what the highest-flying business jets are certified for
LEVEL = 300.0  # ft/min; slower climbs and descents are level flight
SHOWN = 50  # alerts that the airspace remembers


class Report(msgspec.Struct):
    """One ADS-B report. A transponder sends its fields in separate messages, so several may be unknown."""

    icao24: str
    timestamp: datetime
    latitude: float
    longitude: float
    onground: bool
    callsign: str | None = None
    altitude: float | None = None  # ft
    groundspeed: float | None = None  # knots
    track: float | None = None  # degrees from north
    vertical_rate: float | None = None  # ft/min
    squawk: str | None = None


class Alert(msgspec.Struct, frozen=True):
    time: datetime
    aircraft: str
    callsign: str
    kind: str
    text: str


@app.twin("/aircraft/{icao24}")
class Aircraft(Twin):
    report = Command(Report, time="timestamp")
    reports = Count(report)
    position = Latest(Point(report.body.latitude, report.body.longitude))
    callsign = Latest(report.body.callsign, "")
    altitude = Latest(report.body.altitude, unit="ft")
    speed = Latest(report.body.groundspeed, unit="kt")
    track = Latest(report.body.track, unit="°")
    climb = Latest(report.body.vertical_rate, 0.0, unit="ft/min")
    squawk = Latest(report.body.squawk)
    highest = Max(altitude)
    fastest = Max(speed)
    average = Mean(speed, unit="kt")
    trend = Ewma(climb, alpha=0.2)  # the rate jumps by hundreds of feet a minute; its trend does not
    sinking = Below(trend, -3000.0, clear=-2000.0)
    descents = Value(int, 0, doc="rapid descents so far")
    phase = Value(Phase, "")
    airborne = Value(bool, False)
    cell = Value(str | None, None, doc="the one-degree cell it is in; None when nobody hears it")
    emergency = Value(str, "")
    silences = Value(int, 0, doc="times that nobody heard it for five minutes")

    @report.handler
    def on_report(self, report: Report) -> None:
        if report.altitude is not None and report.altitude > CEILING:
            raise Reject(f"{report.altitude:,.0f} ft is higher than aircraft fly; the message is wrong")
        self.phase = phase_of(report.onground, self.climb)
        self.airborne = not report.onground
        self.cell = cell_of(report.latitude, report.longitude)
        self.after("5 min", self.fall_silent)

    def fall_silent(self) -> None:
        self.silences += 1
        self.phase = "silent"
        self.airborne = False
        self.cell = None

    @sinking.changed
    def on_sinking(self, new: bool) -> None:
        if new:
            self.descents += 1
            self.tell("rapid descent", f"{self.climb:+,.0f} ft/min")

    @squawk.changed
    def on_squawk(self, new: str | None) -> None:
        self.emergency = EMERGENCIES.get(new or "", "")

    @emergency.changed
    def on_emergency(self, new: str) -> None:
        if new:
            self.tell(new, f"squawks {self.squawk}")

    def tell(self, kind: str, text: str) -> None:
        """Send an alert to the airspace."""
        self.at(Airspace).alert(Alert(self.now, self.params.icao24, self.callsign, kind, text))


@app.twin("/cell/{id}")
class Cell(Twin):
    aircraft = Members(Aircraft, by=Aircraft.cell)
    traffic = Count(over=aircraft)
    airborne = Count(Aircraft.airborne, over=aircraft)
    altitude = Mean(Aircraft.altitude, over=aircraft, unit="ft")


@app.twin("/airspace")
class Airspace(Twin):
    alert = Command(Alert)
    alerts = Count(alert)
    aircraft = Members(Aircraft)
    known = Count(over=aircraft)
    reports = Sum(Aircraft.reports, over=aircraft)
    airborne = Count(Aircraft.airborne, over=aircraft)
    sinking = Count(Aircraft.sinking, over=aircraft)
    speed = Mean(Aircraft.speed, over=aircraft, unit="kt")
    highest = Max(Aircraft.highest, over=aircraft, unit="ft")
    recent = Value(tuple[Alert, ...], (), doc="the latest alerts, newest last")

    @alert.handler
    def on_alert(self, alert: Alert) -> None:
        self.recent = (*self.recent, alert)[-SHOWN:]


def phase_of(onground: bool, climb: float) -> Phase:
    if onground:
        return "ground"
    if climb > LEVEL:
        return "climb"
    return "descent" if climb < -LEVEL else "level"


def cell_of(latitude: float, longitude: float) -> str:
    """The name of a one-degree cell by its south-western corner: ``N48E002``."""
    north, east = floor(latitude), floor(longitude)
    return f"{'N' if north >= 0 else 'S'}{abs(north):02}{'E' if east >= 0 else 'W'}{abs(east):03}"
