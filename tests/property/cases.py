"""Generated histories of generated twins."""

from __future__ import annotations

from typing import Any, NamedTuple

from hypothesis import strategies as st
from property.rig import Rig
from property.stage import Op
from property.twins import KINDS, MAPS, Design, Made, designs

IDS = ["a", "b", "c"]
HALLS = ["h1", "h2"]


class Event(NamedTuple):
    key: str
    ops: tuple[Op, ...]
    x: float | None
    slowly: bool
    # the clock moves so far before it
    wait: float


class Case(NamedTuple):
    design: Design
    # of `changed` handlers, hooks and timers, by lane or method
    reactions: dict[str, tuple[Op, ...]]
    before: tuple[Event, ...]
    event: Event
    after: tuple[Event, ...]


def ops(design: Design) -> st.SearchStrategy[Op]:
    def write(name: str) -> st.SearchStrategy[Op]:
        values = KINDS[name].values
        return st.tuples(st.just("write"), st.just(name), values | st.none() if name in design.optional else values)

    def entries(at: int) -> st.SearchStrategy[Op]:
        key, value = (KINDS[kind].values for kind in design.maps[at])
        lane = st.just(MAPS[at])
        return (
            st.tuples(st.just("put"), lane, key, value)
            | st.tuples(st.just("put"), lane, key, value)
            | st.tuples(st.just("remove"), lane, key)
            | st.tuples(st.just("clear"), lane)
        )

    every = [write(name) for name in KINDS]
    small = st.integers(-5, 5)
    timer = st.sampled_from(["tick", "tock"])
    return st.one_of(
        *every,
        st.tuples(st.just("write"), st.just("hall"), st.sampled_from([*HALLS, None])),
        entries(0),
        entries(1),
        st.tuples(st.just("send"), st.sampled_from([*IDS, "new", "newer"]), small),
        st.tuples(st.just("send hall"), st.sampled_from([*HALLS, "h3"]), small),
        st.tuples(st.just("send self"), small),
        st.just(("send nowhere",)),
        st.tuples(st.just("after"), timer, st.sampled_from([1, 10, 60])),
        st.tuples(st.just("cancel"), timer),
        st.just(("pause",)),
        st.just(("delete",)),
    )


@st.composite
def cases(draw: st.DrawFn) -> Case:
    design = draw(designs())
    op = ops(design)
    # a handler that reacts may not wait, delete or write without end
    reaction = op.filter(lambda each: each[0] not in ("pause", "delete"))
    names = [*sorted(design.watched), "tick", "tock", "on_create", "on_start", "on_stop"]
    reactions = {name: tuple(draw(st.lists(reaction, max_size=2))) for name in names}
    event = st.builds(
        Event,
        st.sampled_from(IDS),
        st.lists(op, min_size=1, max_size=8).map(tuple),
        st.none() | KINDS["ratio"].values,
        st.booleans(),
        st.sampled_from([0.0, 0.0, 1.0, 15.0]),
    )
    before = draw(st.lists(event, min_size=1, max_size=4).map(tuple))
    size = draw(st.integers(1, 20))
    tried = draw(event)._replace(ops=tuple(draw(st.lists(op, min_size=size, max_size=size))), wait=0.0)
    after = draw(st.lists(event, max_size=3).map(tuple))
    return Case(design, reactions, before, tried, after)


def load(made: Made, case: Case) -> None:
    """Gives the stage its scripts: the events' in their order, the tried one's last."""
    made.stage.scripts = [event.ops for event in (*case.before, *case.after, case.event)]
    made.stage.reactions = case.reactions


def play(rig: Rig, events: tuple[Event, ...], first_script: int) -> None:
    for number, event in enumerate(events, first_script):
        rig.advance(event.wait)
        send(rig, event, number)
        rig.run()


def send(rig: Rig, event: Event, script: int) -> None:
    rig.order(event.key, script, event.x, slowly=event.slowly)


def problems(rig: Rig) -> list[Any]:
    """Errors of handlers that no trip has raised."""
    return [error for error in rig.errors if "tripped" not in error.args]
