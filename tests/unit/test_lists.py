"""List lanes: what a handler does with one, what is undone, and who is told."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from shoal import App, Command, Count, List, Twin
from shoal.errors import DeclarationError, NotInTurn, WrongType


class Stop(msgspec.Struct, frozen=True):
    name: str
    minutes: int = 0


app = App("lists")
told: list[tuple[int, Any, Any]] = []
seen: list[Any] = []


class Script(msgspec.Struct):
    lines: list[str]
    fail: bool = False


@app.twin("/bus/{id}")
class Bus(Twin):
    do = Command(Script)
    slowly = Command(Script)
    stops = List(str, limit=8)
    plan = List(Stop)
    anything = List(Any, save="sync")
    fixed = List(int, readonly=True)
    _own = List(int)
    writes = Count(stops)

    @do.handler
    def on_do(self, script: Script) -> None:
        for line in script.lines:
            exec(line, {"self": self, "Stop": Stop, "seen": seen})
        if script.fail:
            raise ValueError("fails")

    @slowly.handler
    async def on_slowly(self, script: Script) -> None:
        for line in script.lines:
            await asyncio.sleep(1)
            exec(line, {"self": self, "Stop": Stop, "seen": seen})
        if script.fail:
            raise ValueError("fails")

    @stops.changed
    def on_stops(self, index: int, new: str | None, old: str | None) -> None:
        told.append((index, new, old))


def do(kit: Any, *lines: str, fail: bool = False) -> Any:
    told.clear()
    seen.clear()
    kit.at(Bus, "7").do(Script(list(lines), fail))
    return kit.at(Bus, "7")


def test_it_is_a_list_of_its_twin() -> None:
    with app.test() as t:
        bus = do(
            t,
            "self.stops = ['a', 'b', 'c']",
            "self.stops.append('d')",
            "self.stops.insert(0, 'z')",
            "self.stops.insert(-1, 'y')",
            "self.stops[1] = 'A'",
            "seen.append((self.stops[-1], self.stops[1:3], self.stops[::-2], len(self.stops)))",
            "seen.append((self.stops.index('b'), self.stops.count('b'), 'b' in self.stops, 'x' in self.stops))",
            "seen.append((self.stops.pop(), self.stops.pop(0)))",
            "self.stops.remove('b')",
            "seen.append([*reversed(self.stops)])",
            "seen.append((self.stops == ['A', 'c', 'y'], self.stops == ('A', 'c', 'y'), repr(self.stops)))",
        )
        assert seen == [
            ("d", ["A", "b"], ["d", "c", "A"], 6),
            (2, 1, True, False),
            ("d", "z"),
            ["y", "c", "A"],
            (True, False, "['A', 'c', 'y']"),
        ]
        assert bus.stops == ["A", "c", "y"]


def test_slices_are_written_as_a_list_s() -> None:
    with app.test() as t:
        bus = do(
            t,
            "self._own = range(10)",
            "self._own[2:4] = [20, 30, 35]",
            "self._own[-2:] = []",
            "del self._own[::3]",
            "self._own[::2] = [-x for x in self._own[::2]]",
            "self._own[1:1] = [7]",
        )
        model = list(range(10))
        model[2:4] = [20, 30, 35]
        model[-2:] = []
        del model[::3]
        model[::2] = [-x for x in model[::2]]
        model[1:1] = [7]
        assert bus._own == model


def test_elements_keep_their_keys_while_they_move() -> None:
    with app.test() as t:
        bus = do(
            t,
            "self.stops.extend('abcd')",
            "seen.append([self.stops.key(i) for i in range(4)])",
            "self.stops.move(0, -1)",
            "self.stops[0] = 'B'",
            "seen.append([self.stops.key(i) for i in range(4)])",
            "self.stops.reverse()",
            "seen.append([self.stops.key(i) for i in range(4)])",
            "self.stops += ['e']",
            "seen.append([self.stops.key(i) for i in range(5)])",
            "self.stops.take(4)",
            "self.stops.drop(1)",
        )
        a, b, c, d = seen[0]
        assert seen[1] == [b, c, d, a]
        assert seen[2] == [a, d, c, b]
        assert seen[3][:4] == seen[2]
        assert bus.stops == ["d", "c", "B"]


def test_what_is_no_index_or_no_element_is_an_error_as_of_a_list() -> None:
    with app.test(strict=False) as t:
        for line, error in [
            ("self.stops[0]", IndexError),
            ("self.stops[0] = 'x'", IndexError),
            ("self.stops.pop()", IndexError),
            ("self.stops.move(0, 0)", IndexError),
            ("self.stops.remove('x')", ValueError),
            ("self.stops.index('x')", ValueError),
            ("self.stops.take(-1)", ValueError),
            ("self.stops['x']", TypeError),
            ("self.stops.append(5)", WrongType),
            ("self.stops = 5", WrongType),
            ("self.stops = 'ab'; self.stops[::2] = 'xy'", ValueError),
        ]:
            do(t, line)
            assert [type(each) for each in t.errors[-1:]] == [error], line
            t.errors.clear()
        do(t, "self.stops.extend('abcdefghi')")
        assert "`stops` has 8 elements, its limit" in t.dead_letters[-1].reason
        assert t.at(Bus, "7").stops == []


def test_each_element_that_became_another_is_told_once() -> None:
    with app.test() as t:
        do(t, "self.stops = ['a', 'b', 'c']")
        assert told == [(0, "a", None), (1, "b", None), (2, "c", None)]
        do(t, "self.stops[1] = 'x'", "self.stops[1] = 'B'", "self.stops[2] = 'c'")
        assert told == [(1, "B", "b")]
        do(t, "self.stops.move(0, 2)")
        assert told == [(2, "a", "a")], "a move is told of the element that was moved"
        do(t, "self.stops.move(0, 2)", "self.stops.move(2, 0)")
        assert told == []
        do(t, "self.stops.insert(0, 'new')", "self.stops.pop(0)")
        assert told == []
        do(t, "self.stops.pop(1)", "self.stops.append('d')")
        assert told == [(1, None, "c"), (2, "d", None)]
        do(t, "self.stops.clear()")
        assert told == [(2, None, "d"), (1, None, "a"), (0, None, "B")]


def test_a_turn_that_fails_leaves_the_list_as_it_was() -> None:
    with app.test(strict=False) as t:
        do(t, "self.stops = ['a', 'b', 'c']", "seen.append([self.stops.key(i) for i in range(3)])")
        keys = list(seen[0])
        do(
            t,
            "self.stops.move(0, 2)",
            "self.stops.pop(0)",
            "[self.stops.insert(1, str(i)) for i in range(5)]",
            "self.stops.reverse()",
            "self.stops = ['other']",
            fail=True,
        )
        assert t.at(Bus, "7").stops == ["a", "b", "c"]
        assert t.at(Bus, "7").writes == 3
        do(t, "seen.append([self.stops.key(i) for i in range(3)])", "self.stops.append('d')")
        assert seen == [keys]
        do(t, "seen.append(self.stops.key(3))")
        assert seen == [keys[-1] + 1], "keys of a turn that never was are not spent"


def test_many_at_one_place_stay_in_order() -> None:
    with app.test() as t:
        bus = do(t, "self._own = [0, 1]", "[self._own.insert(1, x) for x in range(2, 300)]")
        assert bus._own == [0, *range(299, 1, -1), 1]


def test_an_async_turn_s_list_is_its_own_until_it_ends() -> None:
    with app.test() as t:
        do(t, "self.stops = ['a', 'b', 'c']")
        t.at(Bus, "7").slowly(Script(["self.stops.move(2, 0)", "self.stops.append('d')", "seen.append([*self.stops])"]))
        t.advance(2)
        assert t.at(Bus, "7").stops == ["a", "b", "c"]
        t.advance(1)
        assert seen == [["c", "a", "b", "d"]]
        assert t.at(Bus, "7").stops == seen[0]


def test_it_counts_its_writes() -> None:
    with app.test() as t:
        bus = do(t, "self.stops = ['a', 'b']", "self.stops[0] = 'a'", "self.stops.move(0, 1)", "self.stops.clear()")
        assert bus.writes == 2 + 1 + 1 + 2


def test_elements_are_of_its_type() -> None:
    with app.test(strict=False) as t:
        bus = do(t, "self.plan = [Stop('a', 3), Stop('b')]", "self.anything = [1, None, {'a': [2]}]")
        assert bus.plan == [Stop("a", 3), Stop("b")]
        assert list(bus.anything) == [1, None, {"a": (2,)}]
        do(t, "self.plan.append('a')")
        assert type(t.errors.pop()) is WrongType


def test_it_is_set_from_outside_as_json_has_it() -> None:
    with app.test() as t:
        uri = "/bus/7"
        t.post(uri, "stops", ["a", "b"])
        t.post(uri, "stops", {"value": "c"})
        t.post(uri, "stops", {"index": 0, "key": "k", "value": "first"})
        t.post(uri, "stops", {"from": 0, "to": 3})
        t.post(uri, "stops", {"key": "k", "value": "last"})
        t.post(uri, "stops", {"index": 0, "removed": True})
        assert t.at(Bus, "7").stops == ["b", "c", "last"]
        t.post(uri, "stops", {"take": 2})
        t.post(uri, "stops", {"drop": 1})
        assert t.at(Bus, "7").stops == ["c"]
        t.post(uri, "plan", [{"name": "a", "minutes": 2}])
        assert t.at(Bus, "7").plan == [Stop("a", 2)]
        t.at(Bus, "7").stops = ["x", "y"]
        assert t.at(Bus, "7").stops == ["x", "y"]
        t.post(uri, "stops", {"cleared": True})
        assert t.at(Bus, "7").stops == []


@pytest.mark.parametrize(
    ("lane", "body", "reason"),
    [
        ("stops", {"index": 3, "value": "x"}, "has 2 elements, and 3 is no index of it"),
        ("stops", {"from": 0, "to": 2}, "has 2 elements, and 2 is no index of it"),
        ("stops", {"from": 0, "to": 1, "key": "k"}, 'has no element with the key "k"'),
        ("stops", {"index": 0, "value": 5}, "str"),
        ("stops", ["a", 5], "str"),
        ("stops", ["a"] * 9, "its limit"),
        ("stops", {"insert": 1}, "a list lane takes"),
        ("stops", "x", "a list lane takes"),
        ("fixed", {"index": 0, "value": 5}, "read-only"),
        ("_own", {"index": 0, "value": 5}, "no command lane"),
    ],
)
def test_what_a_list_does_not_take_from_outside_is_a_dead_letter(lane: str, body: Any, reason: str) -> None:
    with app.test(strict=False) as t:
        t.post("/bus/7", "stops", ["a", "b"])
        t.post("/bus/7", lane, body)
        assert reason in t.dead_letters[-1].reason
        assert t.at(Bus, "7").stops == ["a", "b"]


def test_only_its_own_turn_has_it() -> None:
    with app.test() as t:
        kept: list[Any] = []
        seen.clear()
        do(t, "self.stops = ['a']", "seen.append(self.stops)")
        kept.extend(seen)
        with pytest.raises(NotInTurn):
            len(kept[0])


def test_mistakes_are_said_when_the_class_is_made() -> None:
    for make, what in [
        (lambda: List(list[int]), "a Map lane|a tuple|immutable|list"),
        (lambda: List(str, limit=0), "limit=0"),
    ]:
        other = App("mistakes")
        with pytest.raises(DeclarationError, match=what):

            @other.twin("/x")
            class X(Twin):
                bad = make()
