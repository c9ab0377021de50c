"""What the handlers of generated twins do: scripts of operations, before each of which the turn can be failed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from shoal import Map, OverLimit, ShoalError, Unset
from shoal.lanes.alarm import AlarmState
from shoal.lanes.lane import Lane

Op = tuple[Any, ...]
# what a handler may die of
ERRORS = (ValueError, asyncio.CancelledError, KeyboardInterrupt, MemoryError)


class Trip:
    """Raises at the ``number``-th point of the first turn that comes by, of a twin of ``cls`` where it is given."""

    def __init__(self, number: int, error: type[BaseException], cls: type | None = None) -> None:
        self.cls = cls
        self.left = number
        self.error = error
        self.turn: int | None = None
        self.raised: BaseException | None = None

    def point(self, twin: Any) -> None:
        if self.cls is not None and type(twin) is not self.cls:
            return
        turn = twin._sequence()
        if self.turn is None:
            self.turn = turn
        if turn != self.turn or self.raised is not None:
            return
        if self.left == 0:
            self.raised = self.error("tripped")
            raise self.raised
        self.left -= 1


class Stage:
    """The scripts and reactions of one app, by number and by lane."""

    cell: Any
    hall: Any

    def __init__(self) -> None:
        self.scripts: list[tuple[Op, ...]] = []
        self.reactions: dict[str, tuple[Op, ...]] = {}
        self.trip: Trip | None = None

    # -- what the handlers call

    def play(self, twin: Any, script: int) -> None:
        self._run(twin, self.scripts[script])

    async def play_slowly(self, twin: Any, script: int) -> None:
        for op in self.scripts[script]:
            self.point(twin)
            if op[0] == "pause":
                await asyncio.sleep(0)
            else:
                self._do(twin, op)
        self.point(twin)

    def react(self, twin: Any, name: str) -> None:
        self._run(twin, self.reactions.get(name, ()))

    def poked(self, twin: Any, number: int) -> None:
        twin.number = number
        self.point(twin)

    def point(self, twin: Any) -> None:
        if self.trip is not None:
            self.trip.point(twin)

    def _run(self, twin: Any, ops: tuple[Op, ...]) -> None:
        for op in ops:
            self.point(twin)
            self._do(twin, op)
        self.point(twin)

    def _do(self, twin: Any, op: Op) -> None:
        match op:
            case ("write", lane, value):
                setattr(twin, lane, value)
                assert getattr(twin, lane) == value
            case ("put", lane, key, value):
                entries = getattr(twin, lane)
                try:
                    entries[key] = value
                except OverLimit:
                    assert key not in entries
                else:
                    assert entries[key] == value
            case ("remove", lane, key):
                entries = getattr(twin, lane)
                entries.pop(key, None)
                assert key not in entries
            case ("clear", lane):
                getattr(twin, lane).clear()
                assert len(getattr(twin, lane)) == 0
            case ("send", key, number):
                twin.at(self.cell, key).poke(number)
            case ("send hall", key, number):
                twin.at(self.hall, key).poke(number)
            case ("send nowhere",):
                twin.at("/nowhere/at/all").poke(1)
            case ("send self", number):
                twin.poke(number)
            case ("after", timer, seconds):
                twin.after(seconds, getattr(twin, timer))
            case ("cancel", timer):
                twin.cancel(getattr(twin, timer))
            case ("delete",):
                twin.delete()
            case ("pause",):
                pass
            case ("refused", lane, value):
                refused(twin, lambda: setattr(twin, lane, value))
            case ("refused entry", lane, key, value):
                refused(twin, lambda: getattr(twin, lane).__setitem__(key, value))
            case _:
                raise AssertionError(f"no such operation: {op}")


def refused(twin: Any, write: Callable[[], None]) -> None:
    """A write that raises, and that the handler goes on after: nothing of it may be seen."""
    before = readable(twin)
    try:
        write()
    except (ShoalError, OverflowError, ValueError):
        assert readable(twin) == before
    else:
        raise AssertionError("the write was not refused")


def readable(twin: Any) -> dict[str, Any]:
    """All lanes of a twin, as its own handlers read them."""
    seen: dict[str, Any] = {}
    for name, lane in type(twin).__shoal__.lanes.items():
        if isinstance(lane, Map):
            seen[name] = getattr(twin, name).items()
        elif isinstance(lane, Lane):
            try:
                value = getattr(twin, name)
                seen[name] = (repr(value), value.since) if isinstance(value, AlarmState) else value
            except Unset:
                seen[name] = Unset
    return seen
