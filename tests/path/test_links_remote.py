"""Links of twins to lanes of another server, over a restart of it."""

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kept import SECONDS, Running

pytestmark = pytest.mark.slow
FLEET = """
import msgspec
from shoal import App, Command, Latest, Map, Twin, Value

app = App("fleet")

class Where(msgspec.Struct, frozen=True):
    lat: float
    lon: float

@app.twin("/bus/{id}")
class Bus(Twin):
    report = Command(float)
    speed = Latest(report.body)
    where = Value(Where | None, None)
    limit = Value(int, 50)
    stops = Map(str, int)
    stop = Command(str)
    unstop = Command(str)
    scrap = Command()

    @report.handler
    def on_report(self, speed: float) -> None:
        self.where = Where(speed, -speed)

    @stop.handler
    def on_stop_at(self, name: str) -> None:
        self.stops[name] = self.stops.get(name, 0) + 1

    @unstop.handler
    def on_unstop(self, name: str) -> None:
        del self.stops[name]

    @scrap.handler
    def on_scrap(self) -> None:
        self.delete()
"""
OFFICE = """
import msgspec
from shoal import App, Command, Count, EventLink, Join, JoinMap, Link, MapLink, Max, Sum, Twin, Value

app = App("office")

class Where(msgspec.Struct, frozen=True):
    lat: float
    lon: float

@app.twin("/desk/{id}")
class Desk(Twin):
    speed = Link(float, lane="speed")
    where = Link(Where | None, lane="where")
    top = Max(speed)
    updates = Count(speed)
    limit = Link(int, lane="limit")
    stops = MapLink(str, int, lane="stops")
    reports = EventLink(float, lane="report")
    total = Sum(reports.body)
    nothing = Link(int, lane="nothing")
    said = Value(tuple[str, ...], ())
    follow = Command(str)
    slow = Command(int)
    order = Command(str)

    @follow.handler
    def on_follow(self, uri: str) -> None:
        for link in (self.speed, self.where, self.limit, self.stops, self.reports, self.nothing):
            link.open(uri)

    @slow.handler
    def on_slow(self, limit: int) -> None:
        self.limit.set(limit)
        self.stops["depot"] = limit

    @order.handler
    def on_order(self, uri: str) -> None:
        self.at(uri).report(77.0)

    @speed.linked
    def on_linked(self) -> None:
        self.said += ("linked",)

    @speed.synced
    def on_synced(self) -> None:
        self.said += ("synced",)

    @nothing.failed
    def on_failed(self, reason: str) -> None:
        self.said += (reason,)

    @stops.unlinked
    def on_unlinked(self, reason: str) -> None:
        self.said += (f"unlinked: {reason}",)

@app.twin("/hall")
class Hall(Twin):
    speeds = Join(float, lane="speed")
    stops = JoinMap(str, int, lane="stops")
    watch = Command(tuple[str, str])

    @watch.handler
    def on_watch(self, named: tuple[str, str]) -> None:
        self.speeds.add(*named)
        self.stops.add(*named)
"""


def send(run: Running, path: str, body: Any) -> None:
    headers = {"Content-Type": "application/json"}
    url = f"http://127.0.0.1:{run.port}{path}"
    with urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), headers), timeout=SECONDS):
        pass


def fleet(folder: Path, port: int = 0) -> Running:
    home = folder / "fleet"
    home.mkdir(exist_ok=True)
    (home / "fleet.py").write_text(FLEET)
    words = ("-m", "shoal.cli", "run", "fleet.py", "--port", str(port), "--store", "state")
    return Running(home, command=words)


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Running]:
    home = tmp_path / "office"
    home.mkdir()
    (home / "office.py").write_text(OFFICE)
    run = Running(home, command=("-m", "shoal.cli", "run", "office.py", "--port", "0"))
    try:
        yield run
    finally:
        run.end()


