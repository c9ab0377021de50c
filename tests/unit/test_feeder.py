"""Records of iterables, and where a run goes on with them that an earlier one has begun."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from shoal import App, Command, Twin, run
from shoal._core import Counts, DeadLetter
from shoal.declaration import Declaration
from shoal.errors import RunFailed
from shoal.run import RunOptions, once
from shoal.sources import opening
from shoal.sources.opening import Feeder, Source, declare


class FakeShard:
    """Notes what it is given, as (position, record)."""

    def __init__(self) -> None:
        self.given: list[tuple[int, Any]] = []
        self.calls: list[int] = []
        self.waiting = 0

    def counts(self, source: int) -> Counts:
        return Counts(0, 0, 0, 0, self.waiting, 0, "open")

    def records(self, source: int, records: list[Any], first: int = 0) -> None:
        self.calls.append(len(records))
        self.given += [(first + at, record) for at, record in enumerate(records)]


def source_of(records: Any) -> Source:
    app = App("fed")

    @app.twin("/one")
    class One(Twin):
        go = Command(str)

    app.ingest(records, One.go)
    [source] = declare(app, msgspec.json.decode(app.declaration()[0], type=Declaration))
    return source


def fed(records: Iterable[Any], *mark: tuple[int, list[int]]) -> list[tuple[int, Any]]:
    shard: Any = FakeShard()
    feeder = Feeder(source_of(records), shard, *mark)
    for _ in range(1_000):
        feeder.step()
        if feeder.exhausted:
            return list(shard.given)
    pytest.fail("it does not end")


@pytest.mark.parametrize("kind", [list, tuple])
def test_a_list_is_gone_on_with_after_any_record(kind: Any) -> None:
    records = kind("abcdefg")
    whole = fed(records)
    assert whole == list(enumerate("abcdefg", start=1))
    for through in range(len(records) + 1):
        for waiting in ([], [1], [2, 3], list(range(1, through + 1))):
            if all(position <= through for position in waiting):
                rest = [each for each in whole if each[0] > through or each[0] in waiting]
                assert fed(records, (through, waiting)) == rest


def test_long_lists_are_fed_in_chunks_at_their_positions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "CHUNK", 10)
    shard: Any = FakeShard()
    feeder = Feeder(source_of(list(range(100))), shard, (50, list(range(1, 26))))
    feeder.step()
    assert shard.given == [(position, position - 1) for position in range(1, 11)]
    shard.waiting = opening.AHEAD + 1
    feeder.step()
    assert len(shard.given) == 10
    shard.waiting = 0
    while not feeder.exhausted:
        feeder.step()
    assert shard.given == [(position, position - 1) for position in [*range(1, 26), *range(51, 101)]]
    assert max(shard.calls) == 10


def test_what_is_read_once_starts_at_its_beginning() -> None:
    assert fed(iter("abc"), (2, [])) == [(1, "a"), (2, "b"), (3, "c")]
    assert fed(dict.fromkeys("ab").keys(), (2, [])) == [(1, "a"), (2, "b")]


def test_a_list_that_has_become_shorter_is_another_one() -> None:
    with pytest.raises(RunFailed, match=r"records ends at record 3, and those up to 4 .* another list\. Start with"):
        fed(["a", "b", "c"], (4, []))


@pytest.mark.parametrize(
    ("source", "replayable"),
    [([], True), ((), True), (range(3), False), (iter(()), False), ("x.jsonl", True), ("-", False)],
)
def test_lists_and_files_can_be_read_again(source: Any, replayable: bool) -> None:
    assert source_of(source).declaration.replayable == replayable


def test_a_real_shard_has_them_at_their_positions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = App("fed")

    @app.twin("/one")
    class One(Twin):
        go = Command(str)

    app.ingest([1, 2, 3, 4, 5], One.go)
    monkeypatch.setattr(run, "Feeder", lambda source, shard, _mark: Feeder(source, shard, (3, [1, 2])))
    letters: list[DeadLetter] = []
    options = RunOptions(once=True, dead_letters=tmp_path / "dead.jsonl", on_dead_letters=letters.extend)
    totals = once(app, options=options)
    assert [(letter.sequence, letter.record) for letter in letters] == [(n, str(n).encode()) for n in (1, 2, 4, 5)]
    assert totals.dead == 4
