"""What folds keep of the past, as HTTP shows it: windows, histories, and alarms that follow a lane."""

import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from wire import Served, served

from shoal import Above, Alarm, App, Command, History, Latest, Max, Twin


class Fix(msgspec.Struct):
    speed: float


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Served]:
    app = App("past")

    @app.twin("/bus/{id}")
    class Bus(Twin):
        report = Command(Fix)
        speed = Latest(report.body.speed)
        top = Max(speed, last="1 h", name="speed.max")
        past = History(speed, count=2)
        fast = Above(speed, 25.0)
        speeding = Alarm(fast, text="too fast")

    with served(app, tmp_path) as server:
        yield server


def test_the_past_of_a_twin(server: Served) -> None:
    for speed in (31, 12.5, 27):
        assert server.post("/bus/7?lane=report", {"speed": speed}).status == 202
    twin = server.get("/bus/7").json
    times = [time for time, _ in twin["past"]]
    assert times == sorted(times)
    assert all(time.endswith("Z") for time in times)
    assert [value for _, value in twin["past"]] == [12.5, 27.0]
    assert twin["speed.max"] == 31.0
    assert twin["speeding"] == {"active": True, "acked": False, "since": times[1], "text": "too fast", "by": ""}
    assert server.get("/bus/7?lane=past").json == twin["past"]
    assert server.get("/bus/7?lane=speed.max").body == b"31.0"
    assert server.post("/bus/7?lane=speeding.ack", "Ann").status == 202
    assert server.get("/bus/7?lane=speeding").json == {**twin["speeding"], "acked": True, "by": "Ann"}


@pytest.mark.parametrize("lane", ["past", "speeding", "speed.max", "fast"])
def test_the_core_alone_writes_them(server: Served, lane: str) -> None:
    server.post("/bus/7?lane=report", {"speed": 1})
    before = server.get("/bus/7").json
    reply = server.post(f"/bus/7?lane={lane}", 5)
    assert 400 <= reply.status < 500, reply
    assert server.get("/bus/7").json == before


def test_a_condition_on_a_window(server: Served) -> None:
    for number, speed in enumerate((10, 20, 30)):
        server.post(f"/bus/{number}?lane=report", {"speed": speed})
    found = server.get("/bus/*?where=speed.max%3E15&fields=speed.max").json
    assert json.dumps(found).count('"uri"') == 2
