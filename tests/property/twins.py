"""Twin classes made from a description: every column type, maps, folds in chains, groups, `changed` handlers, hooks."""

from __future__ import annotations

import types
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
from hypothesis import strategies as st
from property.stage import Stage

from shoal import (
    Above,
    Alarm,
    App,
    Below,
    Command,
    Count,
    Ewma,
    History,
    Latest,
    Map,
    Max,
    Mean,
    Members,
    Min,
    Point,
    Sum,
    Twin,
    Value,
)


class Note(msgspec.Struct, frozen=True):
    """Kept as a tree."""

    text: str
    parts: tuple[int, ...] = ()


class Order(msgspec.Struct):
    script: int
    x: float | None = None


class Kind(NamedTuple):
    type: Any
    values: st.SearchStrategy[Any]


ints = st.integers(-(2**50), 2**50)
floats = st.floats(-1e9, 1e9, allow_nan=False)
# over and under the 12 bytes that a cell holds in place
texts = st.sampled_from(["", "a", "twelve bytes", "more than twelve bytes", "äöü€🚌 and so on and on"])
KINDS = {
    "flag": Kind(bool, st.booleans()),
    "number": Kind(int, ints),
    "ratio": Kind(float, floats),
    "name": Kind(str, texts),
    "blob": Kind(bytes, texts.map(str.encode)),
    "moment": Kind(
        datetime, st.datetimes(datetime(1980, 1, 1), datetime(2030, 1, 1)).map(lambda t: t.replace(tzinfo=UTC))
    ),
    "place": Kind(Point, st.builds(Point, st.floats(-90, 90), st.floats(-180, 180))),
    "pair": Kind(tuple[int, str], st.tuples(ints, texts)),
    "tree": Kind(Note, st.builds(Note, texts, st.lists(ints, max_size=3).map(tuple))),
}
KEYS = {name: KINDS[name] for name in ("number", "name", "blob", "moment", "flag")}

# two values of each kind, other than the defaults
SAMPLES: dict[str, tuple[Any, Any]] = {
    "flag": (True, False),
    "number": (7, -(2**40)),
    "ratio": (2.5, -1e9),
    "name": ("a", "more than twelve bytes"),
    "blob": (b"", b"more than twelve bytes"),
    "moment": (datetime(2020, 1, 1, tzinfo=UTC), datetime(2021, 2, 3, 4, 5, 6, 7, tzinfo=UTC)),
    "place": (Point(52.5, 13.4), Point(-90.0, 180.0)),
    "pair": ((2, "two"), (3, "")),
    "tree": (Note("twig", (1, 2)), Note("", (3,))),
}

CHAIN: dict[str, Callable[[Any], Any]] = {
    "latest": Latest,
    "sum": Sum,
    "mean": Mean,
    "min": Min,
    "max": Max,
    "alpha": lambda lane: Ewma(lane, alpha=0.3),
    "half": lambda lane: Ewma(lane, half_life="10 s"),
    "sliding": lambda lane: Mean(lane, last="30 s"),
    "whole": lambda lane: Max(lane, every="10 s"),
}
ENDS: dict[str, Callable[[Any], Any]] = {
    **CHAIN,
    "count": Count,
    "above": lambda lane: Above(lane, 10.0, clear=5.0),
    "held": lambda lane: Above(lane, 10.0, hold="20 s"),
    "below": lambda lane: Below(lane, 10.0, hold="5 s"),
    "few": lambda lane: Count(lane, last="20 s"),
}
FOLDS = [
    "first",
    "second",
    "third",
    "total",
    "peak",
    "steps",
    "seen",
    "mean_x",
    "last_x",
    "entries",
    "recent",
    "lately",
    "past",
    "alarm",
]
MAPS = ["little", "large"]
LIMIT = 3


class Design(NamedTuple):
    """What differs between the classes."""

    # kinds whose lane may be None
    optional: frozenset[str]
    # kinds whose lane is unset at first; the others have a default
    unset: frozenset[str]
    # lanes, folds and maps with a `changed` handler
    watched: frozenset[str]
    # of the three folds over `ratio`
    chain: tuple[str, str, str]
    # (kind of the keys, kind of the values) of each map
    maps: tuple[tuple[str, str], tuple[str, str]]
    hooks: bool


def designs() -> st.SearchStrategy[Design]:
    def some(names: list[str]) -> st.SearchStrategy[frozenset[str]]:
        return st.lists(st.sampled_from(names), unique=True).map(frozenset)

    entry = st.tuples(st.sampled_from(list(KEYS)), st.sampled_from(list(KINDS)))
    step = st.sampled_from(list(CHAIN))
    return st.builds(
        Design,
        some(list(KINDS)),
        some(list(KINDS)),
        some([*KINDS, *FOLDS, *MAPS]),
        st.tuples(step, step, st.sampled_from(list(ENDS))),
        st.tuples(entry, entry),
        st.booleans(),
    )


