"""The same events give the same lanes, however they come and whoever folds them."""

from __future__ import annotations

import json
import math
import select
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from property.meters import LANES, Reading, build, histories

from shoal import App, Command, Latest, Members, Sum, Twin, Unset
from shoal.settings import Settings
from shoal.sources import FileDecl, SourceDecl
from shoal.testing import Kit

pytestmark = pytest.mark.slow
MADE = build()


def lanes(kit: Kit, cls: Any) -> dict[str, dict[str, Any]]:
    """What can be read of all twins of a class, by URI parameter."""
    names = LANES if cls is not MADE.hall else ["size", "sum", "whole", "mean", "low", "high", "hot"]
    return {twin.params_text: twin.values for twin in (Seen(twin, names) for twin in kit.all(cls))}


class Seen:
    def __init__(self, twin: Any, names: list[str]) -> None:
        self.params_text = twin.uri.rpartition("/")[2]
        self.values = {name: self.read(twin, name) for name in names}

    def read(self, twin: Any, name: str) -> Any:
        try:
            return getattr(twin, name)
        except Unset:
            return Unset


def near(a: Any, b: Any) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        return math.isclose(a, b, rel_tol=1e-12, abs_tol=1e-9)
    return bool(a == b)


def assert_near(found: dict[str, dict[str, Any]], expected: dict[str, dict[str, Any]]) -> None:
    assert found.keys() == expected.keys()
    for twin, values in expected.items():
        for lane, value in values.items():
            assert near(found[twin][lane], value), f"{twin}.{lane}: {found[twin][lane]} is not {value}"


def state(kit: Kit) -> Any:
    """Of all meters, hidden state and timers included."""
    whole = json.loads(kit.shard.dump())
    return whole["populations"]["Folded"], whole["timers"], whole["now"]


def posted(kit: Kit, readings: list[Reading]) -> None:
    for reading in readings:
        kit.at(MADE.folded, reading.id).read(reading)


def from_file(kit: Kit, readings: list[Reading]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "readings.jsonl")
        path.write_bytes(b"".join(msgspec.json.encode(reading) + b"\n" for reading in readings))
        target = (MADE.folded.__shoal__.population, MADE.folded.read.number)
        declared = SourceDecl(
            name="file", file=FileDecl(str(path)), target=target, lane="", key={}, time="", filter=False, speed=None
        )
        number = kit.shard.ingest(msgspec.json.encode(declared), None, None)
        while kit.shard.counts(number).state == "open":
            assert select.select([kit.shard.fileno()], [], [], 10.0)[0], "the reader has gone quiet"
            kit.shard.woken()
            kit._settle()
        counts = kit.shard.counts(number)
        assert (counts.state, counts.applied) == ("done", len(readings))


@settings(max_examples=30)
@given(readings=histories(), size=st.integers(1, 70), turns=st.integers(1, 9))
def test_the_way_and_the_size_of_batches_change_nothing(readings: list[Reading], size: int, turns: int) -> None:
    usual = MADE.app.settings
    states, halls = [], []
    for way in ("posted", "fed", "file", "few turns a commit"):
        MADE.app.settings = Settings(commit_turns=turns) if way == "few turns a commit" else usual
        try:
            with MADE.app.test() as kit:
                match way:
                    case "posted":
                        posted(kit, readings)
                    case "file":
                        from_file(kit, readings)
                    case _:
                        for start in range(0, len(readings), size):
                            kit.feed(MADE.folded.read, readings[start : start + size])
                assert kit.dead_letters == []
                states.append(state(kit))
                halls.append(lanes(kit, MADE.hall))
        finally:
            MADE.app.settings = usual
    for other_state, other_halls in zip(states[1:], halls[1:], strict=True):
        assert other_state == states[0]
        # a hall that a meter passed through within one batch was never told
        assert_near(populated(other_halls), populated(halls[0]))


def populated(halls: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {name: values for name, values in halls.items() if values["size"]}


@settings(max_examples=40)
@given(readings=histories(), wait=st.sampled_from([0.0, 1.0, 25.0]))
def test_folds_do_what_the_same_folds_in_python_do(readings: list[Reading], wait: float) -> None:
    with MADE.app.test() as kit:
        for reading in readings:
            kit.at(MADE.folded, reading.id).read(reading)
            kit.at(MADE.written, reading.id).read(reading)
            assert_near(lanes(kit, MADE.folded), lanes(kit, MADE.written))
        kit.advance(wait)
        assert_near(lanes(kit, MADE.folded), lanes(kit, MADE.written))


def recounted(kit: Kit) -> dict[str, dict[str, Any]]:
    """Every hall that has members, from what its members are now."""
    meters = list(lanes(kit, MADE.folded).values())
    halls: dict[str, dict[str, Any]] = {}
    for name in {meter["hall"] for meter in meters if meter["hall"] is not Unset}:
        members = [meter for meter in meters if meter["hall"] == name]
        reals = [meter["last"] for meter in members if meter["last"] is not Unset]
        halls[name] = {
            "size": len(members),
            "sum": math.fsum(reals),
            "whole": sum(meter["whole"] for meter in members),
            "mean": math.fsum(reals) / len(reals) if reals else Unset,
            "low": min(reals, default=Unset),
            "high": max((meter["high"] for meter in members), default=Unset),
            "hot": sum(meter["hot"] for meter in members),
        }
    return halls


EMPTY = {"size": 0, "sum": 0.0, "whole": 0, "mean": Unset, "low": Unset, "high": Unset, "hot": 0}


@settings(max_examples=40)
@given(data=st.data())
def test_roll_ups_are_what_a_recount_of_the_members_gives(data: st.DataObject) -> None:
    readings = data.draw(histories(30))
    with MADE.app.test() as kit:
        while readings:
            size = data.draw(st.integers(1, 5))
            kit.feed(MADE.folded.read, readings[:size])
            readings = readings[size:]
            if data.draw(st.booleans()):
                gone = data.draw(st.sampled_from([twin.params.id for twin in kit.all(MADE.folded)] or ["a"]))
                kit.at(MADE.folded, gone).end()
            expected = recounted(kit)
            found = lanes(kit, MADE.hall)
            assert_near(found, {name: expected.get(name, EMPTY) for name in found})
            assert expected.keys() <= found.keys()


def test_a_roll_up_that_could_not_be_held_follows_its_members_again() -> None:
    app = App("large")

    @app.twin("/part/{id}")
    class Part(Twin):
        put = Command(float)
        size = Latest(put.body)
        end = Command()

        @end.handler
        def on_end(self) -> None:
            self.delete()

    @app.twin("/whole")
    class Whole(Twin):
        parts = Members(Part)
        size = Sum(Part.size, over=parts)

    with app.test() as kit:
        kit.at(Part, "a").put(-1.7e308)
        kit.at(Part, "b").put(1.0)
        # the difference is beyond float64, the sum is not
        kit.at(Part, "a").put(1.7e308)
        assert kit.at(Whole).size == 1.7e308
        assert kit.rejected == []
        # now the sum is, and the lane stays as it was
        kit.at(Part, "b").put(1.7e308)
        assert kit.at(Whole).size == 1.7e308
        assert len(kit.dead_letters) == 1
        kit.at(Part, "b").put(2.0)
        kit.at(Part, "a").put(3.0)
        assert kit.at(Whole).size == 5.0
        for id in "ab":
            kit.at(Part, id).put(1.7e308)
        kit.at(Part, "c").put(4.0)
        for id in "ab":
            kit.at(Part, id).end()
        assert kit.at(Whole).size == 4.0
