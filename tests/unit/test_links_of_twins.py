"""Links of twins to lanes of other twins of the same shard."""

import asyncio
import random

import msgspec
import pytest

from shoal import (
    App,
    Command,
    Count,
    EventLink,
    Latest,
    Link,
    LinkInfo,
    Map,
    MapLink,
    Max,
    Reject,
    Sum,
    Supply,
    Twin,
    Value,
)
from shoal.errors import DeclarationError, Unset


class Where(msgspec.Struct, frozen=True):
    lat: float
    lon: float


class Fix(msgspec.Struct):
    speed: float
    stop: str | None = None


app = App("links")


@app.twin("/bus/{id}")
class Bus(Twin):
    report = Command(Fix)
    speed = Latest(report.body.speed)
    where = Value(Where | None, None)
    limit = Value(int, 50)
    stops = Map(str, int)
    move = Command(Where)
    scrap = Command()

    @report.handler
    def on_report(self, fix: Fix) -> None:
        if fix.stop is not None:
            self.stops[fix.stop] = self.stops.get(fix.stop, 0) + 1
        if fix.speed < 0:
            raise Reject("backwards")

    @move.handler
    def on_move(self, where: Where) -> None:
        self.where = where

    @scrap.handler
    def on_scrap(self) -> None:
        self.delete()


@app.twin("/desk/{id}")
class Desk(Twin):
    speed = Link(Bus.speed)
    top = Max(speed)
    updates = Count(speed)
    where = Link(Bus.where)
    limit = Link(int, lane="limit")
    stops = MapLink(Bus.stops)
    reports = EventLink(Bus.report)
    total = Sum(reports.body.speed)
    said = Value(tuple[str, ...], ())
    follow = Command(str)
    leave = Command()
    slow = Command(int)
    forget_stop = Command(str)
    fail_at = Value(float, -1.0)

    @follow.handler
    def on_follow(self, bus: str) -> None:
        for link in (self.speed, self.where, self.limit, self.stops, self.reports):
            link.open(Bus, bus)
        if bus == "rejected":
            raise Reject("not that one")

    @leave.handler
    def on_leave(self) -> None:
        for link in (self.speed, self.where, self.limit, self.stops, self.reports):
            link.close()

    @slow.handler
    def on_slow(self, limit: int) -> None:
        self.limit.set(limit)
        self.stops["depot"] = limit

    @forget_stop.handler
    def on_forget_stop(self, name: str) -> None:
        if name:
            del self.stops[name]
        else:
            self.stops.clear()

    @speed.changed
    def on_speed(self, new: float, old: float | None) -> None:
        self.said += (f"{old} to {new}",)
        if new == self.fail_at:
            raise ValueError("fails")

    @stops.changed
    def on_stop_count(self, key: str, new: int | None, old: int | None) -> None:
        self.said += (f"{key}: {old} to {new}",)

    @speed.linked
    def on_linked(self) -> None:
        self.said += ("linked",)

    @speed.synced
    def on_synced(self) -> None:
        assert self.speed.is_linked
        assert self.speed.is_synced
        self.said += (f"synced to {self.speed.target}",)

    @speed.unlinked
    def on_unlinked(self, reason: str) -> None:
        self.said += (f"unlinked: {reason}",)

    @speed.closed
    def on_closed(self) -> None:
        self.said += ("closed",)


def test_a_link_copies_the_present_state_and_then_every_change() -> None:
    with app.test() as t:
        t.at(Bus, "7").report(Fix(3.0, "a"))
        desk = t.at(Desk, "d")
        desk.follow("7")
        assert (desk.speed.value, dict(desk.stops), desk.limit.value, desk.updates) == (3.0, {"a": 1}, 50, 1)
        for speed in (9.0, 9.0, 4.0):
            t.at(Bus, "7").report(Fix(speed, "b"))
        t.at(Bus, "7").move(Where(1.0, 2.0))
        assert (desk.speed.value, desk.top, desk.updates) == (4.0, 9.0, 4)
        assert dict(desk.stops) == {"a": 1, "b": 3}
        assert desk.where.value == Where(1.0, 2.0)
        assert desk.total == 22.0
        assert desk.said == (
            "linked",
            "None to 3.0",
            "synced to /bus/7",
            "a: None to 1",
            "3.0 to 9.0",
            "b: None to 1",
            "b: 1 to 2",
            "9.0 to 4.0",
            "b: 2 to 3",
        )


