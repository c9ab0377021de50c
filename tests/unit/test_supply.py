"""Supply, demand lanes and observers in a class, and what a test sees of them."""

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
