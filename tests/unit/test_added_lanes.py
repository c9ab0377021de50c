"""``app.add_lane``: before a run, in a test, from a handler, in classes below."""

import asyncio
from typing import Any

import pytest

from shoal import Alarm, App, Command, Count, DeclarationError, Demand, Latest, Map, Max, Sum, Supply, Twin, Value


class Mixin(Twin):
    tell = Command(str)
    told = Count(tell)


def make() -> tuple[App[None], Any, Any]:
    app = App("added")

    @app.twin("/bus/{id}")
    class Bus(Mixin):
        go = Command(float)
        speed = Latest(go.body)
        note = Value(str, "")
        grow = Command(str)
        later = Command(str)

        @go.handler
        def on_go(self, _: float) -> None:
            for lane in ("load", "marks"):
                if hasattr(type(self), lane):
                    self.note = lane

        @grow.handler
        def on_grow(self, name: str) -> None:
            app.add_lane(Bus, name, Value(int, 7))
            assert not hasattr(Bus, name)

        @later.handler
        async def on_later(self, name: str) -> None:
            app.add_lane(Bus, name, Value(int, 8))
            await asyncio.sleep(1)
            assert not hasattr(Bus, name)

    @app.twin("/tram/{id}")
    class Tram(Bus):
        line = Value(int, 0)

    return app, Bus, Tram


def test_a_lane_added_before_a_run_is_as_any_other() -> None:
    app, bus_class, _ = make()
    app.add_lane(bus_class, "load", Value(float, 0.5))
    app.add_lane(bus_class, "top", Max(bus_class.speed))
    with app.test() as t:
        t.at(bus_class, "7").go(3.0)
        bus: Any = t.at(bus_class, "7")
        assert (bus.load, bus.top, bus.note) == (0.5, 3.0, "load")


def test_twins_that_exist_have_an_added_lane_at_its_default() -> None:
    app, bus_class, tram_class = make()
    with app.test() as t:
        t.at(bus_class, "7").go(3.0)
        t.at(tram_class, "1").go(4.0)
        load = app.add_lane(bus_class, "load", Value(float, 0.5))
        app.add_lane(bus_class, "greatest", Max(load))
        app.add_lane(bus_class, "marks", Map(str, int))
        app.add_lane(bus_class, "alerts", Supply(str))
        app.add_lane(bus_class, "count", Sum(bus_class.speed))
        bus: Any = t.at(bus_class, "7")
        tram: Any = t.at(tram_class, "1")
        assert (bus.load, tram.load, tram.line, dict(bus.marks)) == (0.5, 0.5, 0, {})
        t.post("/bus/7", "load", 2.0)
        t.post("/bus/7", "marks", ["a", 1])
        t.post("/tram/1", "load", 9.0)
        t.at(bus_class, "7").go(5.0)
        assert (bus.load, bus.greatest, dict(bus.marks), bus.count) == (2.0, 2.0, {"a": 1}, 5.0)
        assert (tram.load, tram.greatest, tram.speed) == (9.0, 9.0, 4.0)
        assert bus_class.load is load
        assert t.rejected == []


def test_a_handlers_lane_is_there_after_its_turn() -> None:
    app, bus_class, _ = make()
    with app.test() as t:
        t.at(bus_class, "7").grow("load")
        assert t.at(bus_class, "7").load == 7
        t.at(bus_class, "7").later("marks")
        assert not hasattr(bus_class, "marks")
        t.advance("2 s")
        assert t.at(bus_class, "7").marks == 8


def test_what_cannot_be_added_says_why_and_leaves_nothing() -> None:
    app, bus_class, tram_class = make()
    with app.test() as t:
        t.at(bus_class, "7").go(3.0)
        for name, lane, why in [
            ("speed", Value(int), "has a lane 'speed' already"),
            ("load", Value(int, name="speed"), "has a lane 'speed' already"),
            ("line", Value(int), "Tram has a lane 'line' already"),
            ("uri", Value(int), "reserved"),
            ("a b", Value(int), "no attribute's name"),
            ("load", Value(list[int]), "mutable"),
            ("load", Value(int, "x"), "default"),
            ("load", Max(bus_class.note), "folds numbers"),
            ("load", Command(int), "cannot be added"),
            ("load", Demand(int), "cannot be added"),
            ("load", Alarm(bus_class.speed), "cannot be added"),
            ("load", bus_class.speed, "already"),
            ("on_go", Value(int), "another name"),
        ]:
            with pytest.raises(DeclarationError, match=why):
                app.add_lane(bus_class, name, lane)
        with pytest.raises(DeclarationError, match="no place"):
            app.add_lane(Mixin, "load", Value(int))
        app.add_lane(bus_class, "load", Value(float, 0.5))
        assert (t.at(bus_class, "7").load, t.at(bus_class, "7").speed) == (0.5, 3.0)
        assert not hasattr(Mixin, "load")
    assert len(tram_class.__shoal__.columns) == len(bus_class.__shoal__.columns) + 1


def test_a_fold_of_a_field_that_nobody_has_decoded_is_refused() -> None:
    app = App("nested")

    @app.twin("/x/{id}")
    class X(Twin):
        put = Command(dict[str, int] | int)
        puts = Count(put)

    with app.test() as t:
        t.post("/x/1", "put", 3)
        app.add_lane(X, "more", Count(X.put))
        t.post("/x/1", "put", 3)
        one: Any = t.at(X, "1")
        assert (one.puts, one.more) == (2, 1)
