"""Async handlers: one turn each, on the app's clock, seen by nobody until it is done."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from shoal import App, Command, Count, Latest, Map, Members, Reject, Sum, Twin, Value
from shoal.errors import DeclarationError, NotInTurn

app = App("asynchronous")


@app.twin("/thing/{id}")
class Thing(Twin):
    work = Command(float)
    fails = Command(str)
    both = Command()
    thread = Command()
    late = Command()
    stale = Command()
    set_ = Command(int, name="set")
    works = Count(work)
    last = Latest(work.body)
    x = Value(int, 0)
    log_ = Value(tuple[str, ...], ())
    entries = Map(str, int, 0)
    rounds = Value(int, 0)
    group = Value(str, "g")

    @work.handler
    async def on_work(self, seconds: float) -> None:
        self.x += 1
        self.entries["n"] += 1
        self.log_ = (*self.log_, f"{seconds:g}: works {self.works} last {self.last:g} x {self.x}")
        self.at(Sink).take(self.params.id)
        await asyncio.sleep(seconds)
        self.x += 10
        self.after("1 s", self.ring)

    @fails.handler
    async def on_fails(self, how: str) -> None:
        self.x = 99
        self.entries["n"] = 99
        self.at(Sink).take("never")
        self.after("1 s", self.ring)
        await asyncio.sleep(1)
        match how:
            case "reject":
                raise Reject("no")
            case "cancel":
                raise asyncio.CancelledError
            case "timeout":
                async with asyncio.timeout(0.5):
                    await asyncio.sleep(1)
        raise ValueError("broken")

    @both.handler
    async def on_both(self) -> None:
        async def add(seconds: float) -> None:
            await asyncio.sleep(seconds)
            self.x += 1

        await asyncio.gather(add(1), add(3), add(2))
        async with asyncio.TaskGroup() as group:
            group.create_task(add(1))

    @thread.handler
    async def on_thread(self) -> None:
        self.x = await asyncio.to_thread(lambda: 41 + (threading.current_thread() is not threading.main_thread()))

    @set_.handler
    def on_set(self, x: int) -> None:
        self.log_ = (*self.log_, f"set {x}")

    @x.changed
    def on_x(self, new: int) -> None:
        self.rounds += 1

    def ring(self) -> None:
        self.log_ = (*self.log_, "ring")


@app.twin("/sink")
class Sink(Twin):
    take = Command(str)
    taken = Count(take)


@app.twin("/group/{id}")
class Group(Twin):
    things = Members(Thing, by=Thing.group)
    x = Sum(Thing.x, over=things)


def test_nothing_of_it_is_seen_before_it_ends_and_all_of_it_after() -> None:
    with app.test() as t:
        t.at(Thing, "1").set_(0)
        t.at(Thing, "1").work(4.0)
        one = t.at(Thing, "1")
        assert (one.x, one.works, one.log_, one.entries, one.rounds, len(t.all(Sink))) == (0, 0, ("set 0",), {}, 0, 0)
        assert t.at(Group, "g").x == 0
        t.advance("3 s")
        assert (one.x, one.works) == (0, 0)
        t.advance("1 s")
        assert (one.x, one.works, one.entries, one.rounds) == (11, 1, {"n": 1}, 1)
        # a turn has one time, and its timers count from it: this one was due three seconds ago
        assert one.log_ == ("set 0", "4: works 1 last 4 x 1", "ring")
        assert (t.at(Sink).taken, t.at(Group, "g").x) == (1, 11)


@pytest.mark.parametrize(
    ("how", "kind", "reason"),
    [
        ("reject", "rejected", "no"),
        ("cancel", "failed", "CancelledError"),
        ("timeout", "failed", "TimeoutError"),
        ("", "failed", "ValueError: broken"),
    ],
)
def test_a_failure_undoes_all_of_it(how: str, kind: str, reason: str) -> None:
    with app.test(strict=False) as t:
        t.at(Thing, "1").set_(0)
        t.at(Thing, "1").fails(how)
        t.advance("2 s")
        (letter,) = t.dead_letters
        assert (letter.kind, letter.node, letter.lane) == (kind, "/thing/1", "fails")
        assert letter.reason.startswith(reason)
        assert len(t.errors) == (kind == "failed")
        t.advance("1 min")
        one = t.at(Thing, "1")
        assert (one.x, one.entries, one.log_, len(t.all(Sink))) == (0, {}, ("set 0",), 0)
        assert t.shard.in_flight() == 0


def test_its_twin_takes_no_other_event_meanwhile_and_then_all_in_order() -> None:
    with app.test() as t:
        t.at(Thing, "1").work(2.0)
        t.at(Thing, "1").set_(1)
        t.at(Thing, "1").work(1.0)
        t.at(Thing, "1").set_(2)
        t.at(Thing, "2").set_(3)
        assert t.at(Thing, "2").log_ == ("set 3",)
        t.advance("2 s")
        assert t.at(Thing, "1").log_ == ("2: works 1 last 2 x 1", "set 1")
        t.advance("1 s")
        lines = [line for line in t.at(Thing, "1").log_ if line != "ring"]
        assert lines == ["2: works 1 last 2 x 1", "set 1", "1: works 2 last 1 x 12", "set 2"]


def test_twins_work_at_the_same_time() -> None:
    with app.test() as t:
        for id in "abc":
            t.at(Thing, id).work(4.0)
        t.advance("4 s")
        assert [thing.x for thing in t.all(Thing)] == [11, 11, 11]


def test_gather_and_task_groups_belong_to_the_turn() -> None:
    with app.test() as t:
        t.at(Thing, "1").both()
        t.advance("3 s")
        assert t.at(Thing, "1").x == 0
        t.advance("1 s")
        assert t.at(Thing, "1").x == 4


def test_a_thread_is_waited_for() -> None:
    with app.test() as t:
        t.at(Thing, "1").thread()
        assert t.at(Thing, "1").x == 42


def test_what_waits_at_the_end_of_a_test_never_happened() -> None:
    with app.test() as t:
        t.at(Thing, "1").work(60.0)
    assert t.dead_letters == []


def test_a_test_may_wait_for_its_own_coroutine_on_the_apps_clock() -> None:
    with app.test() as t:

        async def wait() -> float:
            start = asyncio.get_running_loop().time()
            await asyncio.sleep(90)
            return asyncio.get_running_loop().time() - start

        assert t.run(wait()) == pytest.approx(90.0, abs=1e-3)
        assert t.now.minute == 1


def test_a_twin_is_not_written_after_its_turn() -> None:
    app = App("stale")
    tasks: list[Any] = []
    errors: list[BaseException] = []

    @app.twin("/one")
    class One(Twin):
        go = Command()
        x = Value(int, 0)

        @go.handler
        async def on_go(self) -> None:
            async def later() -> None:
                await asyncio.sleep(10)
                for act in acts:
                    try:
                        act(self)
                    except NotInTurn as error:
                        errors.append(error)

            tasks.append(asyncio.ensure_future(later()))
            self.x = 1

    acts: list[Callable[[Any], Any]] = [
        lambda one: setattr(one, "x", 2),
        lambda one: one.x,
        lambda one: one.after(1, one.ring) if hasattr(one, "ring") else one.delete(),
        lambda one: one.at(One).go(),
    ]
    with app.test() as t:
        t.at(One).go()
        assert t.at(One).x == 1
        t.advance("1 min")
        assert len(errors) == len(acts)
        assert t.at(One).x == 1


def test_deleting_in_an_async_turn() -> None:
    app = App("ends")

    @app.twin("/one")
    class One(Twin):
        go = Command()
        poke = Command()
        pokes = Count(poke)

        @go.handler
        async def on_go(self) -> None:
            self.delete()
            await asyncio.sleep(1)

    with app.test() as t:
        t.at(One).go()
        t.at(One).poke()
        assert len(t.all(One)) == 1
        t.advance("1 s")
        assert len(t.all(One)) == 1
        assert t.at(One).pokes == 1
        assert t.dead_letters == []


def test_timers_may_be_async_and_wait_for_their_turn() -> None:
    app = App("timers")

    @app.twin("/one")
    class One(Twin):
        go = Command()
        lines = Value(tuple[str, ...], ())

        @go.handler
        async def on_go(self) -> None:
            self.after("1 s", self.ring)
            await asyncio.sleep(0)

        async def ring(self) -> None:
            self.lines = (*self.lines, f"{self.now:%S}")
            if len(self.lines) < 3:
                self.after("1 s", self.ring)
            await asyncio.sleep(0.5)
            self.lines = (*self.lines, f"{self.now:%S}")

    with app.test() as t:
        t.at(One).go()
        t.advance("1 min")
        # a turn has one time, also when it lasts
        assert t.at(One).lines == ("01", "01", "02", "02")


@pytest.mark.parametrize("hook", ["on_create", "on_start", "on_stop"])
def test_hooks_may_not_be_async(hook: str) -> None:
    async def body(self: Any) -> None:
        pass

    with pytest.raises(DeclarationError, match=hook):
        type(Twin)("Thing", (Twin,), {hook: body})


def test_a_generator_is_no_handler() -> None:
    app = App("generators")

    @app.twin("/one")
    class One(Twin):
        go = Command()

        @go.handler
        def on_go(self) -> Any:
            yield 1

    with app.test(strict=False) as t:
        t.at(One).go()
        assert "generator" in str(t.errors[0])


def test_a_command_that_makes_the_twin_may_be_async_and_fail() -> None:
    with app.test(strict=False) as t:
        t.at(Thing, "new").fails("")
        t.advance("2 s")
        # the twin was made by a turn of its own, before
        assert [thing.x for thing in t.all(Thing)] == [0]
