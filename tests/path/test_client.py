"""``Client`` and ``AsyncClient`` against served apps: all kinds of lanes, and over restarts of the server."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from city import Fix, make
from wire import served

from shoal import (
    Alarm,
    App,
    AsyncClient,
    Client,
    Command,
    History,
    Latest,
    List,
    Map,
    Members,
    NoSuchTwin,
    Point,
    Refused,
    Twin,
    Unlinked,
    Unset,
    Value,
    WrongType,
)
from shoal.warp import Bounds, Remove, Update

ROOT = Path(__file__).resolve().parents[2]
QUICK = Bounds(first_pause=0.01, longest_pause=0.05, absent_pause=0.01)


def wait(there: Callable[[], bool]) -> None:
    """Polls: the client's copy has no event that a test could wait for."""
    began = time.monotonic()
    while not there():
        assert time.monotonic() - began < 20
        time.sleep(0.001)


def test_the_notebook_runs_as_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "transit", raising=False)
    # Idle lanes are not in this version yet
    lines = (ROOT / "examples/transit.py").read_text("utf-8").splitlines()
    Path("transit.py").write_text("\n".join(line for line in lines if "silent" not in line))
    record = {"id": "8", "route": "A", "lat": 37.4, "lon": -122.1, "speed": 30.0}
    Path("fixes.jsonl").write_text(json.dumps(record) + "\n")
    import transit

    notebook = (ROOT / "examples/notebook.py").read_text("utf-8")
    names: dict[str, Any] = {}
    try:
        with served(transit.app, tmp_path) as server:
            exec(notebook.replace("localhost:9001", f"localhost:{server.port}"), names)
            names["shoal"].flush()
            assert names["speed"] == 31.5
            assert "/bus/7" in names["fast"]
            assert names["live"].value > 20
            assert names["shoal"].get(transit.City.size) == 2
            names["shoal"].close()
    finally:
        del sys.modules["transit"]
    printed = capsys.readouterr().out.split()
    assert printed
    assert all(float(each) > 20 for each in printed)
    # the untyped report has no speed
    letters = [json.loads(line) for line in (tmp_path / "dead.jsonl").read_text().splitlines()]
    assert ["route" in letter["reason"] for letter in letters] == [True]


class Spot(msgspec.Struct, frozen=True):
    name: str
    at: Point
    tags: tuple[str, ...] = ()


def lanes() -> App[None]:
    app = App("lanes")

    @app.twin("/all/{id}/{part}")
    class All(Twin):
        report = Command(Fix)
        speed = Latest(report.body.speed)
        line = Latest(report.body.line)
        last = History(speed, count=3)
        spot = Value(Spot | None, None)
        seen = Latest(report.body.at)
        raw = Value(bytes, b"")
        steps = Value(tuple[int, ...], ())
        free = Value(Any, None)
        fault = Alarm()
        spots = Map(int, Spot)
        order = List(Spot)
        optional = Map(str, str | None)
        named = Value(int, 1, name="wire-name")

        @report.handler
        def on_report(self, fix: Fix) -> None:
            if fix.speed > 100:
                self.fault.set("too fast")

    @app.twin("/everyone")
    class Everyone(Twin):
        members = Members(All)

    return app


