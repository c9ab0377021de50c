"""A turn that fails leaves no trace, wherever it fails and whatever it fails of."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from property.cases import Case, Event, cases, load, play, problems, send
from property.rig import Rig, State
from property.stage import ERRORS, Op, Trip
from property.twins import KEYS, KINDS, SAMPLES, Design, build

pytestmark = pytest.mark.slow


def fail_everywhere(rig: Rig, case: Case, script: int, before: State) -> None:
    """Posts the event again and again, failing at each point of its turn in each way, until it gets through."""
    for number in itertools.count():
        for error in ERRORS:
            trip = Trip(number, error)
            send(rig, case.event, script)
            rig.run_tripped(trip)
            if trip.raised is None:
                return
            assert rig.watched.state == before, f"before the commit, {error.__name__} at point {number}"
            assert rig.state == before, f"{error.__name__} at point {number}"


def fail_between(tried: Rig, plain: Rig, case: Case, script: int) -> None:
    """The event fails in the midst of a batch whose other turns are kept."""
    for rig in (tried, plain):
        for key in (case.event.key, "other"):
            rig.post(rig.made.cell, key, rig.made.cell.still)
        rig.run()
    for number, error in enumerate(ERRORS):
        for rig in (tried, plain):
            rig.post(rig.made.cell, case.event.key, rig.made.cell.still)
            rig.post(rig.made.cell, "other", rig.made.cell.still)
            if rig is tried:
                send(rig, case.event, script)
            rig.post(rig.made.cell, case.event.key, rig.made.cell.still)
        trip = Trip(number, error)
        if case.event.slowly or len(case.event.ops) < number:
            # an async turn ends in a batch of its own
            trip = Trip(0, error)
        tried.run_tripped(trip)
        plain.run()
        assert trip.raised is not None
        if not case.event.slowly:
            assert tried.watched.state == plain.watched.state
        assert tried.state == plain.state


@settings(max_examples=30)
@given(case=cases())
def test_a_turn_that_fails_leaves_no_trace(case: Case) -> None:
    check(case)


@pytest.mark.long
@settings(max_examples=1_000)
@given(case=cases())
def test_a_turn_that_fails_leaves_no_trace_in_many_cases(case: Case) -> None:
    check(case)


@pytest.mark.parametrize("optional", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_each_type_of_column_is_undone(kind: str, optional: bool) -> None:
    first, second = SAMPLES[kind]
    none = [("write", kind, None)] if optional else []
    ops = [("write", kind, second), *none, ("write", kind, first), ("write", kind, second)]
    check(one_event(plain_design(kind, optional), ("write", kind, first), *ops))


@pytest.mark.parametrize("value", KINDS)
@pytest.mark.parametrize("key", KEYS)
def test_each_type_of_map_is_undone_with_its_order(key: str, value: str) -> None:
    (one, two), (old, new) = SAMPLES[key], SAMPLES[value]
    design = plain_design("flag", False)._replace(maps=((key, value), (key, value)))
    ops = [
        ("put", "little", one, new),
        ("remove", "little", one),
        ("put", "large", one, new),
        ("put", "little", one, old),
        ("clear", "little"),
        ("put", "little", two, new),
        ("put", "little", one, new),
    ]
    check(one_event(design, ("put", "little", one, old), ("put", "little", two, old), *ops, known=2))


def plain_design(kind: str, optional: bool) -> Design:
    """One kind is watched and maybe optional."""
    some = frozenset([kind]) if optional else frozenset()
    maps = (("name", "number"), ("name", "number"))
    return Design(some, some, frozenset([kind]), ("sum", "mean", "held"), maps, hooks=False)


def one_event(design: Design, *ops: Op, known: int = 1) -> Case:
    """The first ``known`` operations are kept, the others tried; then all run again."""
    before, tried = (Event("a", each, 1.0, False, 0.0) for each in (ops[:known], ops[known:]))
    return Case(design, {}, (before,), tried, (before, tried))


def check(case: Case) -> None:
    """Plays the same history on two shards, of which one has tried the event in vain."""
    made = build(case.design)
    load(made, case)
    script = len(made.stage.scripts) - 1
    with Rig(made) as tried, Rig(made) as plain:
        for rig in (tried, plain):
            play(rig, case.before, 0)
        before = tried.state
        assert before == plain.state
        exists = any(twin["key"] == case.event.key for twin in before["populations"]["Cell"]["twins"])
        if not exists and not case.design.hooks:
            # such a twin is made before its first turn, which may fail
            for rig in (tried, plain):
                rig.post(made.cell, case.event.key, made.cell.still)
                rig.run()
            before = tried.state
        fail_everywhere(tried, case, script, before)
        send(plain, case.event, script)
        plain.run()
        assert tried.watched.state == plain.watched.state
        assert tried.state == plain.state
        fail_between(tried, plain, case, script)
        for rig in (tried, plain):
            play(rig, case.after, len(case.before))
            rig.advance(100)
        assert tried.state == plain.state
        assert problems(tried) == problems(plain) == []
