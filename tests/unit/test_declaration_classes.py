"""What a class declares, as data and as it runs: mixins, overriding, handlers, timers, addresses, groups."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from shoal import (
    Above,
    Alarm,
    App,
    Command,
    Count,
    Ewma,
    History,
    Latest,
    Local,
    Map,
    Max,
    Mean,
    Members,
    Min,
    NotInTurn,
    Reject,
    RemoteRead,
    Sum,
    Twin,
    Value,
    WrongType,
    every,
)
from shoal.declaration import Declaration, Population


class Fix(msgspec.Struct):
    speed: float
    stops: int = 0


def populations(app: App[Any]) -> list[Population]:
    return msgspec.json.decode(app.declaration()[0], type=Declaration).populations


class Moving(Twin):
    """A mixin: a twin class without a pattern."""

    report = Command(Fix)
    speed = Latest(report.body.speed)
    top = Max(speed)
    seen = Value(int, 0)

    @report.handler
    def on_report(self, fix: Fix) -> None:
        self.seen += 1
        self.note(fix)

    def note(self, fix: Fix) -> None: ...

    @top.changed
    def on_top(self, new: float, old: float | None) -> None: ...


class TestMixins:
    def test_each_class_has_its_own_lanes(self) -> None:
        app = App("x")

        @app.twin("/bus/{id}")
        class Bus(Moving):
            smooth = Ewma(Moving.speed, alpha=0.5)
            noted = Value(float, 0.0)

            def note(self, fix: Fix) -> None:
                self.noted = fix.speed

        @app.twin("/tram/{id}")
        class Tram(Moving):
            line = Value(str, "")

            def on_report(self, fix: Fix) -> None:
                super().on_report(fix)
                self.line = "1"

        assert Bus.speed is not Tram.speed
        assert Bus.speed.owner is Bus
        assert [column.name for column in populations(app)[0].columns] == ["speed", "top", "seen", "smooth", "noted"]
        with app.test() as t:
            t.at(Bus, 1).report(Fix(3.0))
            t.at(Bus, 1).report(Fix(5.0))
            t.at(Tram, 1).report(Fix(7.0))
            assert (t.at(Bus, 1).smooth, t.at(Bus, 1).top, t.at(Bus, 1).noted, t.at(Bus, 1).seen) == (4.0, 5.0, 5.0, 2)
            assert (t.at(Tram, 1).speed, t.at(Tram, 1).line, t.at(Tram, 1).seen) == (7.0, "1", 1)

    def test_a_replaced_lane_feeds_what_folds_it(self) -> None:
        app = App("x")

        class Bus(Moving):
            pass

        @app.twin("/bus/{id}")
        class Slow(Bus):
            raw = Latest(Bus.report.body.speed)
            speed = Min(raw)

        with app.test() as t:
            for speed in (5.0, 3.0, 4.0):
                t.at(Slow, 1).report(Fix(speed))
            assert (t.at(Slow, 1).raw, t.at(Slow, 1).speed, t.at(Slow, 1).top) == (4.0, 3.0, 5.0)

    def test_two_mixins_and_a_plain_one(self) -> None:
        app = App("x")

        class Steps:
            __slots__ = ()

            def step(self) -> int:
                return 2

        class Counted(Twin):
            go = Command()
            times = Value(int, 0)

            @go.handler
            def on_go(self) -> None:
                self.times += self.step()

            def step(self) -> int:
                return 1

        @app.twin("/bus/{id}")
        class Bus(Steps, Moving, Counted):
            both = Count(Moving.report)

        assert [lane.name for lane in populations(app)[0].commands] == ["go", "report"]
        with app.test() as t:
            t.at(Bus, 1).go()
            t.at(Bus, 1).report(Fix(1.0))
            assert (t.at(Bus, 1).times, t.at(Bus, 1).both, t.at(Bus, 1).seen) == (2, 1, 1)

    def test_a_handler_of_a_derived_class_for_a_lane_of_its_base(self) -> None:
        app = App("x")

        class Bare(Twin):
            go = Command()
            n = Value(int, 0)

        @app.twin("/a/{id}")
        class A(Bare):
            @Bare.go.handler
            def on_go(self) -> None:
                self.n = 1

        with app.test() as t:
            t.at(A, 1).go()
            assert t.at(A, 1).n == 1
        assert Bare.__shoal__._handlers == [None]


class TestData:
    def test_private_and_readonly_lanes_cannot_be_set_from_outside(self) -> None:
        app = App("x")

        @app.twin("/a/{id}")
        class A(Twin):
            free = Value(int, 0)
            shut = Value(int, 0, readonly=True)
            _own = Value(int, 0)
            entries = Map(str, int)
            fixed = Map(str, int, readonly=True)
            total = Sum(free)

        found = populations(app)[0]
        settable = {each.name: each.settable for each in found.columns}
        settable |= {each.name: each.settable for each in found.maps}
        assert settable == {
            "free": True,
            "shut": False,
            "_own": False,
            "total": False,
            "entries": True,
            "fixed": False,
        }

    def test_folds(self) -> None:
        app = App("x")

        @app.twin("/a/{id}")
        class A(Twin):
            report = Command(Fix)
            limit = Value(float, 5.0)
            speed = Latest(report.body.speed, 0.0)
            smooth = Ewma(speed, half_life="30 s")
            stops = Sum(report.body.stops)
            fast = Above(smooth, limit, hold="2 s")
            slow = Above(smooth, 3.0, clear=2.0)
            many = Count(report)
            writes = Count(limit)

        found = populations(app)[0]
        assert [column.type for column in found.columns] == ["float64"] * 3 + ["int64"] + ["bool"] * 2 + ["int64"] * 2
        assert [column.default for column in found.columns] == [5.0, 0.0, None, 0, False, False, 0, 0]
        assert [(fold.fold, fold.out, fold.input) for fold in found.folds] == [
            ("latest", 1, {"command": {"command": 0, "slots": [0]}}),
            ("ewma", 2, {"column": 1}),
            ("sum", 3, {"command": {"command": 0, "slots": [1]}}),
            ("above", 4, {"column": 2}),
            ("above", 5, {"column": 2}),
            ("count", 6, {"command": {"command": 0, "slots": []}}),
            ("count", 7, {"column": 0}),
        ]
        assert found.folds[1].half_life == 30_000_000
        assert (found.folds[3].limit, found.folds[3].hold) == ({"column": 0}, 2_000_000)
        assert (found.folds[4].limit, found.folds[4].clear) == ({"constant": 3.0}, 2.0)

    def test_groups(self) -> None:
        app = App("x")

        class Bus(Twin):
            line = Value(str)
            way = Value(str | None, None)
            speed = Value(float)
            fast = Above(speed, 20.0)

        @app.twin("/line/{line}/{way}")
        class Line(Twin):
            buses = Members(Bus, by=(Bus.line, Bus.way))
            size = Count(over=buses)
            mean = Mean(Bus.speed, over=buses)
            fast = Count(Bus.fast, over=buses)

        app.twin("/bus/{id}", Bus)
        members = populations(app)[0].members[0]
        assert (members.population, members.by) == (1, [0, 1])
        assert [(each.kind, each.column, each.out) for each in members.rollups] == [
            ("count", None, 0),
            ("mean", 2, 1),
            ("count", 3, 2),
        ]

    def test_methods(self) -> None:
        app = App("x")

        @app.twin("/a/{id}")
        class A(Twin):
            go = Command()
            report = Command(Fix)
            speed = Value(float)
            entries = Map(str, int)

            async def on_timer(self) -> None: ...

            @every("1 min")
            def beat(self) -> None: ...

            def helper(self, n: int) -> int:
                return n

            @report.handler
            async def on_report(self, fix: Fix) -> None: ...

            @entries.changed
            def on_entries(self, key: str, new: int | None, old: int | None) -> None: ...

            @speed.changed
            def on_speed(self, new: float, old: float | None = None) -> None: ...

            def on_stop(self) -> None: ...

            @staticmethod
            def free() -> None: ...

        found = populations(app)[0]
        assert [(lane.name, lane.handler) for lane in found.commands] == [("go", None), ("report", True)]
        assert [(timer.name, timer.every, timer.is_async) for timer in found.timers] == [
            ("on_timer", None, True),
            ("beat", 60_000_000, False),
        ]
        # in the order of the lanes, not of the handlers
        assert found.changed == [{"column": 0}, {"map": 0}]
        assert (found.hooks.create, found.hooks.start, found.hooks.stop) == (False, False, True)
        functions = A.__shoal__.functions(UTC)
        assert [count for _, count in functions.changed] == [2, 3]

    def test_an_app_that_nobody_runs_can_be_declared_twice(self) -> None:
        app = App("x")

        @app.twin("/a/{id}")
        class A(Twin):
            report = Command(Fix)
            total = Sum(report.body.speed)

        assert app.declaration()[0] == app.declaration()[0]


class TestTwin:
    def test_what_a_timer_may_be(self) -> None:
        app = App("x")

        @app.twin("/a/{id}")
        class A(Twin):
            go = Command()
            ticks = Value(int, 0)

            @go.handler
            def on_go(self) -> None:
                for method in (lambda: None, self.helper, self.on_create, print, A.tick):
                    with pytest.raises(WrongType, match=r"timer|takes arguments"):
                        self.after("1 s", method)  # type: ignore[arg-type]
                with pytest.raises(WrongType, match="no span of time"):
                    self.after("soon", self.tick)
                self.after(timedelta(seconds=1), self.tick)
                self.after(2, self.tick)

            def helper(self, n: int) -> None: ...

            def tick(self) -> None:
                self.ticks += 1

        with app.test() as t:
            t.at(A, 1).go()
            t.advance("1.5 s")
            assert t.at(A, 1).ticks == 0
            t.advance("1 s")
            assert t.at(A, 1).ticks == 1

    def test_addresses(self) -> None:
        app = App("x")
        other = App("y")

        @other.twin("/a/{id}")
        class Elsewhere(Twin):
            pass

        @app.twin("/a/{id}/{part}")
        class A(Twin):
            go = Command()
            fix = Command(Fix)
            n = Value(int, 0)

            @go.handler
            def on_go(self) -> None:
                wrong: list[tuple[Any, tuple[Any, ...], str]] = [
                    (A, ("1",), r"A is at /a/\{id\}/\{part\}: write at\(A, id, part\)"),
                    (A, ("1", 2.5), r"\{part\} of A is a text or a whole number, got 2\.5"),
                    (A, ("1", True), "got True"),
                    (Elsewhere, ("1",), "Elsewhere has no place in the app 'x'"),
                    (Fix, (), "takes a twin class"),
                    ("/a/1/2", ("1",), "is a whole URI and takes no parameters"),
                ]
                for cls, params, message in wrong:
                    with pytest.raises(WrongType, match=message):
                        self.at(cls, *params)
                with pytest.raises(RemoteRead, match=r"Members"):
                    _ = self.at(A, 1, 2).n
                with pytest.raises(WrongType, match=r"A\.fix takes one body, a Fix; got 0"):
                    self.at(A, 1, 2).fix()  # type: ignore[call-arg]
                with pytest.raises(WrongType, match=r"A\.go takes no body, got 3; declare it as Command\(int\)"):
                    self.at(A, 1, 2).go(3)  # type: ignore[call-arg]
                with pytest.raises(AttributeError, match=r"did you mean `part`"):
                    _ = self.params.pat
                with pytest.raises(WrongType, match="is a command: it is sent"):
                    self.fix = 3  # type: ignore[assignment]
                with pytest.raises(WrongType, match="is a command"):
                    self.go = 3  # type: ignore[assignment]
                self.n = len(self.params.part)

        with app.test() as t:
            t.at(A, 1, "ab/c").go()
            assert t.at(A, "1", "ab/c").n == 4
            assert t.at(A, 1, "ab/c").uri == "/a/1/ab%2Fc"

    def test_random_is_the_same_in_a_replay_and_another_in_each_turn(self) -> None:
        app = App("x")

        @app.twin("/a/{id}")
        class A(Twin):
            go = Command()
            numbers = Value(tuple[float, ...], ())

            @go.handler
            def on_go(self) -> None:
                self.numbers = (*self.numbers, self.random.random(), self.random.random())

        runs = []
        for _ in range(2):
            with app.test() as t:
                t.at(A, 1).go()
                t.at(A, 1).go()
                runs.append(t.at(A, 1).numbers)
        assert runs[0] == runs[1]
        assert len(set(runs[0])) == 4

    def test_now_is_in_the_app_s_zone(self) -> None:
        app = App("x", tz="Europe/Berlin")

        @app.twin("/a/{id}")
        class A(Twin):
            go = Command()
            when = Value(datetime | None, None)
            offset = Value(float, 0.0)

            @go.handler
            def on_go(self) -> None:
                self.when = self.now
                offset = self.now.utcoffset()
                assert offset is not None
                self.offset = offset.total_seconds()

        with app.test() as t:
            t.at(A, 1).go()
            assert t.at(A, 1).when == t.now
            assert t.at(A, 1).offset in (3600.0, 7200.0)

    def test_log_lines_name_the_twin(self, caplog: pytest.LogCaptureFixture) -> None:
        app = App("x")

        @app.twin("/a/{id}")
        class A(Twin):
            go = Command()

            @go.handler
            def on_go(self) -> None:
                self.log.warning("%d of %s", 3, "four")
                self.log.warning("100%")

        with caplog.at_level(logging.WARNING, "shoal.x"), app.test() as t:
            t.at(A, "ä").go()
        assert [record.getMessage() for record in caplog.records] == ["/a/%C3%A4: 3 of four", "/a/%C3%A4: 100%"]
        assert {record.funcName for record in caplog.records} == {"on_go"}

    def test_local_objects_stay_with_their_twin(self) -> None:
        app = App("x")

        @app.twin("/a/{id}")
        class A(Twin):
            go = Command()
            fail = Command()
            end = Command()
            seen = Local(list[int])
            n = Value(int, 0)

            @go.handler
            def on_go(self) -> None:
                self.seen.append(1)
                self.n = len(self.seen)

            @fail.handler
            def on_fail(self) -> None:
                self.seen.append(1)
                raise Reject("no")

            @end.handler
            def on_end(self) -> None:
                self.delete()

        with app.test() as t:
            t.at(A, 1).go()
            t.at(A, 2).go()
            t.at(A, 1).fail()
            t.at(A, 1).go()
            assert (t.at(A, 1).n, t.at(A, 2).n) == (3, 1)
            t.at(A, 1).end()
            t.at(A, 1).go()
            assert t.at(A, 1).n == 1


class TestAlarm:
    def test_its_life(self) -> None:
        app = App("x")

        @app.twin("/a/{id}")
        class A(Twin):
            raise_ = Command(str)
            calm = Command()
            jam = Alarm(severity="critical")
            changes = Value(int, 0)

            @raise_.handler
            def on_raise(self, text: str) -> None:
                self.jam.set(text)
                assert self.jam.active

            @calm.handler
            def on_calm(self) -> None:
                self.jam.clear()

            @jam.changed
            def on_jam(self, new: Any, old: Any) -> None:
                self.changes += 1
                with pytest.raises(NotInTurn):
                    new.set("again")

        with app.test() as t:
            a = t.at(A, 1)
            a.calm()
            assert (a.jam.active, a.jam.acked, a.jam.since, a.jam.text, a.changes) == (False, False, None, "", 0)
            a.raise_("stuck")
            since = t.now
            t.advance("1 s")
            a.raise_("stuck")
            assert (a.jam.active, a.jam.acked, a.jam.since, a.jam.text, a.changes) == (True, False, since, "stuck", 1)
            a.jam.ack(by="ann")
            assert (a.jam.acked, a.jam.by, a.changes) == (True, "ann", 2)
            a.raise_("stuck more")
            assert (a.jam.acked, a.jam.since, a.changes) == (False, since, 3)
            a.calm()
            assert (a.jam.active, a.jam.since, a.jam.text) == (False, None, "stuck more")
            with pytest.raises(NotInTurn, match=r"A\.jam\.set"):
                a.jam.set("x")

    def test_a_readonly_one_is_not_acknowledged_from_outside(self) -> None:
        app = App("x")

        @app.twin("/a/{id}")
        class A(Twin):
            go = Command()
            jam = Alarm(readonly=True)

            @go.handler
            def on_go(self) -> None:
                self.jam.set("x")

        with app.test() as t:
            t.at(A, 1).go()
            t.post("/a/1", "jam.ack", "ann")
            assert not t.at(A, 1).jam.acked


def test_every_lane_with_state_says_how_it_is_saved() -> None:
    app = App("app")

    @app.twin("/bus/{id}")
    class Bus(Twin):
        report = Command(Fix)
        speed = Latest(report.body.speed, save="sync")
        smooth = Ewma(speed, alpha=0.1, save="never")
        speeding = Above(smooth, 25.0, save="sync")
        reports = Count(report, save="never")
        last = History(speed, count=3, save="never")
        limit = Value(float, 0.0, save="sync")
        plain = Value(float, 0.0)
        alarm = Alarm(speeding, save="sync")
        stops = Map(str, int, save="never")
        routes = Map(str, int)

    @app.twin("/city")
    class City(Twin):
        buses = Members(Bus)
        speed = Mean(Bus.speed, over=buses, save="never")
        count = Count(over=buses, save="sync")

    bus, city = populations(app)
    assert {column.name: column.save for column in bus.columns} == {
        "speed": "sync",
        "smooth": "never",
        "speeding": "sync",
        "reports": "never",
        "last": "never",
        "limit": "sync",
        "plain": "async",
        "alarm": "sync",
    }
    assert {column.name: column.save for column in city.columns} == {"speed": "never", "count": "sync"}
    assert {table.name: table.save for table in bus.maps} == {"stops": "never", "routes": "async"}
