"""A write that raises in a handler that goes on is as if it had never been tried; a group's update is never refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from property.cases import HALLS, IDS, ops
from property.rig import Rig, State
from property.stage import ERRORS, Op, Trip
from property.twins import KINDS, LIMIT, MAPS, Design, build, designs

from shoal import Point

pytestmark = pytest.mark.slow

MISFITS: list[Op] = [
    ("refused", "flag", 1),
    ("refused", "number", 2**63),
    ("refused", "number", "7"),
    ("refused", "ratio", float("nan")),
    ("refused", "ratio", True),
    ("refused", "name", 7),
    ("refused", "blob", "text"),
    ("refused", "place", Point(91.0, 0.0)),
    ("refused", "pair", (1,)),
    ("refused", "tree", "note"),
    ("refused", "total", 1),
]


@st.composite
def scripts(draw: st.DrawFn) -> tuple[Design, tuple[Op, ...]]:
    """Operations among which some are refused."""
    design = draw(designs())
    good = ops(design).filter(lambda op: op[0] not in ("delete", "pause"))
    # the first write of such a number is taken, the second overflows the sums over the lane
    full: list[Op] = [
        ("write", "number", 2**62),
        ("refused", "number", 2**62),
        ("write", "ratio", 1.7e308),
        ("refused", "ratio", 1.7e308),
    ]
    entries: list[Op] = []
    for lane, (key, value) in zip(MAPS, design.maps, strict=True):
        keys = (
            draw(st.lists(KINDS[key].values, min_size=LIMIT + 1, max_size=LIMIT + 1, unique=True))
            if key != "flag"
            else []
        )
        new = draw(KINDS[value].values)
        entries += [("put", lane, each, new) for each in keys[:LIMIT]]
        entries += [("refused entry", lane, each, new) for each in keys[LIMIT:]]
    mixed = draw(st.lists(good | st.sampled_from(MISFITS), max_size=12))
    mixed = [op for op in mixed if op[1:2] not in (("number",), ("ratio",)) or op[0] == "refused"]
    cleared: list[Op] = [("clear", lane) for lane in MAPS]
    return design, (*mixed, *cleared, *entries, *full)


@settings(max_examples=30)
@given(case=scripts())
def test_a_refused_write_is_as_if_never_tried(case: tuple[Design, tuple[Op, ...]]) -> None:
    design, script = case
    made = build(design)
    made.stage.scripts = [script, tuple(op for op in script if not op[0].startswith("refused"))]
    states: list[State] = []
    for number in (0, 1):
        with Rig(made) as rig:
            rig.order("a", number, 1.0)
            rig.run()
            states.append(clean(rig.state))
            rig.advance(100)
            states.append(clean(rig.state))
            assert rig.errors == []
    assert states[:2] == states[2:]


def clean(state: State) -> State:
    """What was written and undone may be called changed: it goes to links as the value that it is."""
    for population in state["populations"].values():
        for twin in population["twins"]:
            del twin["dirty"]
    return state


small = st.integers(-5, 5)
hall_ops: st.SearchStrategy[Any] = st.one_of(
    st.tuples(st.just("write"), st.just("number"), small),
    st.tuples(st.just("put"), st.just("names"), st.sampled_from("xyz"), small),
    st.tuples(st.just("remove"), st.just("names"), st.sampled_from("xyz")),
    st.tuples(st.just("send"), st.sampled_from(IDS), small),
    st.tuples(st.just("send hall"), st.sampled_from(HALLS), small),
)


@settings(max_examples=20)
@given(
    design=designs(),
    reaction=st.lists(hall_ops, min_size=1, max_size=4).map(tuple),
    on_number=st.lists(hall_ops, max_size=2).map(tuple),
)
def test_a_group_keeps_its_members_deltas_and_nothing_of_a_failed_handler(
    design: Design, reaction: tuple[Op, ...], on_number: tuple[Op, ...]
) -> None:
    made = build(design._replace(watched=frozenset()))
    reactions = {"hall": reaction, "hall number": on_number}
    made.stage.scripts = [
        (("write", "hall", "h1"), ("write", "ratio", number / 7), ("write", "flag", number % 3 == 0))
        for number in range(200)
    ]
    with Rig(made) as tried, Rig(made) as plain:
        for number in range(200):
            made.stage.reactions = reactions
            trip = Trip(number // len(ERRORS), ERRORS[number % len(ERRORS)], made.hall)
            tried.order(IDS[number % 3], number)
            tried.run_tripped(trip)
            if trip.raised is None:
                assert number >= 2 * len(ERRORS)
                break
            made.stage.reactions = {}
            plain.order(IDS[number % 3], number)
            plain.run()
            assert tried.state == plain.state, f"{trip.error.__name__} at point {number // len(ERRORS)}"
