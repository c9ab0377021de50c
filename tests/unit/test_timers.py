"""Timers by method, and `@every`: when they run, in which order, and what they see."""

from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from runs import run

from shoal import App, Command, Count, Map, Reject, Twin, Value, every
from shoal.errors import NotInTurn, WrongType


class Event(msgspec.Struct):
    id: str
    t: float


def make() -> tuple[App[None], type]:
    app = App("timers")

    @app.twin("/thing/{id}")
    class Thing(Twin):
        event = Command(Event, time="t")
        set_ = Command(str, name="set")
        stop = Command()
        end = Command()
        fails = Command()
        rung = Value(tuple[str, ...], ())
        beats = Value(int, 0)
        seen = Count(event)

        def ring(self) -> None:
            self.rung = (*self.rung, f"ring {self.now:%H:%M:%S}")

        def chime(self) -> None:
            self.rung = (*self.rung, f"chime {self.now:%H:%M:%S}")

        @event.handler
        def on_event(self, event: Event) -> None:
            self.rung = (*self.rung, f"event {self.now:%H:%M:%S}")

        @set_.handler
        def on_set(self, delay: str) -> None:
            self.after(delay, self.ring)

        @stop.handler
        def on_stop_command(self) -> None:
            self.cancel(self.ring)

        @end.handler
        def on_end(self) -> None:
            self.delete()

        @fails.handler
        def on_fails(self) -> None:
            self.after("1 s", self.ring)
            self.cancel(self.ring)
            self.after("1 s", self.chime)
            raise Reject("no")

        @every("1 min")
        def beat(self) -> None:
            self.beats += 1

    return app, Thing


app, Thing = make()


def rung(t: object) -> list[str]:
    return list(t.at(Thing, "1").rung)  # type: ignore[attr-defined]


def test_a_timer_runs_once_at_its_time() -> None:
    with app.test() as t:
        t.at(Thing, "1").set_("30 s")
        t.advance("29 s")
        assert rung(t) == []
        t.advance("1 s")
        assert rung(t) == ["ring 00:00:30"]
        t.advance("1 h")
        assert len(rung(t)) == 1


def test_set_again_moves_it() -> None:
    with app.test() as t:
        t.at(Thing, "1").set_("30 s")
        t.advance("20 s")
        t.at(Thing, "1").set_("30 s")
        t.advance("20 s")
        assert rung(t) == []
        t.advance("10 s")
        assert rung(t) == ["ring 00:00:50"]
        t.at(Thing, "1").set_("30 s")
        t.at(Thing, "1").set_("5 s")
        t.advance("1 min")
        assert rung(t)[1:] == ["ring 00:00:55"]


def test_cancel_takes_it_back_and_without_one_does_nothing() -> None:
    with app.test() as t:
        t.at(Thing, "1").stop()
        t.at(Thing, "1").set_("30 s")
        t.at(Thing, "1").stop()
        t.advance("1 h")
        assert rung(t) == []


def test_a_failed_turn_sets_and_cancels_none() -> None:
    with app.test() as t:
        t.at(Thing, "1").set_("30 s")
        t.at(Thing, "1").fails()
        t.advance("1 min")
        assert rung(t) == ["ring 00:00:30"]


def test_a_timer_of_0_runs_after_the_turn_at_the_same_time() -> None:
    with app.test() as t:
        t.at(Thing, "1").set_("0 s")
        assert rung(t) == ["ring 00:00:00"]


def test_timers_of_a_deleted_twin_do_not_run_nor_wake_its_successor() -> None:
    with app.test() as t:
        t.at(Thing, "1").set_("30 s")
        t.at(Thing, "1").end()
        t.advance("10 s")
        t.at(Thing, "1").stop()
        t.advance("55 s")
        assert (rung(t), t.at(Thing, "1").beats) == ([], 0)
        t.advance("5 s")
        assert t.at(Thing, "1").beats == 1
        assert t.dead_letters == []


def test_every_runs_each_period_under_advance() -> None:
    with app.test() as t:
        t.at(Thing, "1").stop()
        t.advance("59 s")
        assert t.at(Thing, "1").beats == 0
        t.advance("1 s")
        assert t.at(Thing, "1").beats == 1
        t.advance(timedelta(hours=1))
        assert t.at(Thing, "1").beats == 61


