"""The loop around a shard, with a shard that does what the test says."""

import asyncio
import json
import os
from collections import deque
from pathlib import Path
from typing import Any

import msgspec
import pytest

from shoal import App, Command, Twin, run
from shoal._core import Counts, DeadLetter
from shoal.errors import DeclarationError, RunFailed
from shoal.run import Run, RunOptions, once


class FakeShard:
    """Each batch takes one item of ``work``: an exception is raised, a letter is dead, anything else is applied."""

    def __init__(self, *_: Any) -> None:
        self.work: deque[Any] = deque()
        self.applied: list[Any] = []
        self.said: list[str] = []
        self.letters: list[DeadLetter] = []
        self.sources: list[dict[str, Any]] = []
        self.open = True
        self.due: int | None = None
        self.flight = 0
        self.event = os.eventfd(0, os.EFD_NONBLOCK)

    def batch(self) -> bool:
        if self.due is not None and self.due <= 0:
            self.due = None
            self.applied.append("timer")
        if self.work:
            item = self.work.popleft()
            if isinstance(item, BaseException):
                raise item
            if isinstance(item, DeadLetter):
                self.letters.append(item)
            else:
                self.applied.append(item)
        return bool(self.work)

    def ingest(self, source: bytes, where: Any, to: Any) -> int:
        if json.loads(source)["name"] == "missing.jsonl":
            raise RunFailed("missing.jsonl: there is no such file")
        self.sources.append(json.loads(source))
        self.work.extend(["a", "b"])
        return len(self.sources) - 1

    def records(self, source: int, records: list[Any], first: int = 0) -> None:
        self.work.extend(records)

    def counts(self, source: int) -> Counts:
        return Counts(len(self.applied), len(self.applied), 0, 0, 0, 0, "done" if self.done() else "open")

    def done(self) -> bool:
        return not self.open or not self.work

    def inner_counts(self) -> Counts:
        return Counts(0, 0, 0, 0, 0, 0, "open")

    def outside_counts(self) -> Counts:
        return Counts(0, 0, 0, 0, 0, 0, "open")

    def dead_letters(self) -> list[DeadLetter]:
        taken, self.letters = self.letters, []
        return taken

    def fileno(self) -> int:
        return self.event

    def woken(self) -> None:
        os.eventfd_read(self.event)

    def next_due(self) -> int | None:
        return self.due

    def now(self) -> int:
        if self.due is not None:  # the next look finds the timer due
            self.due = 0
        return 0

    def next_wake(self) -> None:
        return None

    def in_flight(self) -> int:
        return self.flight

    def is_sending(self) -> bool:
        return False

    def unsent(self) -> int:
        return 0

    def remotes(self) -> list[tuple[str, bool, int, int, str]]:
        return []

    def stop_listening(self) -> None:
        pass

    def stop_serving(self, seconds: float) -> None:
        pass

    def waiting(self) -> bool:
        return bool(self.work)

    def size(self, population: int) -> int:
        return 1

    def mark(self, source: str) -> None:
        return None

    def journal(self) -> None:
        return None

    def stop_reading(self) -> None:
        self.said.append("stop reading")

    def stop(self) -> None:
        self.said.append("stop")
        self.work.append("on_stop")

    def close(self) -> None:
        os.close(self.event)


class FakeRunner:
    def __init__(self, shard: FakeShard, **_: Any) -> None:
        self.shard = shard
        self.tasks: set[asyncio.Task[None]] = set()

    def batch(self, budget: int) -> bool:
        assert budget == 2_000
        return self.shard.batch()


app: App[None] = App("looped")


@app.twin("/one")
class One(Twin):
    go = Command(str)


@pytest.fixture(autouse=True)
def fakes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(run, "Shard", FakeShard)
    monkeypatch.setattr(run, "Runner", FakeRunner)
    monkeypatch.setattr(app, "ingests", [])
    monkeypatch.chdir(tmp_path)


def shard_of(looped: Run) -> FakeShard:
    shard: Any = looped.shard
    return shard


def drive(looped: Run) -> FakeShard:
    async def main() -> None:
        async with asyncio.timeout(10):
            await looped.until_done()

    asyncio.run(main())
    return shard_of(looped)


def letter(position: int = 3) -> DeadLetter:
    return DeadLetter("x.jsonl", position, 0, "/one", "go", "invalid", "no", b"{")


def test_a_run_drains_and_stops_its_twins_when_its_sources_are_exhausted() -> None:
    app.ingest("x.jsonl", One.go)
    shard = drive(Run(app, options=RunOptions(once=True)))
    assert shard.applied == ["a", "b", "on_stop"]
    assert shard.said == ["stop reading", "stop"]


def test_an_iterable_is_fed_a_chunk_a_time() -> None:
    app.ingest((str(n) for n in range(2_500)), One.go)
    shard = drive(Run(app, options=RunOptions(once=True)))
    assert shard.sources[0]["file"] is None
    assert shard.applied == ["a", "b", *map(str, range(2_500)), "on_stop"]


