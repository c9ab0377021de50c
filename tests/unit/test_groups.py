"""Groups: the live set of twins that name a twin, and what is rolled up over them."""

from typing import Any

import pytest

from shoal import Above, App, Command, Count, Latest, Max, Mean, Members, Min, Reject, Sum, Twin, Value

app = App("grid")


@app.twin("/meter/{id}")
class Meter(Twin):
    move = Command(str)
    read = Command(float)
    alert = Command(bool)
    leave = Command()
    end = Command()
    hush = Command()
    feeder = Value(str | None, None)
    power = Latest(read.body)
    loud = Value(bool, False)

    @move.handler
    def on_move(self, to: str) -> None:
        self.feeder = to

    @leave.handler
    def on_leave(self) -> None:
        self.feeder = None

    @alert.handler
    def on_alert(self, on: bool) -> None:
        self.loud = on

    @hush.handler
    def on_hush(self) -> None:
        self.loud = False

    @end.handler
    def on_end(self) -> None:
        self.delete()


@app.twin("/feeder/{feeder}")
class Feeder(Twin):
    assign = Command(str)
    hush = Command()
    tell = Command()
    station = Latest(assign.body)
    meters = Members(Meter, by=Meter.feeder)
    size = Count(over=meters)
    loud = Count(Meter.loud, over=meters)
    load = Sum(Meter.power, over=meters)
    mean = Mean(Meter.power, over=meters)
    low = Min(Meter.power, over=meters)
    high = Max(Meter.power, over=meters)
    over = Above(load, 100.0, clear=90.0)
    alarms = Value(int, 0)
    seen = Value(tuple[str, ...], ())

    @over.changed
    def on_over(self, new: bool) -> None:
        self.alarms += 1
        if self.load > 1_000:
            self.at(Station, "lost").note("never sent")
            raise Reject("too much")

    @hush.handler
    def on_hush(self) -> None:
        self.meters.each.hush()

    @tell.handler
    def on_tell(self) -> None:
        self.seen = (*sorted(self.meters), str(len(self.meters)), str("/meter/a" in self.meters))


@app.twin("/station/{id}")
class Station(Twin):
    note = Command(str)
    notes = Count(note)
    feeders = Members(Feeder, by=Feeder.station)
    load = Sum(Feeder.load, over=feeders)
    overloaded = Count(Feeder.over, over=feeders)


def fill(t: Any, **powers: float) -> None:
    for id, power in powers.items():
        t.at(Meter, id).read(power)
        t.at(Meter, id).move("f")


def test_roll_ups_follow_their_members() -> None:
    with app.test() as t:
        fill(t, a=1.0, b=2.0, c=6.0)
        f = t.at(Feeder, "f")
        assert (f.size, f.load, f.mean, f.low, f.high) == (3, 9.0, 3.0, 1.0, 6.0)
        t.at(Meter, "c").read(0.5)
        assert (f.load, f.low, f.high) == (3.5, 0.5, 2.0)


def test_a_member_that_moves_leaves_one_and_joins_the_other() -> None:
    with app.test() as t:
        fill(t, a=1.0, b=2.0)
        t.at(Meter, "b").move("g")
        assert (t.at(Feeder, "f").load, t.at(Feeder, "g").load) == (1.0, 2.0)
        assert list(t.at(Feeder, "g").meters) == ["/meter/b"]
        t.at(Meter, "b").leave()
        assert (t.at(Feeder, "g").size, list(t.at(Feeder, "g").meters)) == (0, [])


def test_over_no_member_sums_are_zero_and_the_rest_is_unset_again() -> None:
    from shoal.errors import Unset

    with app.test() as t:
        fill(t, a=0.1, b=0.2, c=0.3)
        for id in "abc":
            t.at(Meter, id).end()
        f = t.at(Feeder, "f")
        assert (f.size, f.load, f.loud) == (0, 0.0, 0)
        for lane in ("mean", "low", "high"):
            with pytest.raises(Unset, match=lane):
                getattr(f, lane)


def test_sums_that_come_and_go_leave_nothing() -> None:
    with app.test() as t:
        fill(t, a=1e16, b=1.0)
        t.at(Meter, "a").leave()
        assert t.at(Feeder, "f").load == 1.0
        t.at(Meter, "b").leave()
        assert t.at(Feeder, "f").load == 0.0


def test_members_whose_lane_is_unset_count_and_are_skipped() -> None:
    with app.test() as t:
        t.at(Meter, "a").move("f")
        assert (t.at(Feeder, "f").size, t.at(Feeder, "f").load) == (1, 0.0)
        fill(t, b=4.0)
        assert (t.at(Feeder, "f").size, t.at(Feeder, "f").mean) == (2, 4.0)


def test_count_of_a_bool_lane_counts_those_that_are_true() -> None:
    with app.test() as t:
        fill(t, a=1.0, b=1.0)
        t.at(Meter, "a").alert(True)
        t.at(Meter, "b").alert(True)
        t.at(Meter, "b").alert(False)
        assert t.at(Feeder, "f").loud == 1
        t.at(Meter, "a").end()
        assert t.at(Feeder, "f").loud == 0


def test_each_commands_all_members_and_no_other() -> None:
    with app.test() as t:
        fill(t, a=1.0, b=1.0, c=1.0)
        t.at(Meter, "c").move("g")
        for id in "abc":
            t.at(Meter, id).alert(True)
        t.at(Feeder, "f").hush()
        assert [m.uri for m in t.all(Meter) if m.loud] == ["/meter/c"]


