"""Joins: live maps of lanes of many twins."""

import random

import pytest

from shoal import App, Command, Count, Join, JoinMap, Latest, Map, Members, Twin, Value

app = App("joins")


@app.twin("/bus/{id}")
class Bus(Twin):
    report = Command(float)
    speed = Latest(report.body)
    line = Value(str | None, None)
    stops = Map(str, int)
    stop = Command(str)
    unstop = Command(str)
    scrap = Command()

    @stop.handler
    def on_stop_at(self, name: str) -> None:
        self.stops[name] = self.stops.get(name, 0) + 1

    @unstop.handler
    def on_unstop(self, name: str) -> None:
        del self.stops[name]

    @scrap.handler
    def on_scrap(self) -> None:
        self.delete()


@app.twin("/line/{id}")
class Line(Twin):
    buses = Members(Bus, by=Bus.line)
    speeds = Join(Bus.speed, over=buses)
    stops = JoinMap(Bus.stops, over=buses)
    writes = Count(speeds)
    said = Value(tuple[str, ...], ())

    @speeds.changed
    def on_speed(self, key: str, new: float | None, old: float | None) -> None:
        self.said += (f"{key}: {old} to {new}",)


@app.twin("/city")
class City(Twin):
    speeds = Join(Bus.speed)
    by_number = Join(Bus.speed, key=int)
    stops = JoinMap(Bus.stops)
    watch = Command(str)
    unwatch = Command(str)
    owners = Value(tuple[str, ...], ())
    look = Command()

    @watch.handler
    def on_watch(self, bus: str) -> None:
        self.speeds.add(bus, Bus, bus)
        self.by_number.add(int(bus), self.at(Bus, bus))
        self.stops.add(bus, f"/bus/{bus}")

    @unwatch.handler
    def on_unwatch(self, bus: str) -> None:
        self.speeds.remove(bus)
        self.by_number.remove(int(bus))
        self.stops.remove(bus)

    @look.handler
    def on_look(self) -> None:
        self.owners = tuple(f"{key} of {self.stops.owner(key)}" for key in self.stops)


def test_a_join_holds_one_lane_of_each_twin_that_was_added() -> None:
    with app.test() as t:
        city = t.at(City)
        t.at(Bus, "1").report(1.0)
        for bus in ("1", "2"):
            city.watch(bus)
        assert (dict(city.speeds), city.speeds.targets) == ({"1": 1.0}, {"1": "/bus/1", "2": "/bus/2"})
        t.at(Bus, "2").report(2.0)
        t.at(Bus, "3").report(3.0)
        assert dict(city.speeds) == {"1": 1.0, "2": 2.0}
        assert dict(city.by_number) == {1: 1.0, 2: 2.0}
        assert city.speeds.owner("2") == "/bus/2"
        city.unwatch("1")
        t.at(Bus, "1").report(9.0)
        assert (dict(city.speeds), city.speeds.targets) == ({"2": 2.0}, {"2": "/bus/2"})
        t.at(Bus, "2").scrap()
        assert (dict(city.speeds), dict(city.by_number), city.speeds.targets) == ({}, {}, {})


def test_a_target_that_is_not_there_cannot_be_removed() -> None:
    with app.test(strict=False) as t:
        t.at(City).unwatch("1")
        assert isinstance(t.errors[0], KeyError)


def test_a_union_of_maps_knows_who_has_set_each_entry() -> None:
    with app.test() as t:
        city = t.at(City)
        city.watch("1")
        city.watch("2")
        t.at(Bus, "1").stop("a")
        t.at(Bus, "1").stop("b")
        t.at(Bus, "2").stop("b")
        t.at(Bus, "2").stop("c")
        assert dict(city.stops) == {"a": 1, "b": 1, "c": 1}
        city.look()
        assert city.owners == ("a of /bus/1", "b of /bus/2", "c of /bus/2")
        # it is the other's entry now
        t.at(Bus, "1").unstop("b")
        assert "b" in city.stops
        city.unwatch("2")
        assert dict(city.stops) == {"a": 1}
        t.at(Bus, "1").scrap()
        assert dict(city.stops) == {}


