"""What stops a handler that does too much: its turn is undone and its event is a dead letter that names the bound."""

import asyncio
import time

import pytest

from shoal import App, Command, Count, Map, Twin, Value
from shoal.errors import DeclarationError
from shoal.settings import Settings
from shoal.testing import Kit

app = App("bounds", settings=Settings(handler_seconds=0.05, max_sends=10, max_hops=5, max_rounds=4, busy_bound=3))


@app.twin("/thing/{id}")
class Thing(Twin):
    spin = Command()
    swallow = Command()
    block = Command(float)
    flood = Command(int)
    hop = Command(str)
    ring = Command()
    fill = Command(int)
    wait = Command(float)
    hops = Count(hop)
    waits = Count(wait)
    x = Value(int, 0)
    y = Value(int, 0)
    z = Value(int, 0)
    few = Map(int, int, limit=3)

    @spin.handler
    def on_spin(self) -> None:
        self.x = 1
        while True:
            pass

    @swallow.handler
    def on_swallow(self) -> None:
        self.x = 1
        for _ in range(2):
            try:
                while True:
                    pass
            except Exception:
                pass

    @block.handler
    def on_block(self, seconds: float) -> None:
        self.x = 1
        time.sleep(seconds)

    @flood.handler
    def on_flood(self, n: int) -> None:
        self.x = 1
        for _ in range(n):
            self.at(Thing, "sink").hop("")

    @hop.handler
    def on_hop(self, to: str) -> None:
        if to:
            self.at(Thing, to).hop(self.params.id)

    @ring.handler
    def on_ring(self) -> None:
        self.y = 1

    @y.changed
    def on_y(self, new: int) -> None:
        self.z = new + 1

    @z.changed
    def on_z(self, new: int) -> None:
        self.y = new + 1

    @fill.handler
    def on_fill(self, n: int) -> None:
        self.x = 1
        for key in range(n):
            self.few[key] = key

    @wait.handler
    async def on_wait(self, seconds: float) -> None:
        self.x = 1
        await asyncio.sleep(seconds)


def the_letter(t: Kit, reason: str) -> None:
    (letter,) = t.dead_letters
    assert letter.kind == "limit"
    assert letter.node == "/thing/1"
    assert reason in letter.reason
    assert t.errors == []


def test_a_handler_that_never_returns_is_interrupted() -> None:
    with app.test() as t:
        t.at(Thing, "1").spin()
        the_letter(t, "handler_seconds")
        assert "in on_spin" in t.dead_letters[0].reason
        assert t.at(Thing, "1").x == 0
        t.at(Thing, "1").flood(1)
        assert t.at(Thing, "1").x == 1


def test_a_handler_that_swallows_the_interruption_is_interrupted_again_and_undone() -> None:
    with app.test() as t:
        t.at(Thing, "1").swallow()
        the_letter(t, "handler_seconds")
        assert t.at(Thing, "1").x == 0


def test_a_blocking_call_past_the_deadline_is_undone_when_it_returns() -> None:
    with app.test() as t:
        t.at(Thing, "1").block(0.2)
        the_letter(t, "handler_seconds")
        assert t.at(Thing, "1").x == 0
        t.at(Thing, "1").block(0.0)
        assert t.at(Thing, "1").x == 1


def test_a_turn_may_send_so_many_commands() -> None:
    with app.test() as t:
        t.at(Thing, "1").flood(10)
        assert t.at(Thing, "sink").hops == 10
        t.at(Thing, "1").flood(11)
        the_letter(t, "this turn has sent 10 commands, the most that one may send (max_sends)")
        assert t.at(Thing, "sink").hops == 10


def test_a_ring_of_commands_ends() -> None:
    with app.test() as t:
        t.at(Thing, "1").hop("2")
        (letter,) = t.dead_letters
        assert letter.kind == "limit"
        assert "max_hops" in letter.reason
        assert t.at(Thing, "1").hops + t.at(Thing, "2").hops == 6


def test_a_ring_of_changed_handlers_ends_and_names_the_lanes() -> None:
    with app.test() as t:
        t.at(Thing, "1").ring()
        the_letter(t, "`changed` handlers still change lanes after 4 rounds (max_rounds): y")
        assert (t.at(Thing, "1").y, t.at(Thing, "1").z) == (0, 0)


def test_entries_of_a_map_are_bounded() -> None:
    with app.test() as t:
        t.at(Thing, "1").fill(3)
        t.at(Thing, "1").fill(4)
        the_letter(t, "`few` has 3 entries, its limit; remove some, or raise it with Map(…, limit=…)")
        assert t.at(Thing, "1").few == {0: 0, 1: 1, 2: 2}


def test_an_async_handler_has_the_apps_clock_for_its_deadline() -> None:
    with app.test() as t:
        t.at(Thing, "1").wait(0.04)
        t.advance("1 s")
        assert (t.at(Thing, "1").x, t.dead_letters) == (1, [])
    with app.test() as t:
        t.at(Thing, "1").wait(0.06)
        assert t.dead_letters == []
        t.advance("1 s")
        the_letter(t, "handler_seconds")
        assert (t.at(Thing, "1").x, t.at(Thing, "1").waits) == (0, 0)


def test_events_that_wait_for_an_async_handler_are_bounded() -> None:
    with app.test() as t:
        for _ in range(5):
            t.at(Thing, "1").wait(0.01)
        the_letter(t, "3 events wait already for this twin's async handler (busy_bound)")
        t.advance("1 s")
        assert t.at(Thing, "1").waits == 4


# texts, and numbers of which 0 is none: test_settings.py
@pytest.mark.parametrize(
    "name",
    [
        name
        for name in Settings.__struct_fields__
        if name not in ("origins", "compression", "remote_ca", "remote_absent")
    ],
)
@pytest.mark.parametrize("value", [0, -1, float("nan"), "many"])
def test_a_bound_is_above_0(name: str, value: object) -> None:
    with pytest.raises(DeclarationError, match=name):
        App("app", settings=Settings(**{name: value}))