def test_a_link_to_a_twin_that_does_not_exist_makes_it() -> None:
    with app.test() as t:
        t.at(Desk, "d").follow("new")
        assert [bus.uri for bus in t.all(Bus)] == ["/bus/new"]
        with pytest.raises(Unset):
            _ = t.at(Desk, "d").speed.value
        assert t.at(Desk, "d").where.value is None


def test_opening_belongs_to_the_turn() -> None:
    with app.test() as t:
        t.at(Desk, "d").follow("rejected")
        t.at(Bus, "rejected").report(Fix(1.0))
        desk = t.at(Desk, "d")
        assert (desk.speed.target, desk.said, desk.updates) == (None, (), 0)
        assert t.rejected == ["/desk/d: not that one"]


def test_a_refused_turn_of_the_linked_twin_tells_nothing() -> None:
    with app.test() as t:
        t.at(Desk, "d").follow("7")
        t.at(Bus, "7").report(Fix(-1.0, "a"))
        desk = t.at(Desk, "d")
        assert (desk.updates, desk.total, dict(desk.stops)) == (0, 0.0, {})


def test_a_handler_that_fails_undoes_what_it_did_and_the_copy_stays() -> None:
    with app.test(strict=False) as t:
        desk = t.at(Desk, "d")
        desk.follow("7")
        desk.fail_at = 5.0
        t.at(Bus, "7").report(Fix(5.0))
        assert desk.speed.value == 5.0
        assert desk.updates == 1
        assert desk.said == ("linked", "synced to /bus/7")
        assert [(letter.node, letter.lane, letter.kind) for letter in t.dead_letters] == [
            ("/desk/d", "speed", "failed")
        ]


def test_a_link_moves_and_closes() -> None:
    with app.test() as t:
        desk = t.at(Desk, "d")
        t.at(Bus, "7").report(Fix(1.0, "a"))
        t.at(Bus, "8").report(Fix(2.0, "b"))
        desk.follow("7")
        desk.follow("8")
        t.at(Bus, "7").report(Fix(11.0, "c"))
        assert (desk.speed.value, dict(desk.stops), desk.total) == (2.0, {"b": 1}, 0.0)
        desk.leave()
        t.at(Bus, "8").report(Fix(12.0, "d"))
        assert (desk.speed.value, desk.speed.target, desk.speed.is_linked) == (2.0, None, False)
        assert desk.said[-1] == "closed"


def test_writes_go_through_a_link_to_the_lane_that_owns_the_value() -> None:
    with app.test() as t:
        desk = t.at(Desk, "d")
        desk.follow("7")
        desk.slow(30)
        assert (t.at(Bus, "7").limit, desk.limit.value) == (30, 30)
        assert dict(t.at(Bus, "7").stops) == dict(desk.stops) == {"depot": 30}
        desk.forget_stop("depot")
        assert dict(t.at(Bus, "7").stops) == dict(desk.stops) == {}
        desk.slow(31)
        desk.forget_stop("")
        assert dict(t.at(Bus, "7").stops) == dict(desk.stops) == {}


def test_a_deleted_twin_ends_the_links_to_it() -> None:
    with app.test() as t:
        desk = t.at(Desk, "d")
        t.at(Bus, "7").report(Fix(1.0, "a"))
        desk.follow("7")
        t.at(Bus, "7").scrap()
        assert desk.said[-1] == "unlinked: the twin has been deleted"
        assert (desk.speed.target, desk.speed.is_linked, desk.speed.value) == (None, False, 1.0)
        t.at(Bus, "7").report(Fix(2.0))
        assert desk.speed.value == 1.0


def test_what_cannot_be_linked_fails_with_the_reason() -> None:
    own = App("failing")

    @own.twin("/bus/{id}")
    class Bus(Twin):
        stops = Map(str, int)
        _secret = Value(int, 0)

    @own.twin("/desk/{id}")
    class Desk(Twin):
        speed = Link(float, lane="speed")
        stops = Link(int, lane="stops")
        secret = Link(int, lane="_secret")
        why = Value(tuple[str, ...], ())
        follow = Command(str)

        @follow.handler
        def on_follow(self, uri: str) -> None:
            self.speed.open(uri)
            self.stops.open(uri)
            self.secret.open(uri)

        @speed.failed
        def on_failed(self, reason: str) -> None:
            self.why += (reason,)

    with own.test() as t:
        desk = t.at(Desk, "d")
        desk.follow("/bus/7")
        desk.follow("/nowhere")
        assert desk.why[0] == "Bus has no public lane `speed`"
        assert "/nowhere" in desk.why[1]
        assert t.rejected[:2] == [
            "/desk/d: `stops` of Bus is not a value lane",
            "/desk/d: Bus has no public lane `_secret`",
        ]
        assert desk.speed.target is None


