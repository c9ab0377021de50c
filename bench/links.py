"""Links: twin to twin in one shard, into a fold and into a handler; a join over 100,000 twins."""

import events
import msgspec
from measure import Sample, Stopwatch, drive, resident, start
from server import latency, server
from table import Row, ratio

from shoal import App, Command, Count, Join, Latest, Link, Max, Twin, Value

CONTENDERS = ["unlinked", "fold", "handler", "join", "one-hop", "two-hops"]
RUNS = 5
JOINED = 100_000
CHANGES = 1_000_000


class Fix(msgspec.Struct):
    id: str
    speed: float


def measure(contender: str) -> Sample:
    if contender == "one-hop":
        with server() as (port, pid):
            return latency(port, pid, "1000")
    if contender == "two-hops":
        with server() as (port, pid), server("mirror.py", far=port) as (mirror, _):
            return latency(port, pid, "1000", mirror)
    return join() if contender == "join" else linked(contender)


def linked(contender: str) -> Sample:
    """Each bus is linked by one desk, and each of its events is an update of the link."""
    app = App("links")

    @app.twin("/bus/{id}")
    class Bus(Twin):
        report = Command(Fix)
        speed = Latest(report.body.speed)

        def on_create(self) -> None:
            self.at(Desk, self.params.id).follow(self.uri)

    @app.twin("/desk/{id}")
    class Desk(Twin):
        follow = Command(str)
        speed = Link(Bus.speed)
        top = Max(speed)
        updates = Count(speed)

        @follow.handler
        def on_follow(self, uri: str) -> None:
            if contender != "unlinked":
                self.speed.open(uri)

        if contender == "handler":
            last = Value(float, 0.0)

            @speed.changed
            def on_speed(self, new: float) -> None:
                self.last = new

    app.ingest(str(events.w1()), Bus.report, key="id")
    ran = drive(start(app))
    desks = ran.twins(1)
    total = sum(ran.lane(desk, "updates", 1) for desk in desks)
    # the first event of each bus is in the state that the link begins with, or is told: once
    assert contender == "unlinked" or total == events.EVENTS, total
    return ran.spent.sample(events.EVENTS)


def join() -> Sample:
    """One city joins the speeds of 100,000 buses; then they change 1,000,000 times, each an entry of the join."""
    app = App("join")

    @app.twin("/bus/{id}")
    class Bus(Twin):
        report = Command(Fix)
        speed = Latest(report.body.speed)

    @app.twin("/city")
    class City(Twin):
        speeds = Join(Bus.speed)
        watch = Command()

        @watch.handler
        def on_watch(self) -> None:
            for number in range(JOINED):
                self.speeds.add(f"b{number}", Bus, f"b{number}")

    with app.test() as t:
        t.feed(Bus.report, [{"id": f"b{number}", "speed": 1.0} for number in range(JOINED)])
        changes = [{"id": f"b{(number * 7919) % JOINED}", "speed": float(number)} for number in range(CHANGES)]
        with Stopwatch() as before:
            t.feed(Bus.report, changes)
        memory = resident()
        with Stopwatch() as opening:
            t.at(City).watch()
        memory = resident() - memory
        with Stopwatch() as after:
            t.feed(Bus.report, changes)
        speeds = t.at(City).speeds
        assert len(speeds) == JOINED
        # no change is lost: the join is what the lanes are
        assert all(speeds[f"b{number}"] == t.at(Bus, f"b{number}").speed for number in range(0, JOINED, 97))
    return {
        "set_up": opening.wall,
        "bytes": memory / JOINED,
        "rate": CHANGES / after.cpu,
        "wall_rate": CHANGES / after.wall,
        "unjoined": CHANGES / before.cpu,
    }


def rows(medians: dict[str, Sample], loop: Sample) -> list[Row]:
    del loop
    made = []
    unlinked = medians["unlinked"]
    for contender, what, bar in (("fold", "two folds", 1_500_000), ("handler", "a Python handler", 500_000)):
        sample = medians[contender]
        cost = 1 / sample["rate"] - 1 / unlinked["rate"]
        made.append(
            Row(
                f"local link, twin to twin, into {what}",
                f"{1 / cost:,.0f}/s",
                f"≥ {bar:,}/s",
                1 / cost >= bar,
                f"what an update costs beside the event that makes it; all together "
                f"{sample['rate']:,.0f} events a CPU-second against {unlinked['rate']:,.0f} without the link",
            )
        )
    one, two = medians["one-hop"], medians["two-hops"]
    share = two["p50"] / one["p50"]
    made.append(
        Row(
            "remote link through a second Shoal, two hops, p50",
            ratio(share),
            "≤ 2 × one hop",
            share <= 2,
            f"p50 {two['p50']:.0f} µs against {one['p50']:.0f} µs, p99 {two['p99']:.0f} against {one['p99']:.0f} µs; "
            f"delivered {two['delivered']:.4f}",
        )
    )
    joined = medians["join"]
    made += [
        Row(
            "Join over 100,000 twins: linked",
            f"{joined['set_up']:.2f} s",
            "≤ 2 s",
            joined["set_up"] <= 2,
            "added by a handler, to the last entry of the join",
        ),
        Row(
            "memory of a link of it, its entry included",
            f"{joined['bytes']:.0f} bytes",
            "≤ 200 bytes",
            joined["bytes"] <= 200,
            "resident, before and after",
        ),
        Row(
            "changes of the joined lanes",
            f"{joined['rate']:,.0f}/s",
            "≥ 100,000/s",
            joined["rate"] >= 100_000,
            f"{ratio(joined['rate'] / joined['unjoined'])} of without the join; none is lost",
        ),
    ]
    return made
