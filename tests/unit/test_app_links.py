"""Links of an app: what its program follows, without a socket."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from shoal import App, Command, Latest, List, Map, Supply, Twin
from shoal.errors import ShoalError, Unlinked, WrongType
from shoal.run import Run, RunOptions, with_loop
from shoal.warp import Clear, Element, Remove, Update


def make() -> tuple[App[None], Any]:
    app = App("followed")

    @app.twin("/bus/{id}")
    class Bus(Twin):
        report = Command(float)
        speed = Latest(report.body)
        stops = Map(str, int)
        route = List(str)
        alerts = Supply(str)
        stop = Command(str)
        scrap = Command()

        @report.handler
        def on_report(self, speed: float) -> None:
            if speed > 50:
                self.alerts.push(f"{speed} km/h")

        @stop.handler
        def on_stop_at(self, name: str) -> None:
            if name == "":
                self.stops.clear()
            elif name in self.stops:
                del self.stops[name]
            else:
                self.stops[name] = 1
            self.route.append(name)

        @scrap.handler
        def on_scrap(self) -> None:
            self.delete()

    return app, Bus


def test_the_program_follows_a_value() -> None:
    app, bus = make()
    seen: list[float] = []
    said: list[str] = []
    link = app.link(
        bus.speed,
        "7",
        changed=seen.append,
        on_linked=lambda: said.append("linked"),
        on_synced=lambda: said.append("synced"),
    )
    with app.test() as t:
        assert (link.is_linked, link.is_synced, said) == (True, True, ["linked", "synced"])
        t.at(bus, "7").report(3.0)
        t.at(bus, "7").report(3.0)
        t.at(bus, "7").report(4.0)
        t.at(bus, "8").report(9.0)
        assert (link.value, seen) == (4.0, [3.0, 3.0, 4.0])
    assert not link.is_linked


def test_the_program_follows_maps_lists_and_events() -> None:
    app, bus = make()
    changes: list[Any] = []
    alerts: list[str] = []
    commands: list[float] = []
    stops = app.link(bus.stops, "7", changed=changes.append)
    route = app.link(bus.route, "7")
    app.link(bus.alerts, "7", changed=alerts.append)
    app.link(bus.report, "7", changed=commands.append)
    with app.test() as t:
        for name in ("a", "b", "a", ""):
            t.at(bus, "7").stop(name)
        t.at(bus, "7").stop("c")
        t.at(bus, "7").report(80.0)
        t.at(bus, "7").report(8.0)
        assert dict(stops.value) == {"c": 1}
        assert changes == [Update("a", 1), Update("b", 1), Remove("a"), Clear(), Update("c", 1)]
        assert route.value == ["a", "b", "a", "", "c"]
        assert (alerts, commands) == (["80.0 km/h"], [80.0, 8.0])


def test_a_link_made_while_the_app_runs_begins_with_what_is_there() -> None:
    app, bus = make()
    with app.test() as t:
        t.at(bus, "7").report(5.0)
        t.at(bus, "7").stop("a")
        changes: list[Any] = []
        link = app.link("/bus/7", "route", kind="list", changed=changes.append)
        speed = app.link(bus.speed, "7")
        t.at(bus, "8").report(1.0)
        assert (link.value, speed.value) == (["a"], 5.0)
        assert isinstance(changes[0], Element)
        t.run(speed.close())
        t.at(bus, "7").report(6.0)
        assert (speed.value, speed.is_linked) == (5.0, False)


def test_a_link_ends_with_its_twin() -> None:
    app, bus = make()
    reasons: list[str] = []
    failed: list[ShoalError] = []
    link = app.link(bus.speed, "7", on_unlinked=reasons.append, on_failed=failed.append)
    nowhere = app.link("/nowhere", "speed", on_failed=failed.append)
    with app.test() as t:
        t.at(bus, "7").scrap()
        assert reasons == ["the twin has been deleted"]
        assert [type(error) for error in failed] == [Unlinked, Unlinked]
        assert (link.is_linked, nowhere.is_linked) == (False, False)


def test_what_is_no_lane_is_refused_at_once() -> None:
    app, bus = make()
    with pytest.raises(WrongType, match="give a lane"):
        app.link(bus, "7")
    with pytest.raises(WrongType):
        app.link(bus.speed)
    with pytest.raises(WrongType, match="no hook on_change="):
        app.link(bus.speed, "7", on_change=print)


def test_a_task_of_the_run_iterates_and_writes(tmp_path: Path) -> None:
    app, bus = make()
    app.ingest(
        [{"id": "7", "report": speed} for speed in (1.0, 2.0)], lambda record: f"/bus/{record['id']}", lane="stop"
    )
    link = app.link(bus.stops, "7")

    async def follow(run: Run) -> list[Any]:
        done: list[Any] = []
        until = asyncio.get_running_loop().create_task(run.until_done())
        async with asyncio.timeout(10):
            await link.synced()
            await link.put("depot", 3)
            async for change in link:
                done.append(change)
                if change == Update("depot", 3):
                    break
            run.stop()
            await until
        return done

    run = Run(app, None, RunOptions(dead_letters=tmp_path / "dead.jsonl"))
    try:
        assert with_loop(follow(run))[-1] == Update("depot", 3)
    finally:
        run.close()