def test_values_of_every_lane_come_and_go_as_their_class_has_them(tmp_path: Path) -> None:
    app = lanes()
    cls: Any
    cls, everyone = app.classes
    key = ("a/b ä", 7)
    spot = Spot("hall", Point(1.5, 2.0), ("x",))
    seen = datetime(2026, 1, 2, 3, 4, 5, 6, UTC)
    values = {
        "spot": spot,
        "raw": b"\x00\xff",
        "steps": (5,),
        "named": 3,
    }
    with served(app, tmp_path) as server, Client(f"warp://127.0.0.1:{server.port}") as client:
        for speed in (10.0, 20.0, 101.0):
            client.at(cls, *key).report(Fix(speed, at=seen))
        assert client.get(cls.seen, *key) == client.link(cls.seen, *key).value == seen
        for name, value in values.items():
            setattr(client.at(cls, *key), name, value)
        for name, value in values.items():
            lane = getattr(cls, name)
            assert client.get(lane, *key) == value
            assert client.link(lane, *key).value == value
            assert getattr(client.at(cls, *key), name) == value
        for steps in ((), (1, 2)):
            client.at(cls, *key).steps = steps
            assert client.get(cls.steps, *key) == steps
        client.at(cls, *key).free = {"a": [1, {"b": None}], "c": "true"}
        assert client.get(cls.free, *key) == {"a": [1, {"b": None}], "c": "true"}
        client.at(cls, *key).spot = None
        assert client.get(cls.spot, *key) is None
        # folds
        assert [entry.value for entry in client.get(cls.last, *key)] == [10.0, 20.0, 101.0]
        assert client.link(cls.last, *key).value == client.get(cls.last, *key)
        fault = client.get(cls.fault, *key)
        assert (fault.active, fault.text, fault.acked) == (True, "too fast", False)
        client.send("/all/a%2Fb%20%C3%A4/7", "fault.ack", body="me")
        assert client.get(cls.fault, *key).by == client.link(cls.fault, *key).value.by == "me"
        # maps
        spots = client.link(cls.spots, *key)
        spots[5] = spot
        optional = client.link(cls.optional, *key)
        optional["a"], optional["b"] = None, "x"
        client.flush()
        wait(lambda: len(spots) == 1 and len(optional) == 2)
        assert dict(spots.value) == client.get(cls.spots, *key) == {5: spot}
        assert dict(optional.value) == client.get(cls.optional, *key) == {"a": None, "b": "x"}
        # members
        uri = client.at(cls, *key).uri
        assert list(client.link(everyone.members).value) == list(client.get(everyone.members)) == [uri]
        assert client.find(cls, line=0, speed__ge=101) == client.find(cls) == [uri]
        assert client.find(cls, seen=seen, named=3) == [uri]
        assert client.find(cls, speed__lt=101) == []
        # what is not there, and what does not go
        with pytest.raises(NoSuchTwin, match="/all/x/y"):
            client.get(cls.speed, "x", "y")
        client.at(cls, "x", "y").report(Fix(1.0))
        with pytest.raises(Unset, match=r"All\.seen"):
            client.get(cls.seen, "x", "y")
        with pytest.raises(Unset, match=r"All\.seen"):
            _ = client.link(cls.seen, "x", "y").value
        with pytest.raises(WrongType, match=r"All\.last cannot be written"):
            client.at(cls, *key).last = ()
        with pytest.raises(Refused, match="no value lane"):
            client.find(cls, report=1)
        with pytest.raises(Unlinked, match="no such lane"):
            client.link(f"{uri}", "nothing")
    assert not (tmp_path / "dead.jsonl").exists()


def test_a_loop_over_a_link_sees_what_others_do(tmp_path: Path) -> None:
    app = make()
    bus, city = app.classes
    with served(app, tmp_path) as server, Client(f"http://127.0.0.1:{server.port}") as client:
        reports = client.link(bus.report, "1")
        count = client.link(city.count)

        def others() -> None:
            with Client(f"ws://127.0.0.1:{server.port}") as other:
                for number in range(1, 501):
                    other.at(bus, "1").report(Fix(float(number % 40), line=number))
                    if number % 50 == 0:
                        other.at(bus, f"x{number}").report(Fix(1.0))

        thread = threading.Thread(target=others)
        thread.start()
        lines = []
        for report in reports:
            lines.append(report.line)
            if report.line == 500:
                break
        # 13 is a failure, and no event
        assert lines == [number for number in range(1, 501) if number % 40 != 13]
        for value in count:
            if value == 11:
                break
        thread.join()
        assert len(client.find(bus)) == 11


