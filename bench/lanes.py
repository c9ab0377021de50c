"""Reading and writing a lane from Python, net of an empty loop."""

import time

from measure import Sample, drive, start
from table import REFERENCE, Row

from shoal import App, Command, Twin, Value

CONTENDERS = ["lanes"]
RUNS = 7
TIMES = 1_000_000
TURNS = 200_000
WRITES = 4  # lanes written in one turn
SPEED = 31.5


def measure(contender: str) -> Sample:
    assert contender == "lanes"
    return {**in_one_turn(), "first_write": first_write()}


def in_one_turn() -> Sample:
    """ns a read and a write of a float lane, in a handler that does nothing else; ``noise`` is the empty loop."""
    app = App("lanes")
    taken: dict[str, float] = {}

    @app.twin("/bus/{id}")
    class Bus(Twin):
        go = Command()
        speed = Value(float, 0.0)

        @go.handler
        def on_go(self) -> None:
            empty, read, write = [], [], []
            for _ in range(3):
                start = time.thread_time_ns()
                for _ in range(TIMES):
                    pass
                empty.append(time.thread_time_ns() - start)
                start = time.thread_time_ns()
                for _ in range(TIMES):
                    self.speed  # noqa: B018
                read.append(time.thread_time_ns() - start)
                start = time.thread_time_ns()
                for _ in range(TIMES):
                    self.speed = SPEED
                write.append(time.thread_time_ns() - start)
            taken["empty"] = sorted(empty)[1] / TIMES
            taken["read"] = sorted(read)[1] / TIMES - taken["empty"]
            taken["write"] = sorted(write)[1] / TIMES - taken["empty"]

    app.ingest([{"id": "b0000001"}], Bus.go)
    drive(start(app))
    return taken


def first_write() -> float:
    """ns a write that is its lane's first in the turn, so that the old value goes to the undo log."""
    with_writes, without = [], []
    for _ in range(3):
        without.append(turns(writes=False))
        with_writes.append(turns(writes=True))
    return (min(with_writes) - min(without)) / TURNS / WRITES * 1e9


def turns(writes: bool) -> float:
    """CPU seconds of TURNS turns of a handler that writes four lanes, or nothing."""
    app = App("lanes")

    @app.twin("/bus/{id}")
    class Bus(Twin):
        go = Command()
        a = Value(float, 0.0)
        b = Value(float, 0.0)
        c = Value(float, 0.0)
        d = Value(float, 0.0)

        @go.handler
        def on_go(self) -> None:
            if writes:
                self.a = self.b = self.c = self.d = SPEED

    app.ingest([{"id": f"b{number % 1000:07}"} for number in range(TURNS)], Bus.go)
    return drive(start(app)).spent.cpu


def rows(medians: dict[str, Sample], loop: Sample) -> list[Row]:
    sample, scale = medians["lanes"], loop["rate"] / REFERENCE
    made = []
    for key in ("read", "write"):
        scaled = sample[key] * scale
        made.append(
            Row(
                f"lane {key} from Python", f"{scaled:.1f} ns", "≤ 40 ns", scaled <= 40, f"{sample[key]:.1f} ns unscaled"
            )
        )
    first = sample["first_write"]
    made.append(Row("lane write, first in its turn", f"{first * scale:.1f} ns", "", None, f"{first:.1f} ns unscaled"))
    return made