def test_a_join_over_members_follows_who_joins_and_leaves() -> None:
    with app.test() as t:
        for bus in ("1", "2"):
            t.at(Bus, bus).report(float(bus))
            t.at(Bus, bus).line = "N"
            t.at(Bus, bus).stop(f"stop {bus}")
        line = t.at(Line, "N")
        assert dict(line.speeds) == {"/bus/1": 1.0, "/bus/2": 2.0}
        assert dict(line.stops) == {"stop 1": 1, "stop 2": 1}
        assert line.stops.owner("stop 2") == "/bus/2"
        t.at(Bus, "1").report(5.0)
        assert line.speeds["/bus/1"] == 5.0
        t.at(Bus, "1").line = "S"
        assert (dict(line.speeds), dict(line.stops)) == ({"/bus/2": 2.0}, {"stop 2": 1})
        assert dict(t.at(Line, "S").speeds) == {"/bus/1": 5.0}
        t.at(Bus, "2").scrap()
        t.at(Bus, "1").report(6.0)
        assert (dict(line.speeds), dict(line.stops)) == ({}, {})
        assert line.said == (
            "/bus/1: None to 1.0",
            "/bus/2: None to 2.0",
            "/bus/1: 1.0 to 5.0",
            "/bus/1: 5.0 to None",
            "/bus/2: 2.0 to None",
        )
        assert line.writes == 5


def test_a_join_over_all_twins_of_a_class_is_that_of_every_group() -> None:
    whole = App("whole")

    @whole.twin("/bus/{id}")
    class Each(Twin):
        report = Command(float)
        speed = Latest(report.body)

    @whole.twin("/view/{id}")
    class View(Twin):
        all_of_them = Members(Each)
        speeds = Join(Each.speed, over=all_of_them)
        touch = Command()

    with whole.test() as t:
        t.at(Each, "1").report(1.0)
        t.at(View, "late").touch()
        t.at(Each, "2").report(2.0)
        assert dict(t.at(View, "late").speeds) == {"/bus/1": 1.0, "/bus/2": 2.0}
        t.at(View, "later").touch()
        assert dict(t.at(View, "later").speeds) == {"/bus/1": 1.0, "/bus/2": 2.0}


@pytest.mark.parametrize("seed", range(5))
def test_joins_end_at_what_the_linked_lanes_are(seed: int) -> None:
    draw = random.Random(seed)
    speeds: dict[str, float] = {}
    lines: dict[str, str] = {}
    stops: dict[str, dict[str, int]] = {}
    watched: set[str] = set()
    with app.test() as t:
        for _ in range(300):
            bus = str(draw.randrange(6))
            match draw.randrange(7):
                case 0 | 1:
                    speeds[bus] = float(draw.randrange(100))
                    t.at(Bus, bus).report(speeds[bus])
                case 2:
                    lines[bus] = draw.choice("NS")
                    t.at(Bus, bus).line = lines[bus]
                case 3:
                    name = f"{bus}{draw.choice('ab')}"
                    own = stops.setdefault(bus, {})
                    own[name] = own.get(name, 0) + 1
                    t.at(Bus, bus).stop(name)
                case 4:
                    watched.add(bus)
                    t.at(City).watch(bus)
                case 5 if bus in watched:
                    watched.remove(bus)
                    t.at(City).unwatch(bus)
                case 6 if draw.random() < 0.3:
                    t.at(Bus, bus).scrap()
                    watched.discard(bus)
                    for each in (speeds, lines, stops):
                        each.pop(bus, None)
        t.at(City).look()
        city = t.at(City)
        assert dict(city.speeds) == {bus: speeds[bus] for bus in watched if bus in speeds}
        union = {name: count for bus in watched for name, count in stops.get(bus, {}).items()}
        assert dict(city.stops) == union
        assert set(city.owners) == {f"{name} of /bus/{name[0]}" for name in union}
        for line in "NS":
            members = [bus for bus in lines if lines[bus] == line]
            if line in lines.values():
                found = t.at(Line, line)
                assert dict(found.speeds) == {f"/bus/{bus}": speeds[bus] for bus in members if bus in speeds}
                assert dict(found.stops) == {
                    name: count for bus in members for name, count in stops.get(bus, {}).items()
                }
