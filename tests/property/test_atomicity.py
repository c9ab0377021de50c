"""A turn that fails leaves no trace, wherever it fails and whatever it fails of."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from property.cases import Case, cases, load, play, problems, send
from property.rig import Rig, State
from property.stage import ERRORS, Trip
from property.twins import build

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


@given(case=cases())
def test_a_turn_that_fails_leaves_no_trace(case: Case) -> None:
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
        for rig in (tried, plain):
            play(rig, case.after, len(case.before))
            rig.advance(100)
        assert tried.state == plain.state
        assert problems(tried) == problems(plain) == []