def test_values_of_another_class_are_looked_at() -> None:
    own = App("types")

    @own.twin("/one/{id}")
    class One(Twin):
        where = Value(Where | None, None)
        set_where = Command(Where)

        @set_where.handler
        def on_where(self, where: Where) -> None:
            self.where = where

    @own.twin("/other/{id}")
    class Other(Twin):
        where = Value(tuple[str, ...], ("x",))

    @own.twin("/desk/{id}")
    class Desk(Twin):
        where = Link(Where, lane="where")
        follow = Command(str)

        @follow.handler
        def on_follow(self, uri: str) -> None:
            self.where.open(uri)

    with own.test() as t:
        t.at(One, "1").set_where(Where(1.0, 2.0))
        desk = t.at(Desk, "d")
        desk.follow("/one/1")
        t.at(One, "1").set_where(Where(3.0, 4.0))
        assert desk.where.value == Where(3.0, 4.0)
        assert desk.where.is_synced
        t.at(Other, "2")
        desk.follow("/other/2")
        assert desk.where.value == Where(3.0, 4.0)
        (letter,) = t.dead_letters
        assert (letter.node, letter.lane, letter.kind) == ("/desk/d", "where", "invalid")


def test_links_in_a_ring_end() -> None:
    own = App("ring")

    @own.twin("/a/{id}")
    class A(Twin):
        mine = Value(int, 0)
        theirs = Link(int, lane="mine")
        follow = Command(str)

        @follow.handler
        def on_follow(self, uri: str) -> None:
            self.theirs.open(uri)

        @theirs.changed
        def on_theirs(self, new: int) -> None:
            self.mine = new + 1

    with own.test() as t:
        t.at(A, "1").follow("/a/2")
        t.at(A, "2").follow("/a/1")
        assert t.rejected
        assert all("max_hops" in reason for reason in t.rejected)
        assert t.at(A, "1").mine < 100


def test_a_link_waits_for_the_async_turn_of_its_twin() -> None:
    own = App("async")

    @own.twin("/bus/{id}")
    class Bus(Twin):
        report = Command(int)
        speed = Latest(report.body)

    @own.twin("/desk/{id}")
    class Desk(Twin):
        speed = Link(Bus.speed)
        seen = Count(speed)
        at_end = Value(int | None, None)
        work = Command()
        follow = Command()

        @follow.handler
        def on_follow(self) -> None:
            self.speed.open(Bus, "7")

        @work.handler
        async def on_work(self) -> None:
            before = self.seen
            await asyncio.sleep(1.0)
            self.at_end = self.seen - before

    with own.test() as t:
        t.at(Desk, "d").follow()
        t.at(Desk, "d").work()
        t.at(Bus, "7").report(1)
        assert t.at(Desk, "d").seen == 0
        t.advance("2 s")
        assert (t.at(Desk, "d").at_end, t.at(Desk, "d").speed.value) == (0, 1)


def test_a_link_of_a_link_is_told_too() -> None:
    own = App("chain")

    @own.twin("/a/{id}")
    class A(Twin):
        report = Command(int)
        speed = Latest(report.body)

    @own.twin("/b/{id}")
    class B(Twin):
        speed = Link(A.speed)
        start = Command()

        @start.handler
        def on_start_command(self) -> None:
            self.speed.open(A, "1")

    @own.twin("/c/{id}")
    class C(Twin):
        speed = Link(B.speed)
        top = Max(speed)
        start = Command()

        @start.handler
        def on_start_command(self) -> None:
            self.speed.open(B, "1")

    with own.test() as t:
        t.at(B, "1").start()
        t.at(C, "1").start()
        t.at(A, "1").report(5)
        t.at(A, "1").report(2)
        assert (t.at(C, "1").speed.value, t.at(C, "1").top) == (2, 5)


