"""Supply, demand lanes and observers in a class, and what a test sees of them."""

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest

from shoal import (
    App,
    Command,
    DeclarationError,
    Demand,
    DemandMap,
    LinkInfo,
    NotInTurn,
    Point,
    Supply,
    Twin,
    Value,
    WrongType,
)


def test_pushed_gives_what_kept_turns_have_pushed() -> None:
    app = App("pushed")

    @app.twin("/bus/{id}")
    class Bus(Twin):
        alerts = Supply(str)
        places = Supply(Point | None)
        go = Command(str)

        @go.handler
        def on_go(self, text: str) -> None:
            self.alerts.push(text)
            self.places.push(Point(1, 2))
            self.places.push(None)
            if text == "bad":
                self.alerts.push(5)  # type: ignore[arg-type]

    with app.test(strict=False) as t:
        for text in ("a", "bad", "b"):
            t.at(Bus, "7").go(text)
        assert t.pushed(Bus.alerts, "7") == ["a", "b"]
        assert t.pushed(Bus.places, 7) == [Point(1, 2), None] * 2
        assert t.pushed(Bus.alerts, "8") == []
        assert [type(error) for error in t.errors] == [WrongType]
        assert "`alerts` takes" in str(t.errors[0])


def test_lanes_that_are_told_hold_no_value() -> None:
    app = App("told")

    @app.twin("/bus/{id}")
    class Bus(Twin):
        alerts = Supply(str)
        near = Demand(int)
        go = Command(str)
        count = Value(int, 0)

        @near.handler
        def compute(self) -> int:
            return 1

        @go.handler
        def on_go(self, lane: str) -> None:
            self.near.cue()
            self.count = Bus.count.links(self) + Bus.near.links(self)
            setattr(self, lane, 1)

    with app.test(strict=False) as t:
        t.at(Bus, "7").go("alerts")
        t.at(Bus, "7").go("near")
        with pytest.raises(NotInTurn, match=r"t\.pushed\(Bus\.alerts"):
            _ = t.at(Bus, "7").alerts
        with pytest.raises(NotInTurn, match="holds no value"):
            _ = t.at(Bus, "7").near
        assert [str(error) for error in t.errors] == [
            "Bus.alerts is a supply, which holds no value: self.alerts.push(item)",
            "Bus.near is a demand: its handler computes it; say that it may have changed by self.near.cue()",
        ]


def test_keys_and_items_are_checked_where_nobody_listens() -> None:
    app = App("checked")

    @app.twin("/bus/{id}")
    class Bus(Twin):
        rows = DemandMap(int, int)
        alerts = Supply(int)
        cue = Command()
        remove = Command()
        push = Command()

        @rows.handler
        def row(self, key: int) -> int:
            return key

        @cue.handler
        def on_cue(self) -> None:
            self.rows.cue("a")  # type: ignore[arg-type]

        @remove.handler
        def on_remove(self) -> None:
            self.rows.remove(None)  # type: ignore[arg-type]

        @push.handler
        def on_push(self) -> None:
            self.alerts.push(None)  # type: ignore[arg-type]

    with app.test(strict=False) as t:
        bus = t.at(Bus, "7")
        bus.cue()
        bus.remove()
        bus.push()
        assert [type(error) for error in t.errors] == [WrongType] * 3
        assert [str(error).split("` ")[0] for error in t.errors] == [
            f"/bus/7: `{lane}" for lane in ("rows", "rows", "alerts")
        ]


