"""Links of twins to list lanes."""

import random
from typing import Any

import msgspec
import pytest

from shoal import App, Command, Count, List, ListLink, Twin

app = App("routes")


class Leg(msgspec.Struct, frozen=True):
    to: str
    km: float


class Step(msgspec.Struct):
    what: str
    at: int = 0
    to: int = 0
    value: str = ""


def step(items: Any, each: Step) -> None:
    match each.what:
        case "insert":
            items.insert(each.at, each.value)
        case "set":
            items[each.at] = each.value
        case "move":
            items.move(each.at, each.to)
        case "remove":
            del items[each.at]
        case "take":
            items.take(each.at)
        case "drop":
            items.drop(each.at)
        case "clear":
            items.clear()


@app.twin("/bus/{id}")
class Bus(Twin):
    route = List(str)
    legs = List(Leg)
    change = Command(Step)
    drive = Command(Leg)

    @change.handler
    def on_change(self, each: Step) -> None:
        step(self.route, each)

    @drive.handler
    def on_drive(self, leg: Leg) -> None:
        self.legs.append(leg)


@app.twin("/desk/{id}")
class Desk(Twin):
    route = ListLink(Bus.route)
    writes = Count(route)
    legs = ListLink(Leg, lane="legs")
    follow = Command(str)
    change = Command(Step)

    @follow.handler
    def on_follow(self, bus: str) -> None:
        self.route.open(Bus, bus)
        self.legs.open(f"/bus/{bus}")

    @change.handler
    def on_change(self, each: Step) -> None:
        step(self.route, each)


def test_a_list_link_copies_elements_in_order() -> None:
    with app.test() as t:
        bus, desk = t.at(Bus, "7"), t.at(Desk, "d")
        for value in "abc":
            bus.change(Step("insert", at=9, value=value))
        bus.drive(Leg("Mitte", 3.5))
        desk.follow("7")
        assert list(desk.route) == ["a", "b", "c"]
        assert list(desk.legs) == [Leg("Mitte", 3.5)]
        bus.change(Step("move", at=0, to=2))
        bus.change(Step("set", at=0, value="B"))
        bus.change(Step("remove", at=1))
        bus.drive(Leg("Ost", 1.0))
        assert list(desk.route) == list(bus.route) == ["B", "a"]
        assert list(desk.legs) == [Leg("Mitte", 3.5), Leg("Ost", 1.0)]


def test_writes_go_through_to_the_list_that_is_linked() -> None:
    with app.test() as t:
        bus, desk = t.at(Bus, "7"), t.at(Desk, "d")
        desk.follow("7")
        for number, value in enumerate("abcd"):
            desk.change(Step("insert", at=number, value=value))
        desk.change(Step("insert", at=0, value="first"))
        desk.change(Step("set", at=1, value="A"))
        desk.change(Step("move", at=4, to=0))
        desk.change(Step("remove", at=1))
        assert list(bus.route) == list(desk.route) == ["d", "A", "b", "c"]
        desk.change(Step("drop", at=1))
        desk.change(Step("take", at=2))
        assert list(bus.route) == list(desk.route) == ["A", "b"]
        desk.change(Step("clear"))
        assert list(bus.route) == list(desk.route) == []


@pytest.mark.parametrize("seed", range(6))
def test_list_links_end_at_what_the_linked_lists_are(seed: int) -> None:
    draw = random.Random(seed)
    with app.test() as t:
        for number in range(200):
            bus, desk = t.at(Bus, draw.choice("12")), t.at(Desk, draw.choice("ab"))
            if draw.random() < 0.1:
                desk.follow(draw.choice("12"))
                continue
            length = len(bus.route) if t.all(Bus) and any(each.uri == bus.uri for each in t.all(Bus)) else 0
            what = draw.choice(["insert", "insert", "insert", "set", "move", "remove", "take", "drop", "clear"])
            at = draw.randrange(length + 1) if what in ("insert", "take", "drop") else draw.randrange(max(length, 1))
            if what in ("take", "drop", "clear") and draw.random() < 0.7:
                continue
            if length or what == "insert":
                bus.change(Step(what, at=at, to=draw.randrange(max(length, 1)), value=str(number)))
        for name in "ab":
            t.at(Desk, name).follow("1")
            assert list(t.at(Desk, name).route) == list(t.at(Bus, "1").route)