def test_mistakes_are_found_when_the_class_is_made() -> None:
    class Bus(Twin):
        stops = Map(str, int)
        speed = Value(float, 0.0)
        _secret = Value(int, 0)

    with pytest.raises(DeclarationError, match="MapLink"):

        class One(Twin):
            stops = Link(Bus.stops)

    with pytest.raises(DeclarationError, match="which lane it links"):

        class Two(Twin):
            speed = Link(float)  # type: ignore[call-overload]

    with pytest.raises(DeclarationError, match="private"):

        class Three(Twin):
            secret = Link(Bus._secret)

    with pytest.raises(DeclarationError, match="no map"):

        class Four(Twin):
            speed = MapLink(Bus.speed)  # type: ignore[call-overload]


@pytest.mark.parametrize("seed", range(5))
def test_links_end_at_what_the_linked_lanes_are(seed: int) -> None:
    draw = random.Random(seed)
    speeds: dict[str, float] = {}
    stops: dict[str, dict[str, int]] = {}
    leads: dict[str, str] = {}
    with app.test() as t:
        for _ in range(400):
            bus, desk = draw.choice("123"), draw.choice("abc")
            match draw.randrange(6):
                case 0 | 1:
                    speed = float(draw.randrange(-1, 5))
                    stop = draw.choice(["x", "y", None])
                    t.at(Bus, bus).report(Fix(speed, stop))
                    if speed >= 0:
                        speeds[bus] = speed
                        if stop is not None:
                            own = stops.setdefault(bus, {})
                            own[stop] = own.get(stop, 0) + 1
                case 2 | 3:
                    t.at(Desk, desk).follow(bus)
                    leads[desk] = bus
                case 4:
                    t.at(Desk, desk).leave()
                    leads.pop(desk, None)
                case 5 if draw.random() < 0.3:
                    t.at(Bus, bus).scrap()
                    speeds.pop(bus, None)
                    stops.pop(bus, None)
                    leads = {each: to for each, to in leads.items() if to != bus}
        for each, to in leads.items():
            found = t.at(Desk, each)
            assert (found.speed.target, found.speed.is_synced) == (f"/bus/{to}", True)
            assert dict(found.stops) == stops.get(to, {})
            if to in speeds:
                assert found.speed.value == speeds[to]
            else:
                with pytest.raises(Unset):
                    _ = found.speed.value


def test_observers_hear_of_twins_that_link() -> None:
    own = App("observed")

    @own.twin("/bus/{id}")
    class Watched(Twin):
        speed = Value(float, 1.0)
        said = Value(tuple[str, ...], ())

        @speed.linked
        def on_linked(self, link: LinkInfo) -> None:
            self.said += (f"linked {link.remote!r} {link.lane} {type(self).speed.links(self)}",)

        @speed.unlinked
        def on_unlinked(self, link: LinkInfo) -> None:
            self.said += (f"unlinked {link.lane} {type(self).speed.links(self)}",)

    @own.twin("/desk/{id}")
    class Watching(Twin):
        speed = Link(Watched.speed)
        follow = Command(str)
        leave = Command()

        @follow.handler
        def on_follow(self, bus: str) -> None:
            self.speed.open(Watched, bus)

        @leave.handler
        def on_leave(self) -> None:
            self.speed.close()

    with own.test() as t:
        t.at(Watching, "a").follow("7")
        t.at(Watching, "b").follow("7")
        t.at(Watching, "a").follow("8")
        t.at(Watching, "b").leave()
        assert t.at(Watched, "7").said == (
            "linked '' speed 1",
            "linked '' speed 2",
            "unlinked speed 1",
            "unlinked speed 0",
        )


def test_items_of_a_supply_lane_come_once_and_in_order() -> None:
    own = App("supplied")

    @own.twin("/bus/{id}")
    class Pushing(Twin):
        alerts = Supply(str)
        report = Command(int)

        @report.handler
        def on_report(self, number: int) -> None:
            for each in range(number):
                self.alerts.push(f"{number}.{each}")
            if number == 3:
                raise Reject("not three")

    @own.twin("/desk/{id}")
    class Hearing(Twin):
        alerts = EventLink(Pushing.alerts)
        heard = Value(tuple[str, ...], ())
        follow = Command(str)

        @follow.handler
        def on_follow(self, bus: str) -> None:
            self.alerts.open(Pushing, bus)

        @alerts.handler
        def on_alert(self, alert: str) -> None:
            self.heard += (alert,)

    with own.test() as t:
        t.at(Pushing, "7").report(1)
        t.at(Hearing, "d").follow("7")
        for number in (2, 3, 1):
            t.at(Pushing, "7").report(number)
        assert t.at(Hearing, "d").heard == ("2.0", "2.1", "1.0")
