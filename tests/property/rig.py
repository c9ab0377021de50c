"""A shard on its own, driven step by step, whose whole state can be compared between turns."""

from __future__ import annotations

import json
import re
from types import TracebackType
from typing import Any

from property.stage import Trip
from property.twins import Made, Order

from shoal._core import Shard
from shoal.testing import TestLoop
from shoal.turn import Runner

_BUDGET = 3_600_000_000

State = dict[str, Any]


class Uncommitted:
    """The shard as its runner sees it; keeps the state that each batch had before its commit."""

    def __init__(self, shard: Shard) -> None:
        self._shard = shard
        self.state: State = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._shard, name)

    def commit(self) -> int:
        self.state = state_of(self._shard)
        return self._shard.commit()


class Rig:
    def __init__(self, made: Made, commit_turns: int = 4_096) -> None:
        self.made = made
        data, classes, functions = made.app.declaration()
        changed = json.loads(data)
        # generated handlers answer commands with commands: without a low bound their number explodes
        changed["settings"] |= {"commit_turns": commit_turns, "max_hops": 2}
        self.shard = Shard(json.dumps(changed).encode(), classes, functions, True, keep_remote=True)
        self.loop = TestLoop(self.shard)
        self.loop.set_exception_handler(lambda loop, context: None)
        self.watched = Uncommitted(self.shard)
        self.errors: list[BaseException] = []
        self.interrupts = 0
        self.runner = Runner(self.watched, on_error=self._note, loop=self.loop)  # type: ignore[arg-type]

    def __enter__(self) -> Rig:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.loop.close()
        self.shard.close()

    def _note(self, error: BaseException, kind: str, uri: str) -> None:
        self.errors.append(error)

    # -- events

    def post(self, cls: Any, key: str, command: Any, body: Any = None) -> None:
        self.shard.post_to(cls.__shoal__.population, (key,) if key else (), command.number, body)

    def order(self, key: str, script: int, x: float | None = None, *, slowly: bool = False) -> None:
        cell = self.made.cell
        self.post(cell, key, cell.go if slowly else cell.do, Order(script, x))

    def advance(self, seconds: float) -> None:
        """Timers on the way fire, each at its time."""
        target = self.shard.now() + round(seconds * 1e6)
        while (due := self.shard.next_due()) is not None and due <= target:
            self.shard.advance(due)
            self.run()
        self.shard.advance(target)
        self.run()

    def run(self) -> None:
        """Until nothing waits. A KeyboardInterrupt of a handler is counted, as a program's loop would see it."""
        while True:
            try:
                while self.runner.batch(_BUDGET):
                    pass
                self.loop.run_forever()
            except KeyboardInterrupt:
                self.interrupts += 1
                continue
            if not self.shard.waiting():
                return

    def run_tripped(self, trip: Trip) -> None:
        self.made.stage.trip = trip
        try:
            self.run()
        finally:
            self.made.stage.trip = None

    @property
    def state(self) -> State:
        return state_of(self.shard)


def state_of(shard: Shard) -> State:
    """All that must be as before: everything but the numbers that count envelopes."""
    state: State = json.loads(shard.dump())
    state["inner"] = [re.sub(r"sequence: \d+", "sequence: …", envelope) for envelope in state["inner"]]
    return state