def test_timers_run_in_the_order_of_their_times_across_twins() -> None:
    app = App("order")

    @app.twin("/thing/{id}")
    class Each(Twin):
        go = Command(int)

        @go.handler
        def on_go(self, seconds: int) -> None:
            self.after(seconds, self.ring)

        def ring(self) -> None:
            self.at(Log).add(f"{self.params.id} {self.now:%S}")

    @app.twin("/log")
    class Log(Twin):
        add = Command(str)
        lines = Value(tuple[str, ...], ())

        @add.handler
        def on_add(self, line: str) -> None:
            self.lines = (*self.lines, line)

    with app.test() as t:
        for id, seconds in (("a", 3), ("b", 1), ("c", 2), ("d", 1)):
            t.at(Each, id).go(seconds)
        t.advance(10)
        assert t.at(Log).lines == ("b 01", "d 01", "c 02", "a 03")
        assert t.now.second == 10


def test_timers_due_fire_before_the_record_that_moves_the_clock(tmp_path: Path) -> None:
    app, thing = make()
    lines = ['{"id": "1", "t": 1700000000}', '{"id": "2", "t": 1700000010}', '{"id": "1", "t": 1700000040}']
    with app.test() as t:
        t.post("/thing/1", "event", {"id": "1", "t": 1_700_000_000})
        t.at(thing, "1").set_("30 s")
        t.post("/thing/1", "event", {"id": "1", "t": 1_700_000_040})
        assert t.at(thing, "1").rung == ("event 22:13:20", "ring 22:13:50", "event 22:14:00")
    (tmp_path / "f.jsonl").write_text("\n".join(lines))
    app.ingest(str(tmp_path / "f.jsonl"), thing.event)  # type: ignore[attr-defined]
    assert run(app, tmp_path).twins["/thing/1"]["seen"] == 2


def test_every_fires_once_after_a_jump_in_a_replay(tmp_path: Path) -> None:
    app, thing = make()
    times = (0, 59, 60, 3_600, 3_601, 3_660)
    (tmp_path / "f.jsonl").write_text("".join(f'{{"id": "1", "t": {1_700_000_000 + t}}}\n' for t in times))
    app.ingest(str(tmp_path / "f.jsonl"), thing.event)  # type: ignore[attr-defined]
    done = run(app, tmp_path)
    # at 60, once for the 58 periods up to 3600, at 3660; those due later do not fire at the end
    assert done.twins["/thing/1"]["beats"] == 3
    assert done.totals.inner.applied == 3


def test_a_timer_method_takes_nothing_and_is_the_twins_own() -> None:
    app = App("wrong")

    @app.twin("/thing/{id}")
    class Wrong(Twin):
        go = Command(str)
        said = Map(str, str)

        @go.handler
        def on_go(self, what: str) -> None:
            timers = {"lambda": lambda: None, "hook": self.on_create, "arguments": self.on_go, "function": print}
            with pytest.raises(WrongType) as caught:
                self.after("1 s", timers[what])
            self.said[what] = str(caught.value)

    with app.test() as t:
        for what in ("lambda", "hook", "arguments", "function"):
            t.at(Wrong, "1").go(what)
            assert "timer" in t.at(Wrong, "1").said[what]


@pytest.mark.parametrize("delay", [-1, "1 fortnight", "", float("nan"), float("inf"), True, None])
def test_a_delay_is_a_span_of_time(delay: object) -> None:
    app = App("wrong")

    @app.twin("/one")
    class One(Twin):
        go = Command()

        @go.handler
        def on_go(self) -> None:
            self.after(delay, self.ring)  # type: ignore[arg-type]

        def ring(self) -> None:
            pass

    with app.test(strict=False) as t:
        t.at(One).go()
        assert [type(error) for error in t.errors] == [WrongType]


def test_only_the_twins_own_turn_sets_timers() -> None:
    app = App("outside")
    kept = []

    @app.twin("/one")
    class One(Twin):
        go = Command()

        @go.handler
        def on_go(self) -> None:
            kept.append(self)

        def ring(self) -> None:
            pass

    with app.test() as t:
        t.at(One).go()
        for call in (
            lambda twin: twin.after(1, twin.ring),
            lambda twin: twin.cancel(twin.ring),
            lambda twin: twin.delete(),
        ):
            with pytest.raises(NotInTurn):
                call(kept[0])