def test_sources_are_what_the_ingest_lines_say() -> None:
    class Fix(msgspec.Struct):
        t: float

    @app.twin("/pair/{left}/{right}")
    class Pair(Twin):
        go = Command()
        fix = Command(Fix, time="t")

    app.ingest("x.csv", Pair.fix, key={"left": "l"}, where=bool)
    app.ingest("x.csv", Pair.go, time="t", speed=60)
    app.ingest("-", lambda record: f"/pair/{record['a']}/1", lane="go")
    sources = drive(Run(app, options=RunOptions(once=True, speed="max"))).sources
    assert [(source["name"], source["target"], source["key"], source["filter"]) for source in sources] == [
        ("x.csv", [1, 1], {"left": "l"}, True),
        ("x.csv#2", [1, 0], {}, False),
        ("stdin", None, {}, False),
    ]
    assert [source["speed"] for source in sources] == [None, None, None]
    assert sources[2]["lane"] == "go"


def test_a_speed_without_a_time_is_a_mistake() -> None:
    app.ingest("x.jsonl", One.go, speed=60)
    with pytest.raises(
        DeclarationError, match='speed=60 needs a file with a time; say which field it is: time="FIELD"'
    ):
        Run(app)


def test_a_source_that_is_nothing_of_the_kind_is_a_mistake() -> None:
    app.ingest(7, One.go)  # type: ignore[arg-type]
    with pytest.raises(DeclarationError, match=r"ingest\(7\): its source is a int; give a path, or an iterable"):
        Run(app)


def test_strict_ends_at_the_first_dead_letter() -> None:
    app.ingest("x.jsonl", One.go)
    looped = Run(app, options=RunOptions(once=True, strict=True))
    shard_of(looped).work.extend([letter(), letter(4)])
    shard = drive(looped)
    assert looped.stopped_by is not None
    assert looped.stopped_by.sequence == 3
    assert shard.applied == []
    assert shard.said == []
    assert looped.dead_letters.path.read_bytes().count(b"\n") == 1


def test_dead_letters_are_in_their_file_when_the_run_is_done() -> None:
    seen: list[DeadLetter] = []
    looped = Run(app, options=RunOptions(once=True, on_dead_letters=seen.extend))
    shard_of(looped).work.extend([letter(), letter()])
    drive(looped)
    assert looped.dead_letters.written == len(seen) == 2
    assert looped.dead_letters.path == Path("dead-letters/looped.jsonl")


def test_a_dead_letter_that_cannot_be_written_ends_the_run() -> None:
    looped = Run(app, options=RunOptions(dead_letters=Path("/dev/full")))
    shard_of(looped).work.extend([letter()])
    with pytest.raises(RunFailed, match=r"reached x\.jsonl at 3"):
        drive(looped)


def test_a_core_that_breaks_ends_the_run_without_another_batch() -> None:
    looped = Run(app)
    shard_of(looped).work.extend(["a", RuntimeError("the core broke"), "b"])
    with pytest.raises(RuntimeError, match="the core broke"):
        drive(looped)
    assert shard_of(looped).applied == ["a"]
    assert shard_of(looped).said == []


def test_a_source_that_is_not_there_ends_the_run() -> None:
    app.ingest("missing.jsonl", One.go)
    with pytest.raises(RunFailed, match=r"missing\.jsonl: there is no such file"):
        drive(Run(app))


def test_timers_that_are_due_get_a_batch() -> None:
    async def main() -> None:
        looped = Run(app)
        shard = shard_of(looped)
        shard.due = 1
        running = asyncio.create_task(looped.until_done())
        async with asyncio.timeout(10):
            while not shard.applied:
                await asyncio.sleep(0)
            looped.stop()
            await running
        assert shard.applied == ["timer", "on_stop"]

    asyncio.run(main())


def test_work_from_another_thread_wakes_the_loop() -> None:
    async def main() -> None:
        looped = Run(app)
        shard = shard_of(looped)
        running = asyncio.create_task(looped.until_done())
        async with asyncio.timeout(10):
            while looped._next is not None or not hasattr(looped, "_runner"):
                await asyncio.sleep(0)
            shard.work.append("late")
            os.eventfd_write(shard.event, 1)
            while not shard.applied:
                await asyncio.sleep(0)
            looped.stop()
            await running
        assert shard.applied == ["late", "on_stop"]

    asyncio.run(main())


def test_a_drain_that_takes_too_long_ends_with_what_still_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "DRAIN_SECONDS", 0.01)
    looped = Run(app, options=RunOptions(once=True))
    shard_of(looped).flight = 1

    async def main() -> None:
        running = asyncio.create_task(looped.until_done())
        await asyncio.sleep(0)
        looped.stop()
        async with asyncio.timeout(10):
            await running

    asyncio.run(main())
    assert shard_of(looped).said == ["stop reading"]


def test_a_second_stop_ends_at_once() -> None:
    looped = Run(app)
    shard_of(looped).flight = 1

    async def main() -> None:
        running = asyncio.create_task(looped.until_done())
        await asyncio.sleep(0)
        looped.stop()
        await asyncio.sleep(0)
        looped.stop()
        async with asyncio.timeout(2):
            await running

    asyncio.run(main())
    assert shard_of(looped).said == ["stop reading"]


def test_once_gives_the_totals_and_closes() -> None:
    app.ingest("x.jsonl", One.go)
    totals = once(app)
    assert totals.read == 3
    assert totals.twins["One"] == 1


def test_config_comes_from_the_environment_where_none_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    class Settings(msgspec.Struct):
        limit: float = 1.0

    configured = App("configured", config=Settings)
    monkeypatch.setenv("CONFIGURED_LIMIT", "2.5")
    assert Run(configured).config == Settings(2.5)
    assert Run(configured, Settings(3.5)).config == Settings(3.5)