def test_what_a_handler_reads_stays_the_lane_and_the_twin_that_it_was() -> None:
    app = App("views")
    kept: list[Any] = []

    @app.twin("/bus/{id}")
    class Bus(Twin):
        alerts = Supply(str)
        notes = Supply(str)
        near = Demand(int)
        both = Command(str)
        slow = Command(str)
        keep = Command()
        late = Command()

        @near.handler
        def compute(self) -> int:
            return 1

        @both.handler
        def on_both(self, text: str) -> None:
            alerts, notes = self.alerts, self.notes
            alerts.push(text)
            notes.push(text.upper())
            self.alerts.push(text + "!")
            alerts.push(text + "?")

        @slow.handler
        async def on_slow(self, text: str) -> None:
            alerts = self.alerts
            await asyncio.sleep(1)
            alerts.push(text)
            self.notes.push(text)

        @keep.handler
        def on_keep(self) -> None:
            kept[:] = [self.alerts, self.near]

        @late.handler
        def on_late(self) -> None:
            alerts, near = kept
            with pytest.raises(NotInTurn, match=r"/bus/1: `Bus\.near`"):
                near.cue()
            alerts.push("too late")

    with app.test(strict=False) as t:
        t.at(Bus, "1").slow("one")
        t.at(Bus, "2").slow("two")
        t.at(Bus, "3").both("x")
        t.advance("1 s")
        assert [t.pushed(Bus.alerts, n) for n in (1, 2, 3)] == [["one"], ["two"], ["x", "x!", "x?"]]
        assert [t.pushed(Bus.notes, n) for n in (1, 2, 3)] == [["one"], ["two"], ["X"]]
        t.at(Bus, "1").keep()
        t.at(Bus, "2").late()
        assert [str(error).split(";")[0] for error in t.errors] == [
            "/bus/1: `Bus.alerts` is only at hand in the twin's own turn"
        ]
        assert t.pushed(Bus.alerts, 2) == ["two"]
    with pytest.raises(NotInTurn):
        kept[0].push("after the run")


def test_a_class_s_lane_is_its_own_where_it_is_inherited() -> None:
    app = App("inherited")

    class Loud(Twin):
        alerts = Supply(str)

    class Base(Twin):
        first = Supply(str)
        go = Command(str)

        @go.handler
        def on_go(self, text: str) -> None:
            self.first.push(text)

    @app.twin("/bus/{id}")
    class Bus(Base):
        pass

    @app.twin("/tram/{id}")
    class Tram(Loud, Base):
        pass

    with app.test() as t:
        for kind in (Bus, Tram, Bus):
            t.at(kind, "1").go(kind.__name__)
        assert t.pushed(Bus.first, 1) == ["Bus", "Bus"]
        assert t.pushed(Tram.first, 1) == ["Tram"]
        assert t.pushed(Tram.alerts, 1) == []


def test_mistakes_are_found_in_the_class() -> None:
    with pytest.raises(DeclarationError, match=r"Bus\.near: it has no handler"):

        class Bus(Twin):
            near = Demand(int)

    with pytest.raises(DeclarationError, match="cannot be async"):

        class Bus2(Twin):
            near = Demand(int)

            @near.handler  # type: ignore[arg-type]
            async def compute(self) -> int:
                return 1

    with pytest.raises(DeclarationError, match=r"must take \(self, key\) or \(self, key, link\)"):

        class Bus3(Twin):
            rows = DemandMap(str, int)

            @rows.handler  # type: ignore[arg-type]
            def row(self) -> int:
                return 1

    with pytest.raises(DeclarationError, match="None is no key"):

        class Bus4(Twin):
            rows = DemandMap(str | None, int)

            @rows.handler
            def row(self, key: str | None) -> int:
                return 1

    with pytest.raises(DeclarationError, match=r"must take \(self, link\)"):

        class Bus5(Twin):
            alerts = Supply(str)

            @alerts.linked  # type: ignore[arg-type]
            def on_link(self) -> None: ...

    with pytest.raises(DeclarationError, match="nobody links it"):

        class Bus6(Twin):
            _alerts = Supply(str)

            @_alerts.unlinked
            def on_link(self, link: LinkInfo) -> None: ...

    with pytest.raises(DeclarationError, match="mutable"):

        class Bus7(Twin):
            alerts = Supply(list[int])


def test_a_method_is_overridden_under_its_name() -> None:
    class Base(Twin):
        rows = DemandMap(str, int)

        @rows.handler
        def row(self, key: str) -> int | None:
            return 1

        @rows.keys
        def all_rows(self) -> Iterable[str]:
            return []

    class Below(Base):
        def row(self, key: str) -> int | None:
            return 2

    compute: Any = Below.__shoal__._demand_functions[0][0]
    assert compute(None, "a", None) == 2
