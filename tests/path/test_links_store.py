"""Links over a restart from a store: they lead where they led, and end at what the linked lanes are."""

import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from kept import SECONDS, Running

pytestmark = pytest.mark.slow
SERVE = ("-m", "shoal.cli", "run", "links.py", "--port", "0", "--store", "state")
PROGRAM = """
from shoal import App, Command, Count, EventLink, Join, JoinMap, Latest, Link, Map, MapLink, Members, Twin, Value

app = App("links")

@app.twin("/bus/{id}")
class Bus(Twin):
    report = Command(float)
    speed = Latest(report.body)
    stops = Map(str, int)
    stop = Command(str)

    @stop.handler
    def on_stop_at(self, name: str) -> None:
        self.stops[name] = self.stops.get(name, 0) + 1

@app.twin("/desk/{id}")
class Desk(Twin):
    speed = Link(Bus.speed)
    steps = Count(speed)
    stops = MapLink(Bus.stops)
    reports = EventLink(Bus.report)
    count = Count(reports)
    follow = Command(str)

    @follow.handler
    def on_follow(self, bus: str) -> None:
        for link in (self.speed, self.stops, self.reports):
            link.open(Bus, bus)

@app.twin("/city")
class City(Twin):
    buses = Members(Bus)
    all_speeds = Join(Bus.speed, over=buses)
    speeds = Join(Bus.speed)
    stops = JoinMap(Bus.stops)
    watch = Command(str)

    @watch.handler
    def on_watch(self, bus: str) -> None:
        self.speeds.add(bus, Bus, bus)
        self.stops.add(bus, Bus, bus)
"""


def send(run: Running, path: str, body: Any) -> None:
    """Answered when it is on the disk."""
    headers = {"Content-Type": "application/json", "Prefer": "wait=durable"}
    url = f"http://127.0.0.1:{run.port}{path}"
    with urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), headers), timeout=SECONDS):
        pass


def test_links_lead_where_they_led_before_a_kill(tmp_path: Path) -> None:
    (tmp_path / "links.py").write_text(PROGRAM)
    run = Running(tmp_path, command=SERVE)
    send(run, "/desk/d?lane=follow", "7")
    for bus in ("7", "8"):
        send(run, "/city?lane=watch", bus)
        send(run, f"/bus/{bus}?lane=report", float(bus))
        send(run, f"/bus/{bus}?lane=stop", f"stop {bus}")
    before = {path: run.get(path) for path in ("/desk/d", "/city")}
    assert before["/city"]["speeds"] == {"7": 7.0, "8": 8.0}
    run.kill()
    run = Running(tmp_path, command=SERVE)
    try:
        # nothing was told twice: folds have not stepped
        assert {path: run.get(path) for path in before} == before
        assert before["/desk/d"] | {"steps": 1, "count": 1} == before["/desk/d"]
        for bus in ("7", "8"):
            send(run, f"/bus/{bus}?lane=report", 9.0)
            send(run, f"/bus/{bus}?lane=stop", "depot")
        desk, city = run.get("/desk/d"), run.get("/city")
        assert (desk["speed"], desk["steps"], desk["count"]) == (9.0, 2, 2)
        assert desk["stops"] == {"stop 7": 1, "depot": 1}
        assert city["speeds"] == {"7": 9.0, "8": 9.0}
        assert city["all_speeds"] == {"/bus/7": 9.0, "/bus/8": 9.0}
        assert city["stops"] == {"stop 7": 1, "stop 8": 1, "depot": 1}
    finally:
        run.end()
