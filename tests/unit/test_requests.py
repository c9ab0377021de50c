"""Requests between twins, and from a test: answers, refusals, time-outs, circles, bounds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from shoal import (
    App,
    AskFailed,
    AskTimeout,
    Command,
    Count,
    DeclarationError,
    Kit,
    Latest,
    Point,
    Reject,
    Request,
    Settings,
    Twin,
    Value,
    WouldDeadlock,
    WrongType,
)

app = App("air", settings=Settings(busy_bound=2, max_hops=3, max_asks=5))


class Query(msgspec.Struct):
    flight: str
    size: int = 1


class Gate(msgspec.Struct):
    name: str
    free: bool = True


@app.twin("/airport/{code}")
class Airport(Twin):
    gate = Request(Query, Gate)
    asked = Count(gate)
    last = Latest(gate.body.flight)
    seen = Value(str, "")
    told = Value(str, "")
    tally = Request(None, int)
    slow = Request(float, str)
    way = Request(list[str], list[str])
    mixed = Request(str, Any)
    close = Command()
    hold = Command(float)

    @gate.handler
    def on_gate(self, query: Query) -> Gate:
        self.seen = query.flight
        if query.flight == "refused":
            raise Reject("no gate for it")
        if query.flight == "broken":
            raise RuntimeError("out of order")
        if query.flight == "wrong":
            return {"name": "A1"}  # type: ignore[return-value]
        self.at(Log).line(f"{query.flight} at {self.params.code}")
        return Gate(f"A{query.size}")

    @seen.changed
    def on_seen(self, new: str) -> None:
        if new == "late":
            raise RuntimeError("in a changed handler")
        self.told = new

    @tally.handler
    def on_tally(self) -> int:
        return self.asked

    @slow.handler
    async def on_slow(self, seconds: float) -> str:
        await asyncio.sleep(seconds)
        self.seen = "slow"
        return self.params.code

    @way.handler
    async def on_way(self, over: list[str]) -> list[str]:
        """Asks on, over the airports that are named."""
        if not over:
            return [self.params.code]
        return [self.params.code, *await self.at(Airport, over[0]).way(over[1:])]

    @mixed.handler
    def on_mixed(self, what: str) -> Any:
        return {"a list": [1, 2], "none": None, "set": {1}}[what]

    @close.handler
    def on_close(self) -> None:
        self.delete()

    @hold.handler
    async def on_hold(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self.delete()


@app.twin("/log")
class Log(Twin):
    line = Command(str)
    lines = Count(line)


@app.twin("/plane/{id}")
class Plane(Twin):
    land = Command(str)
    by_uri = Command(str)
    plain = Command(str)
    wait = Command(float)
    several = Command()
    where = Value(str, "")

    @land.handler
    async def on_land(self, code: str) -> None:
        try:
            self.where = (await self.at(Airport, code).gate(Query(self.params.id))).name
        except Reject as refusal:
            self.where = f"refused: {refusal}"

    @by_uri.handler
    async def on_by_uri(self, uri: str) -> None:
        gate: Gate = await self.at(uri).gate({"flight": self.params.id, "size": 7})
        self.where = gate.name

    @plain.handler
    def on_plain(self, code: str) -> None:
        self.at(Airport, code).gate(Query("x"))

    @wait.handler
    async def on_wait(self, seconds: float) -> None:
        try:
            self.where = await self.at(Airport, "x").slow(seconds)
        except AskTimeout as error:
            self.where = str(error)

    @several.handler
    async def on_several(self) -> None:
        asked = [self.at(Airport, code).gate(Query(self.params.id, size)) for size, code in enumerate("abc")]
        self.where = " ".join(gate.name for gate in await asyncio.gather(*asked))


def lenient() -> Kit:
    return app.test(strict=False)


def balanced(t: Kit) -> None:
    for counts in (t.shard.inner_counts(), t.shard.outside_counts()):
        assert counts.read == counts.applied + counts.dead + counts.waiting
        assert counts.waiting == 0


def test_a_test_asks_and_the_turn_is_like_any_other() -> None:
    with app.test() as t:
        airport = t.at(Airport, "x")
        assert t.run(airport.gate(Query("LH1", 3))) == Gate("A3")
        assert (airport.asked, airport.last, airport.seen, airport.told) == (1, "LH1", "LH1", "LH1")
        assert t.at(Log).lines == 1
        assert t.run(airport.tally()) == 1
        assert t.run(airport.tally(None)) == 1
        balanced(t)


def test_a_twin_asks_another_one() -> None:
    with app.test() as t:
        t.at(Plane, "1").land("x")
        assert t.at(Plane, "1").where == "A1"
        # a known lane by its address is asked as well; the query is by its type
        t.at(Plane, "1").by_uri("/airport/y")
        assert t.at(Plane, "1").where == "A7"
        t.at(Plane, "2").several()
        assert t.at(Plane, "2").where == "A0 A1 A2"
        # the three questions and both before, with a command each to the log; and nothing is left over
        assert t.shard.inner_counts().applied == 10
        balanced(t)


def test_a_refusal_comes_to_the_asker_as_it_is() -> None:
    with app.test() as t:
        t.at(Plane, "refused").land("x")
        assert t.at(Plane, "refused").where == "refused: no gate for it"
        assert t.rejected == ["/airport/x: no gate for it"]
        assert (t.at(Airport, "x").asked, t.at(Airport, "x").seen) == (0, "")
        with pytest.raises(Reject, match=r"^no gate for it$"):
            t.run(t.at(Airport, "x").gate(Query("refused")))
        balanced(t)


@pytest.mark.parametrize(
    ("flight", "reason"),
    [
        ("broken", r"gate of /airport/x: RuntimeError: out of order \(.*test_requests.py:\d+ in on_gate\)"),
        ("late", "in a changed handler"),
        ("wrong", r"Airport.gate answers with Gate, and its handler gave dict \{'name': 'A1'\}"),
    ],
)
def test_a_failed_turn_is_a_dead_letter_and_an_error_at_the_asker(flight: str, reason: str) -> None:
    with lenient() as t:
        with pytest.raises(AskFailed, match=reason):
            t.run(t.at(Airport, "x").gate(Query(flight)))
        (letter,) = t.dead_letters
        assert (letter.node, letter.lane, letter.kind) == ("/airport/x", "gate", "failed")
        assert msgspec.json.decode(letter.record) == {"flight": flight, "size": 1}
        assert (t.at(Airport, "x").asked, t.at(Airport, "x").seen) == (0, "")
        assert len(t.errors) == 1
        t.at(Plane, flight).land("x")
        # both turns have failed, and the asker's names the other one's reason
        assert [letter.node for letter in t.dead_letters[1:]] == ["/airport/x", f"/plane/{flight}"]
        assert t.dead_letters[1].origin == f"/plane/{flight}"
        assert t.dead_letters[2].reason.startswith("AskFailed: gate of /airport/x: ")
        balanced(t)


def test_an_answer_takes_its_time_on_the_apps_clock() -> None:
    with app.test() as t:
        assert t.run(t.at(Airport, "x").slow(3)) == "x"
        t.run(asyncio.sleep(10))
        assert t.now == datetime(2000, 1, 1, 0, 0, 13, tzinfo=UTC)
        t.at(Plane, "1").wait(4)
        t.advance("3.9 s")
        assert t.at(Plane, "1").where == ""
        t.advance("0.1 s")
        assert t.at(Plane, "1").where == "x"


def test_an_asker_gives_up_and_the_answer_is_dropped() -> None:
    with app.test() as t:
        with pytest.raises(AskTimeout, match=r"^slow of /airport/x has not answered within 2 s$"):
            t.run(t.at(Airport, "x").slow(4, timeout="2 s"))
        assert t.at(Airport, "x").seen == ""
        t.advance("2 s")
        # its turn is kept all the same
        assert t.at(Airport, "x").seen == "slow"
        balanced(t)


def test_an_asker_is_told_in_time_before_its_own_deadline() -> None:
    with lenient() as t:
        t.at(Airport, "x").hold(30)
        t.at(Plane, "1").wait(0)
        t.advance("5 s")
        assert t.at(Plane, "1").where == "slow of /airport/x has not answered within 4.95 s"


def test_a_circle_fails_at_once_and_is_named() -> None:
    with lenient() as t:
        for over, chain in (
            (["x"], "/airport/x → /airport/x"),
            (["y", "x"], "/airport/y → /airport/x → /airport/y"),
            (["y", "z", "y"], "/airport/z → /airport/y → /airport/z"),
        ):
            with pytest.raises(AskFailed, match=f"WouldDeadlock: {chain.split(' ')[0]} would wait for itself: {chain}"):
                t.run(t.at(Airport, "x").way(over))
        assert t.now == datetime(2000, 1, 1, tzinfo=UTC)
        assert any(isinstance(error, WouldDeadlock) for error in t.errors)
        # no circle: one twin twice, but not within one another
        assert t.run(t.at(Airport, "x").way(["y", "z"])) == ["x", "y", "z"]
        balanced(t)


def test_two_that_ask_one_another_from_turns_of_their_own_are_a_circle_as_well() -> None:
    crossing = App("crossing")

    @crossing.twin("/one/{id}")
    class One(Twin):
        go = Command(str)
        value = Request(None, str)
        got = Value(str, "")

        @go.handler
        async def on_go(self, other: str) -> None:
            await asyncio.sleep(1)
            try:
                self.got = await self.at(One, other).value()
            except WouldDeadlock as error:
                self.got = str(error)

        @value.handler
        def on_value(self) -> str:
            return self.got

    with crossing.test() as t:
        t.at(One, "a").go("b")
        t.at(One, "b").go("a")
        t.advance("1 s")
        assert t.at(One, "b").got == "/one/b would wait for itself: /one/b → /one/a → /one/b"
        assert t.at(One, "a").got == t.at(One, "b").got
        assert t.now == datetime(2000, 1, 1, 0, 0, 1, tzinfo=UTC)


def test_a_plain_handler_is_told_to_be_async() -> None:
    with lenient() as t:
        t.at(Plane, "1").plain("x")
        (error,) = t.errors
        assert isinstance(error, AskFailed)
        assert "/plane/1: only an `async def` handler can wait for the answer of Airport.gate" in str(error)
        assert len(t.all(Airport)) == 0


def test_an_endless_chain_ends_at_max_hops() -> None:
    with lenient() as t, pytest.raises(AskFailed, match=r"3 times \(max_hops\)"):
        t.run(t.at(Airport, "0").way([str(number) for number in range(1, 12)]))


def test_no_more_questions_wait_than_max_asks() -> None:
    with app.test() as t:
        waiting = [t.at(Airport, str(number)).slow(1) for number in range(5)]
        with pytest.raises(AskFailed, match=r"5 requests wait for their answers already \(max_asks\)"):
            t.at(Airport, "6").slow(1)
        assert [t.run(answer) for answer in waiting] == ["0", "1", "2", "3", "4"]
        assert t.run(t.at(Airport, "6").slow(1)) == "6"


def test_no_more_wait_at_one_twin_than_busy_bound() -> None:
    with app.test() as t:
        waiting = [t.at(Airport, "x").slow(1) for _ in range(4)]
        for answer in waiting[:3]:
            assert t.run(answer) == "x"
        with pytest.raises(AskFailed, match=r"2 events wait already .* \(busy_bound\)"):
            t.run(waiting[3])
        balanced(t)


def test_requests_that_wait_for_a_twin_that_is_deleted_fail() -> None:
    with app.test() as t:
        t.at(Airport, "x").hold(1)
        with pytest.raises(AskFailed, match="tally of /airport/x: the twin has been deleted meanwhile"):
            t.run(t.at(Airport, "x").tally())
        assert len(t.all(Airport)) == 0
        # asked anew, it is another one
        assert t.run(t.at(Airport, "x").tally()) == 0
        balanced(t)


def test_a_reply_is_of_its_type_and_a_copy() -> None:
    with lenient() as t:
        assert t.run(t.at(Airport, "x").mixed("a list")) == [1, 2]
        assert t.run(t.at(Airport, "x").mixed("none")) is None
        assert t.run(t.at(Airport, "x").mixed("set")) == [1]
        with pytest.raises(WrongType, match=r"Airport\.gate"):
            t.at(Airport, "x").gate(5)  # type: ignore[arg-type]
        with pytest.raises(WrongType, match=r"Airport\.tally takes no body"):
            t.at(Airport, "x").tally(5)  # type: ignore[call-arg,arg-type]


@pytest.mark.parametrize(
    ("reply", "value", "back"),
    [
        (int, 3, 3),
        (float, 3, 3.0),
        (bytes, b"\x00", b"\x00"),
        (datetime, datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)),
        (Point, Point(1, 2), Point(1.0, 2.0)),
        (str | None, None, None),
        (None, None, None),
        (tuple[int, ...], (1, 2), (1, 2)),
        (dict[str, Gate], {"a": Gate("A1")}, {"a": Gate("A1")}),
        (int, "3", WrongType),
        (int, True, WrongType),
        (int, None, WrongType),
        (None, 1, WrongType),
        (float, float("nan"), WrongType),
        (list[int], [1, "2"], WrongType),
        (Gate, Gate(name=5), WrongType),  # type: ignore[arg-type]
        (datetime, datetime(2026, 1, 1), WrongType),
    ],
)
def test_replies_of_all_types(reply: Any, value: Any, back: Any) -> None:
    one = App("one")

    @one.twin("/one")
    class One(Twin):
        ask = Request(None, reply)
        later = Request(None, reply)

        @ask.handler
        def on_ask(self) -> Any:
            return value

        @later.handler
        async def on_later(self, query: None) -> Any:
            return value

    with one.test(strict=False) as t:
        for request in (t.at(One).ask, t.at(One).later):
            if back is WrongType:
                with pytest.raises(AskFailed, match="WrongType"):
                    t.run(request())
            else:
                found = t.run(request())
                assert (found, type(found)) == (back, type(back))


def test_declarations_that_cannot_be() -> None:
    def declared(query: Any, reply: Any, decorate: Callable[[Any, Any], Any]) -> None:
        one = App("one")

        @one.twin("/one")
        class One(Twin):
            ask = Request(query, reply)

            def on_ask(self, query: Any) -> Any: ...

            if decorate is not None:
                on_ask = decorate(ask, on_ask)

        one.declaration()

    for query, reply, decorate, reason in (
        (int, int, None, "One.ask.*nobody answers it"),
        (int, "int", lambda ask, fn: ask.handler(fn), "One.ask: its type is the text 'int'"),
        ("int", int, lambda ask, fn: ask.handler(fn), "One.ask: its type is the text 'int'"),
        (int, object, lambda ask, fn: ask.handler(fn), "One.ask: object cannot be encoded"),
        (int, int, lambda ask, fn: ask.handler(lambda self: 1), r"must take \(self, body\)"),
    ):
        with pytest.raises(DeclarationError, match=reason):
            declared(query, reply, decorate)  # type: ignore[arg-type]


def test_a_request_lane_takes_no_commands() -> None:
    with app.test() as t:
        t.post("/airport/x", "gate", {"flight": "LH1"})
        (reason,) = t.rejected
        assert "lane `gate` of Airport is a request lane, which takes no commands" in reason
        assert "await self.at(…).gate(query)" in reason


def test_another_server_is_not_asked_in_a_test() -> None:
    far = App("far")

    @far.twin("/one")
    class One(Twin):
        go = Command()
        got = Value(str, "")

        @go.handler
        async def on_go(self) -> None:
            try:
                await self.at("warp://elsewhere:9001/airport/x").gate({"flight": "LH1"})
            except AskFailed as error:
                self.got = str(error)
            self.at("warp://elsewhere:9001/airport/x").report(1)

    with far.test() as t:
        t.at(One).go()
        assert t.at(One).got == "gate of warp://elsewhere:9001/airport/x: a test asks no other servers"
        # what was awaited was no command
        assert [(sent.lane, sent.body) for sent in t.sent] == [("report", 1)]


def test_what_is_not_awaited_is_asked_all_the_same() -> None:
    one = App("one")
    kept: list[Awaitable[str]] = []

    @one.twin("/one/{id}")
    class One(Twin):
        go = Command()
        ask = Request(str, str)
        seen = Value(str, "")

        @go.handler
        async def on_go(self) -> None:
            kept.append(self.at(One, "b").ask("hello"))

        @ask.handler
        def on_ask(self, text: str) -> str:
            self.seen = text
            return text

    with one.test() as t:
        t.at(One, "a").go()
        assert t.at(One, "b").seen == "hello"