class Made(NamedTuple):
    """An app of one design."""

    app: App[None]
    stage: Stage
    cell: Any
    hall: Any
    floor: Any


DEFAULTS = {
    "flag": False,
    "number": 0,
    "ratio": 1.5,
    "name": "n",
    "blob": b"b",
    "moment": datetime(2000, 1, 1, tzinfo=UTC),
    "place": Point(1.0, 2.0),
    "pair": (1, "one"),
    "tree": Note("leaf"),
}


def build(design: Design) -> Made:
    """An app with cells, halls (groups of cells, by a lane) and one floor (the group of all cells)."""
    stage = Stage()
    app = App("property")

    def fill(names: dict[str, Any]) -> None:
        for name, kind in KINDS.items():
            declared = kind.type | None if name in design.optional else kind.type
            names[name] = Value(declared) if name in design.unset else Value(declared, DEFAULTS[name])
        names["hall"] = Value(str | None, None)
        for name, (key, value) in zip(MAPS, design.maps, strict=True):
            names[name] = Map(KINDS[key].type, KINDS[value].type, limit=LIMIT)
        names.update(tick=tick, tock=tock)
        names["do"], names["go"], names["poke"], names["still"] = (
            Command(Order),
            Command(Order),
            Command(int),
            Command(),
        )
        names["on_do"] = names["do"].handler(lambda self, order: stage.play(self, order.script))
        names["on_go"] = names["go"].handler(_coroutine(stage))
        names["on_poke"] = names["poke"].handler(lambda self, number: stage.poked(self, number))
        names["first"] = CHAIN[design.chain[0]](names["ratio"])
        names["second"] = CHAIN[design.chain[1]](names["first"])
        names["third"] = ENDS[design.chain[2]](names["second"])
        names["risky"] = Sum(names["ratio"])
        names["pulse"] = Count(names["still"])
        names["total"] = Sum(names["number"])
        names["peak"] = Max(names["total"])
        names["steps"] = Count(names["peak"])
        names["seen"] = Count(names["do"])
        names["mean_x"] = Mean(names["do"].body.x)
        names["last_x"] = Latest(names["go"].body.x)
        names["entries"] = Count(names["little"])
        names["recent"] = Sum(names["number"], last="40 s")
        names["lately"] = Count(names["do"], every="15 s")
        names["past"] = History(names["name"], last="25 s", count=3)
        names["alarm"] = Alarm(names["flag"], text="raised")
        for name in sorted(design.watched):
            names[f"on_{name}_changed"] = names[name].changed(_reaction(stage, name, entry=name in MAPS))
        if design.hooks:
            for hook in ("on_create", "on_start", "on_stop"):
                names[hook] = _hook(stage, hook)

    def tick(self: Any) -> None:
        stage.react(self, "tick")

    def tock(self: Any) -> None:
        stage.react(self, "tock")

    cell: Any = app.twin("/cell/{id}", types.new_class("Cell", (Twin,), {}, fill))

    @app.twin("/hall/{name}")
    class Hall(Twin):
        cells = Members(cell, by=cell.hall)
        size = Count(over=cells)
        total = Sum(cell.ratio, over=cells)
        mean = Mean(cell.ratio, over=cells)
        low = Min(cell.number, over=cells)
        high = Max(cell.ratio, over=cells)
        flags = Count(cell.flag, over=cells)
        smooth = Ewma(total, half_life="10 s")
        most = Max(smooth)
        number = Value(int, 0)
        names = Map(str, int)
        poke = Command(int)

        @poke.handler
        def on_poke(self, number: int) -> None:
            self.number += number

        @size.changed
        def on_size(self, new: int) -> None:
            stage.react(self, "hall")

        @total.changed
        def on_total(self, new: float) -> None:
            stage.react(self, "hall")

        @number.changed
        def on_number(self, new: int) -> None:
            stage.react(self, "hall number")

    @app.twin("/floor")
    class Floor(Twin):
        cells = Members(cell)
        size = Count(over=cells)
        peak = Max(cell.total, over=cells)

    stage.cell, stage.hall = cell, Hall
    return Made(app, stage, cell, Hall, Floor)


def _coroutine(stage: Stage) -> Callable[..., Any]:
    async def on_go(self: Any, order: Order) -> None:
        await stage.play_slowly(self, order.script)

    return on_go


def _reaction(stage: Stage, name: str, entry: bool) -> Callable[..., Any]:
    def lane(self: Any, new: Any, old: Any) -> None:
        stage.react(self, name)

    def map_entry(self: Any, key: Any, new: Any, old: Any) -> None:
        stage.react(self, name)

    return map_entry if entry else lane


def _hook(stage: Stage, name: str) -> Callable[..., Any]:
    def hook(self: Any) -> None:
        stage.react(self, name)

    return hook