def test_twins_link_lanes_of_another_server(tmp_path: Path, office: Running) -> None:
    far = fleet(tmp_path)
    try:
        base = f"warp://127.0.0.1:{far.port}"
        send(far, "/bus/7?lane=report", 3.0)
        send(far, "/bus/7?lane=stop", "a")
        send(office, "/desk/d?lane=follow", f"{base}/bus/7")
        office.until(lambda: office.get("/desk/d").get("speed") == 3.0)
        office.until(lambda: office.get("/desk/d")["stops"] == {"a": 1})
        send(far, "/bus/7?lane=report", 9.0)
        send(far, "/bus/7?lane=stop", "b")
        office.until(lambda: office.get("/desk/d")["stops"] == {"a": 1, "b": 1})
        desk = office.until(lambda: (now := office.get("/desk/d"))["total"] == 9.0 and now)
        assert (desk["top"], desk["updates"], desk["limit"]) == (9.0, 2, 50)
        assert desk["where"] == {"lat": 9.0, "lon": -9.0}
        # of different lanes in no promised order
        assert sorted(desk["said"]) == ["linked", "synced", "the node has no such lane"]
        # written through, and a command
        send(office, "/desk/d?lane=slow", 30)
        office.until(lambda: office.get("/desk/d")["limit"] == 30)
        office.until(lambda: office.get("/desk/d")["stops"].get("depot") == 30)
        assert far.get("/bus/7")["limit"] == 30
        assert far.get("/bus/7")["stops"]["depot"] == 30
        send(office, "/desk/d?lane=order", f"{base}/bus/8")
        far.until(lambda: far.get("/bus/*?count=true")["count"] == 2)
        # a twin that is deleted ends its links
        send(far, "/bus/7?lane=scrap", None)
        office.until(lambda: any(word.startswith("unlinked") for word in office.get("/desk/d")["said"]))
        assert office.get("/desk/d")["speed"] == 9.0
    finally:
        far.end()


def test_links_come_back_with_the_server(tmp_path: Path, office: Running) -> None:
    far = fleet(tmp_path)
    try:
        base = f"warp://127.0.0.1:{far.port}"
        for bus in ("7", "8"):
            send(far, f"/bus/{bus}?lane=report", float(bus))
            send(far, f"/bus/{bus}?lane=stop", f"stop {bus}")
            send(office, "/hall?lane=watch", [bus, f"{base}/bus/{bus}"])
        send(far, "/bus/7?lane=stop", "gone")
        send(office, "/desk/d?lane=follow", f"{base}/bus/7")
        office.until(lambda: office.get("/hall")["speeds"] == {"7": 7.0, "8": 8.0})
        office.until(lambda: len(office.get("/hall")["stops"]) == 3)
        office.until(lambda: office.get("/desk/d").get("stops") == {"stop 7": 1, "gone": 1})
        far.until(lambda: not far.get("/")["journal"]["risk_changes"])
        port = far.port
        far.kill()
        send(office, "/desk/d?lane=slow", 33)
        assert office.get("/hall")["speeds"] == {"7": 7.0, "8": 8.0}
        far = fleet(tmp_path, port)
        send(far, "/bus/7?lane=unstop", "gone")
        send(far, "/bus/7?lane=stop", "new")
        send(far, "/bus/8?lane=report", 80.0)
        office.until(lambda: office.get("/hall")["speeds"] == {"7": 7.0, "8": 80.0})
        # what was written while it was down has arrived, once
        wanted = {"stop 7": 1, "new": 1, "depot": 33}
        office.until(lambda: office.get("/desk/d")["stops"] == wanted)
        office.until(lambda: office.get("/hall")["stops"] == wanted | {"stop 8": 1})
        desk = office.get("/desk/d")
        # the value that came back is the one that was known: no fold has stepped
        assert (desk["updates"], desk["limit"]) == (1, 33)
        assert desk["said"].count("synced") == 2
    finally:
        far.end()
