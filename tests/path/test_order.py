"""Within a twin: one event at a time, in the order in which one sender sent them."""

import asyncio
import json
import random
from pathlib import Path
from typing import Any

import msgspec
import pytest

from shoal import App, Command, Count, Twin, Value
from shoal.run import Run, RunOptions, with_loop

pytestmark = pytest.mark.slow


class Step(msgspec.Struct):
    id: str
    sender: str
    number: int


def app_of(wait: bool) -> App[None]:
    app: App[None] = App("order")

    @app.twin("/walker/{id}")
    class Walker(Twin):
        step = Command(Step)
        steps = Count(step)
        inside = Value(bool, False)

        @step.handler
        async def on_step(self, step: Step) -> None:
            # an async turn: whoever came in between would find it inside, or its sender's later step before this one
            assert not self.inside
            self.inside = True
            for _ in range(step.number % 3 if wait else 0):
                await asyncio.sleep(0)
            self.inside = False
            self.at(Witness, step.id, step.sender).saw(step.number)

    @app.twin("/witness/{walker}/{sender}")
    class Witness(Twin):
        saw = Command(int)
        last = Value(int, 0)

        @saw.handler
        def on_saw(self, number: int) -> None:
            assert number == self.last + 1, f"{number} after {self.last}"
            self.last = number

    app.ingest("a.jsonl", Walker.step)
    app.ingest("b.jsonl", Walker.step)
    return app


@pytest.mark.parametrize("wait", [False, True])
def test_each_senders_events_arrive_in_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wait: bool) -> None:
    monkeypatch.chdir(tmp_path)
    rng = random.Random(7)
    sent: dict[tuple[str, str], int] = {}
    for sender in "ab":
        lines = []
        for _ in range(2_000):
            key = (str(rng.randrange(20)), sender)
            sent[key] = sent.get(key, 0) + 1
            lines.append(json.dumps({"id": key[0], "sender": sender, "number": sent[key]}))
        (tmp_path / f"{sender}.jsonl").write_text("\n".join(lines))
    errors: list[BaseException] = []

    def note(error: BaseException, *_: Any) -> None:
        errors.append(error)

    run = Run(app_of(wait), options=RunOptions(once=True, on_error=note))
    try:
        totals = with_loop(run.until_done())
        last = [run.shard.read(1, key, 0) for key in sent]
    finally:
        run.close()
    assert not errors
    assert last == list(sent.values())
    assert totals.dead == 0