def test_a_handler_sees_the_members() -> None:
    with app.test() as t:
        fill(t, b=1.0, a=1.0)
        t.at(Feeder, "f").tell()
        assert t.at(Feeder, "f").seen == ("/meter/a", "/meter/b", "2", "True")


def test_the_first_member_makes_the_group_and_deltas_go_two_levels_up() -> None:
    with app.test() as t:
        fill(t, a=60.0, b=60.0)
        t.at(Feeder, "f").assign("s")
        assert len(t.all(Feeder)) == 1
        assert (t.at(Station, "s").load, t.at(Station, "s").overloaded) == (120.0, 1)
        t.at(Meter, "a").read(10.0)
        assert (t.at(Station, "s").load, t.at(Station, "s").overloaded) == (70.0, 0)
        t.at(Meter, "a").move("g")
        t.at(Feeder, "g").assign("s")
        assert t.at(Station, "s").load == 70.0


def test_a_groups_handler_that_fails_keeps_the_folds() -> None:
    with app.test() as t:
        fill(t, a=60.0)
        t.at(Meter, "a").read(2_000.0)
        f = t.at(Feeder, "f")
        assert (f.load, f.over, f.alarms) == (2_000.0, True, 0)
        (letter,) = t.dead_letters
        assert (letter.kind, letter.reason, letter.node, letter.origin) == (
            "rejected",
            "too much",
            "/feeder/f",
            "members",
        )
        assert len(t.all(Station)) == 0
        t.at(Feeder, "f").assign("s")
        assert t.at(Station, "s").load == 2_000.0


def test_one_turn_of_the_group_for_a_whole_feed() -> None:
    with app.test() as t:
        for n in range(10):
            t.at(Meter, str(n)).move("f")
        t.feed(Meter.read, [{"id": str(n), "kw": 20.0} for n in range(10)])
        assert (t.at(Feeder, "f").load, t.at(Feeder, "f").alarms) == (200.0, 1)


def test_a_group_may_have_several_parameters() -> None:
    app = App("cells")

    @app.twin("/valve/{id}")
    class Valve(Twin):
        put = Command(tuple[str, str])
        site = Value(str, "")
        cell = Value(str, "")

        @put.handler
        def on_put(self, place: tuple[str, str]) -> None:
            self.site, self.cell = place

    @app.twin("/site/{site}/cell/{cell}")
    class Cell(Twin):
        valves = Members(Valve, by=(Valve.site, Valve.cell))
        size = Count(over=valves)

    with app.test() as t:
        t.at(Valve, "1").put(("s", "c/1"))
        t.at(Valve, "2").put(("s", "c/1"))
        t.at(Valve, "3").put(("s", "c2"))
        assert [(c.uri, c.size) for c in t.all(Cell)] == [("/site/s/cell/c%2F1", 2), ("/site/s/cell/c2", 1)]
        t.at(Valve, "1").put(("s", ""))
        assert t.at(Cell, "s", "c/1").size == 1
        assert len(t.all(Cell)) == 2


@pytest.mark.parametrize("name", ["", "..", "a\0b", "x" * 1_025])
def test_a_name_that_is_no_address_makes_no_group(name: str) -> None:
    with app.test() as t:
        t.at(Meter, "a").move(name)
        assert len(t.all(Feeder)) == 0
        t.at(Meter, "a").read(1.0)
        assert t.at(Meter, "a").feeder == name


def test_members_without_by_are_all_of_them_for_each_group() -> None:
    app = App("all")

    @app.twin("/bus/{id}")
    class Bus(Twin):
        report = Command(float)
        speed = Latest(report.body)

    @app.twin("/city")
    class City(Twin):
        buses = Members(Bus)
        size = Count(over=buses)
        fastest = Max(Bus.speed, over=buses)

    @app.twin("/viewer/{id}")
    class Viewer(Twin):
        look = Command()
        buses = Members(Bus)
        size = Count(over=buses)

    with app.test() as t:
        t.at(Bus, "1").report(3.0)
        assert (t.at(City).size, t.at(City).fastest) == (1, 3.0)
        assert len(t.all(Viewer)) == 0
        t.at(Viewer, "v").look()
        t.at(Bus, "2").report(4.0)
        t.at(Viewer, "w").look()
        assert [v.size for v in t.all(Viewer)] == [2, 2]
        assert list(t.at(Viewer, "w").buses) == ["/bus/1", "/bus/2"]


def test_a_group_of_its_own_class() -> None:
    app = App("tree")

    @app.twin("/node/{id}")
    class Node(Twin):
        join = Command(str)
        parent = Latest(join.body)
        weight = Value(int, 1)

    @app.twin("/root/{id}")
    class Root(Twin):
        nodes = Members(Node, by=Node.parent)
        weight = Sum(Node.weight, over=nodes)

    with app.test() as t:
        for id in "abc":
            t.at(Node, id).join("r")
        assert t.at(Root, "r").weight == 3
        assert isinstance(t.at(Root, "r").weight, int)


def test_a_deleted_group_is_made_again_by_its_members_next_change() -> None:
    app = App("again")

    @app.twin("/bus/{id}")
    class Bus(Twin):
        report = Command(float)
        line = Value(str, "l")
        speed = Latest(report.body)

    @app.twin("/line/{id}")
    class Line(Twin):
        end = Command()
        buses = Members(Bus, by=Bus.line)
        size = Count(over=buses)

        @end.handler
        def on_end(self) -> None:
            self.delete()

    with app.test() as t:
        t.at(Bus, "1").report(1.0)
        t.at(Line, "l").end()
        assert len(t.all(Line)) == 0
        t.at(Bus, "2").report(1.0)
        assert t.at(Line, "l").size == 2