def test_a_list_is_written_through_its_link_by_several(tmp_path: Path) -> None:
    app = lanes()
    cls: Any = app.classes[0]
    with (
        served(app, tmp_path) as server,
        Client(f"warp://127.0.0.1:{server.port}") as client,
        Client(f"warp://127.0.0.1:{server.port}") as other,
    ):
        mine, theirs = client.link(cls.order, "a", "b"), other.link(cls.order, "a", "b")
        spots = [Spot(name, Point(1.0, 2.0)) for name in "abcde"]
        for spot in spots[:3]:
            mine.append(spot)
        wait(lambda: theirs.value == spots[:3])
        theirs.insert(0, spots[3])
        theirs.insert(-1, spots[4])
        wait(lambda: [each.name for each in mine.value] == ["d", "a", "b", "e", "c"])
        mine.move(0, 4)
        mine.remove(0)
        client.flush()
        wait(lambda: [each.name for each in theirs.value] == ["b", "e", "c", "d"])
        theirs[1] = spots[0]
        other.flush()
        wait(lambda: [each.name for each in mine.value] == ["b", "a", "c", "d"])
        assert client.get(cls.order, "a", "b") == mine.value == theirs.value
        mine.drop(1)
        mine.take(2)
        client.flush()
        wait(lambda: [each.name for each in theirs.value] == ["a", "c"])
        assert [change.value.name for _, change in zip(range(2), theirs, strict=False)] == ["a", "c"]
        with pytest.raises(IndexError):
            mine.update(9, spots[0])
    assert not (tmp_path / "dead.jsonl").exists()


def test_links_and_commands_survive_a_restart_of_the_server(tmp_path: Path) -> None:
    heard: list[str] = []
    bus, city = make().classes
    store = tmp_path / "state"

    async def main() -> None:
        with served(make(), tmp_path, store=store) as server:
            port = server.port
            client = AsyncClient(f"warp://127.0.0.1:{port}", bounds=QUICK)
            await client.send(bus.report, "1", body=Fix(10.0))
            await client.send(bus.visit, "1", body="a")
            speed = await client.link(
                bus.speed, "1", on_linked=lambda: heard.append("linked"), on_unlinked=heard.append
            )
            stops = await client.link(bus.stops, "1")
            fastest = await client.link(city.fastest)
            speeds, changes = aiter(speed), aiter(stops)
            assert (await anext(speeds), await anext(changes)) == (10.0, Update("a", 1))
            assert fastest.value == 10.0
            await client.flush()
            await asyncio.to_thread(server.end)
        while speed.is_synced:
            await asyncio.sleep(0.001)
        assert (speed.value, dict(stops.value), speed.is_linked) == (10.0, {"a": 1}, False)
        # they wait
        sent = [
            asyncio.ensure_future(client.send(bus.visit, "1", body="b")),
            asyncio.ensure_future(stops.remove("a")),
            asyncio.ensure_future(client.send(bus.report, "1", body=Fix(20.0))),
        ]
        await asyncio.sleep(0)
        with served(make(), tmp_path, port=port, store=store) as server:
            await asyncio.gather(*sent)
            assert await anext(speeds) == 20.0
            assert {await anext(changes), await anext(changes)} == {Update("b", 1), Remove("a")}
            await fastest.synced()
            assert await client.get(bus.stops, "1") == dict(stops.value) == {"b": 1}
            assert await client.get(bus.reports, "1") == 2
            await client.close()

    async def bounded() -> None:
        async with asyncio.timeout(60):
            await main()

    asyncio.run(bounded())
    assert heard[0] == heard[2] == "linked"
    assert len(heard) == 3


def test_a_twin_that_ends_unlinks(tmp_path: Path) -> None:
    app = make()
    bus, _ = app.classes
    bounds = Bounds(close_seconds=0.05)
    with served(app, tmp_path) as server, Client(f"warp://127.0.0.1:{server.port}", bounds=bounds) as client:
        client.at(bus, "1").report(Fix(1.0))
        live = client.link(bus.speed, "1")
        client.at(bus, "1").delete_me(None)
        with pytest.raises(Unlinked):
            for _ in live:
                pass
        assert live.value == 1.0
        # asking whether it has been read makes no twin anew
        client.flush()
        assert client.find(bus) == []
