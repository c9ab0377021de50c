"""The app that the server's tests speak to: buses with every kind of lane, a city, and what goes wrong."""

from datetime import datetime

import msgspec

from shoal import App, Command, Count, Latest, Local, Map, Max, Members, Point, Reject, Settings, Twin, Value


class Fix(msgspec.Struct):
    speed: float
    lat: float | None = None
    lon: float | None = None
    at: datetime | None = None
    line: int = 0
    driver: str | None = None


def make(**settings: object) -> App[None]:
    app = App("transit", settings=Settings(**settings))

    @app.twin("/bus/{id}")
    class Bus(Twin):
        report = Command(Fix)
        speed = Latest(report.body.speed, unit="m/s")
        position = Latest(Point(report.body.lat, report.body.lon))
        seen = Latest(report.body.at)
        line = Latest(report.body.line)
        driver = Latest(report.body.driver)
        reports = Count(report)
        note = Value(str | None, None)
        limit = Value(float, 50.0)
        moving = Value(bool, False)
        fixed = Value(int, 7, readonly=True)
        raw = Value(bytes, b"\x00\xff")
        stops = Map(str, int)
        hours = Map(int, float)
        _secret = Value(str, "hidden")
        cache = Local(dict)
        visit = Command(str)
        delete_me = Command(None)

        @report.handler
        def on_report(self, fix: Fix) -> None:
            if fix.speed > self.limit:
                raise Reject(f"{fix.speed:g} m/s is over {self.limit:g}")
            if fix.speed == 13:
                raise RuntimeError("thirteen")
            self.moving = fix.speed > 0

        @visit.handler
        def on_visit(self, stop: str) -> None:
            self.stops[stop] = self.stops.get(stop, 0) + 1
            self.hours[len(self.stops)] = 0.5

        @delete_me.handler
        def on_delete_me(self, _: None) -> None:
            self.delete()

    @app.twin("/city")
    class City(Twin):
        buses = Members(Bus)
        count = Count(over=buses)
        fastest = Max(Bus.speed, over=buses)
        name = Value(str, "Aarhus")

    return app
