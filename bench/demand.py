"""What lanes cost that nobody has linked: a handler that writes one lane, in a class with a demand lane besides, with a
cue behind the write, with an item pushed to a supply lane.
"""

import statistics
from collections.abc import Callable
from typing import Any

from measure import Sample, drive, start
from table import Row

from shoal import App, Command, Demand, DemandMap, Supply, Twin, Value

CONTENDERS = ["rounds"]
RUNS = 5
EVENTS = 50_000  # of a contender in a round
ROUNDS = 21
RECORDS = [{"id": f"b{number % 1000:07}", "go": number} for number in range(EVENTS)]

COMPUTED = 0


def plain() -> App[None]:
    app = App("demand")

    @app.twin("/bus/{id}")
    class Bus(Twin):
        go = Command(int)
        speed = Value(int, 0)

        @go.handler
        def on_go(self, speed: int) -> None:
            self.speed = speed

    app.ingest(RECORDS, Bus.go)
    return app


def lane() -> App[None]:
    """The same class with a demand lane; nothing cues it."""
    app = App("demand")

    @app.twin("/bus/{id}")
    class Bus(Twin):
        go = Command(int)
        speed = Value(int, 0)
        nearest = Demand(int)

        @nearest.handler
        def compute(self) -> int:
            return computed(self.speed)

        @go.handler
        def on_go(self, speed: int) -> None:
            self.speed = speed

    app.ingest(RECORDS, Bus.go)
    return app


def cue() -> App[None]:
    app = App("demand")

    @app.twin("/bus/{id}")
    class Bus(Twin):
        go = Command(int)
        speed = Value(int, 0)
        nearest = Demand(int)

        @nearest.handler
        def compute(self) -> int:
            return computed(self.speed)

        @go.handler
        def on_go(self, speed: int) -> None:
            self.speed = speed
            self.nearest.cue()

    app.ingest(RECORDS, Bus.go)
    return app


def key() -> App[None]:
    """A cue of one key of a demand map."""
    app = App("demand")

    @app.twin("/bus/{id}")
    class Bus(Twin):
        go = Command(int)
        speed = Value(int, 0)
        rows = DemandMap(int, int)

        @rows.handler
        def compute(self, key: int) -> int:
            return computed(key)

        @go.handler
        def on_go(self, speed: int) -> None:
            self.speed = speed
            self.rows.cue(speed)

    app.ingest(RECORDS, Bus.go)
    return app


def push() -> App[None]:
    app = App("demand")

    @app.twin("/bus/{id}")
    class Bus(Twin):
        go = Command(int)
        speed = Value(int, 0)
        alerts = Supply(int)

        @go.handler
        def on_go(self, speed: int) -> None:
            self.speed = speed
            self.alerts.push(speed)

    app.ingest(RECORDS, Bus.go)
    return app


def computed(value: int) -> int:
    global COMPUTED
    COMPUTED += 1
    return value


# `again` is `plain` a second time: how far the two differ is what these rounds can tell
MADE: dict[str, Callable[[], App[Any]]] = {
    "plain": plain,
    "again": plain,
    "lane": lane,
    "cue": cue,
    "key": key,
    "push": push,
}


def measure(contender: str) -> Sample:
    """Short rounds in one process, each with all contenders, every round beginning with another; medians of what each
    has taken beside `plain` in the same round.
    """
    assert contender == "rounds"
    names = list(MADE)
    taken: dict[str, list[float]] = {name: [] for name in names}
    for number in range(-1, ROUNDS):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            spent = drive(start(MADE[name]())).spent.cpu / EVENTS * 1e9
            if number >= 0:  # the round before the first is not counted
                taken[name].append(spent)
    assert COMPUTED == 0, f"computed {COMPUTED} times for nobody"
    sample = {"plain": statistics.median(taken["plain"])}
    for name in names[1:]:
        pairs = list(zip(taken[name], taken["plain"], strict=True))
        sample[name] = statistics.median(mine / theirs for mine, theirs in pairs)
        sample[f"{name} ns"] = statistics.median(mine - theirs for mine, theirs in pairs)
    low, _, high = statistics.quantiles(
        (mine / theirs for mine, theirs in zip(taken["again"], taken["plain"], strict=True))
    )
    return {**sample, "low": low, "high": high}


def rows(medians: dict[str, Sample], loop: Sample) -> list[Row]:
    del loop
    sample = medians["rounds"]
    low, high = sample["low"], sample["high"]
    made = [
        Row(
            "a handler that writes a lane, against itself",
            f"{sample['again']:.3f} ×",
            "",
            None,
            f"{sample['plain']:.0f} ns an event; half of the rounds between {low:.3f} and {high:.3f} ×: "
            "what is nearer to 1 cannot be measured",
        )
    ]
    measures = [
        ("lane", "the same write beside a demand lane that nobody watches", high),
        ("cue", "and cue() of that lane", None),
        ("key", "and cue(key) of a demand map", None),
        ("push", "and push(item) to a supply lane that nobody has linked", None),
    ]
    for name, what, bar in measures:
        shown = "" if bar is None else f"≤ {bar:.3f} ×"
        reached = None if bar is None else sample[name] <= bar
        detail = f"{sample[f'{name} ns']:+.0f} ns an event; the lane's handler never ran"
        made.append(Row(what, f"{sample[name]:.3f} ×", shown, reached, detail))
    return made
