"""Each letter of a store is in the file once, wherever a run was killed or the power failed."""

from __future__ import annotations

import concurrent.futures
import json
import os
import random
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from shoal import dead_letters
from shoal._core import DeadLetter
from shoal.dead_letter_tail import Tail
from shoal.dead_letters import DeadLetterFile, line_of
from shoal.errors import RunFailed
from shoal.fsync import Fsync

LETTERS = 7


class Killed(BaseException):
    pass


class AtOnce:
    """An executor that does it in the thread that asks, so that a test can kill it there."""

    def __init__(self, *_: Any) -> None: ...

    def submit(self, function: Callable[..., None], *arguments: Any) -> concurrent.futures.Future[None]:
        future: concurrent.futures.Future[None] = concurrent.futures.Future()
        try:
            future.set_result(function(*arguments))
        except BaseException as error:
            future.set_exception(error)
        return future

    def shutdown(self, wait: bool) -> None: ...


class World:
    """A disk, a store that remembers one number, and a run that is killed at a step."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.remembered = 0
        self.steps = 0
        self.kill_at = -1
        # how much of the write that the kill interrupts is done
        self.part = 0.0
        # bytes of the file that are on the disk; None: its entry in the folder is not
        self.synced = 0
        self.entry = False
        self.file: DeadLetterFile | None = None

    def step(self) -> None:
        self.steps += 1
        if self.steps == self.kill_at:
            raise Killed

    def install(self, patch: pytest.MonkeyPatch) -> None:
        write, truncate, now = os.write, os.truncate, iter(range(1_000_000))

        def writes(fd: int, data: bytes) -> int:
            try:
                self.step()
            except Killed:
                write(fd, bytes(data)[: int(len(data) * self.part)])
                raise
            return write(fd, data)

        def fsyncs(fd: int) -> None:
            self.step()
            if stat.S_ISREG(os.fstat(fd).st_mode):
                self.synced = os.fstat(fd).st_size
            elif Path(os.readlink(f"/proc/self/fd/{fd}")) == self.path.parent:
                self.entry = True

        def truncates(path: Path, size: int) -> None:
            self.step()
            truncate(path, size)
            self.synced = min(self.synced, size)
            self.step()

        patch.setattr(os, "write", writes)
        patch.setattr(os, "fsync", fsyncs)
        patch.setattr(os, "truncate", truncates)
        patch.setattr(dead_letters.time, "monotonic", lambda: next(now) * 0.02)
        patch.setattr(concurrent.futures, "ThreadPoolExecutor", AtOnce)

    def run(self, kill_at: int = -1, part: float = 0.0) -> bool:
        """False: it was killed."""
        self.steps, self.kill_at, self.part, self.file = 0, kill_at, part, None
        try:
            self.file = file = DeadLetterFile(self.path, self.remembered, "here")
            # some that the store knows to be on the disk are made again as well
            for number in range(max(1, self.remembered - 1), LETTERS + 1):
                file.add([letter(number)])
                self.remember(file.position())
                file.flush_old()
            file.close()
            self.remember(file.position())
        except Killed:
            if self.file is not None and self.file._fd >= 0:
                os.close(self.file._fd)
            return False
        return True

    def remember(self, position: int) -> None:
        self.step()
        assert position >= self.remembered
        self.remembered = position

    def lose_power(self, chance: random.Random) -> None:
        """Of what was not brought to the disk some blocks are there, some are zeros, the rest is missing."""
        if not self.path.exists():
            return
        if not self.entry and chance.random() < 0.5:
            self.path.unlink()
            return
        bytes_ = self.path.read_bytes()
        end = chance.randint(self.synced, max(self.synced, len(bytes_)))
        kept = bytearray(bytes_[:end])
        for at in range(self.synced, end, 64):
            if chance.random() < 0.3:
                kept[at : at + 64] = bytes(len(kept[at : at + 64]))
        self.path.write_bytes(kept)

    def numbers(self) -> list[int]:
        return [json.loads(line)["number"] for line in self.path.read_bytes().splitlines()]


def letter(number: int, record: bytes = b'{"id": 7}') -> DeadLetter:
    return DeadLetter("fixes.jsonl", number + 10, 0, "/bus/7", "report", "invalid", "no", record, number)


@pytest.fixture
def patch() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


def kills(path: Path, patch: pytest.MonkeyPatch) -> Iterator[World]:
    """Worlds after one kill, at every step and in the middle of every write."""
    kill_at = 0
    while True:
        kill_at += 1
        for part in (0.0, 0.2, 0.9, 1.0):
            path.unlink(missing_ok=True)
            world = World(path)
            with patch.context() as inner:
                world.install(inner)
                if world.run(kill_at, part):
                    assert kill_at > 20
                    return
                yield world


def test_a_run_that_is_killed_at_any_step_writes_each_letter_once(tmp_path: Path, patch: pytest.MonkeyPatch) -> None:
    for world in kills(tmp_path / "app.jsonl", patch):
        # and killed again
        world.run(world.steps % 7 + 1, 0.5)
        assert world.run()
        assert world.numbers() == list(range(1, LETTERS + 1))
        assert world.remembered == LETTERS


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_when_the_power_fails_at_any_step_no_letter_is_lost_or_doubled(
    tmp_path: Path, patch: pytest.MonkeyPatch, seed: int
) -> None:
    chance = random.Random(seed)
    for world in kills(tmp_path / "app.jsonl", patch):
        world.lose_power(chance)
        if not world.run(world.steps % 7 + 1, 0.5):
            world.lose_power(chance)
        assert world.run()
        assert world.numbers() == list(range(1, LETTERS + 1))


def lines(*numbers: int, store: str = "here") -> bytes:
    return b"".join(line_of(letter(number), store) for number in numbers)


def test_the_line_says_number_and_store() -> None:
    line = json.loads(line_of(letter(7), "here"))
    assert (line["number"], line["store"]) == (7, "here")
    assert not {"number", "store"} & json.loads(line_of(letter(0), "here")).keys()


# the third letter, of which one block is missing
HOLED = lines(3)[:20] + bytes(30) + lines(3)[50:]


@pytest.mark.parametrize(
    ("content", "through", "kept", "held"),
    [
        (b"", 5, b"", 5),
        (lines(1, 2, 3), 1, lines(1, 2, 3), 3),
        (lines(1, 2, 3), 9, lines(1, 2, 3), 9),  # rotated away and written anew
        (lines(1, 2) + lines(3)[:-1], 1, lines(1, 2), 2),
        (lines(1, 2) + b'{"ti', 1, lines(1, 2), 2),
        (lines(1, 2) + bytes(40), 1, lines(1, 2), 2),
        (lines(1, 2) + bytes(40) + lines(3), 1, lines(1, 2), 2),
        (lines(1, 2) + HOLED + lines(4, 5), 1, lines(1, 2), 2),
        (lines(1, 2) + HOLED + lines(4, 0), 1, lines(1, 2) + HOLED + lines(4, 0), 2),
        (lines(1) + bytes(40) + lines(2, 3), 3, lines(1) + bytes(40) + lines(2, 3), 3),
        # those of another store, or of none, are not this one's
        (lines(1, 2) + lines(8, 9, store="there"), 1, lines(1, 2) + lines(8, 9, store="there"), 2),
        (lines(8, 9, store="there"), 0, lines(8, 9, store="there"), 0),
        (lines(4) + lines(0), 1, lines(4) + lines(0), 4),
        # a run without the store has gone on behind a torn letter: nothing of it is taken off, and 3 comes again
        (lines(2) + lines(3)[:30] + lines(0, 0), 1, lines(2) + lines(3)[:30] + lines(0, 0), 2),
        (lines(2) + bytes(9) + lines(4) + lines(0), 1, lines(2) + bytes(9) + lines(4) + lines(0), 2),
        # somebody's notes
        (lines(1) + b"looked at\nand", 1, lines(1) + b"looked at\nand", 1),
    ],
)
def test_a_run_goes_on_behind_what_the_file_holds(
    tmp_path: Path, content: bytes, through: int, kept: bytes, held: int
) -> None:
    path = tmp_path / "app.jsonl"
    path.write_bytes(content)
    file = DeadLetterFile(path, through, "here")
    assert (file.start, file.torn) == (len(kept), len(content) - len(kept))
    fresh = file.add([letter(number) for number in range(1, 12)])
    assert [each.number for each in fresh] == list(range(held + 1, 12))
    file.close()
    assert file.position() == 11
    between = b"" if not kept or kept.endswith(b"\n") else b"\n"
    assert path.read_bytes() == kept + between + lines(*range(held + 1, 12))
    assert file.written == 11 - held


def test_only_the_end_of_a_large_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shoal.dead_letter_tail.WINDOW", 400)
    path = tmp_path / "app.jsonl"
    whole = lines(*range(1, 50))
    for cut in range(300):
        path.write_bytes(whole[: len(whole) - cut])
        tail = Tail.of(path, 3, "here")
        # 49 letters of the same length, but for the digits
        there = whole[: len(whole) - cut].count(b"\n")
        assert (tail.held, tail.size + tail.torn) == (there, len(whole) - cut)
        assert whole[: tail.size].count(b"\n") == there
    path.write_bytes(b"x" * 1000)
    assert Tail.of(path, 3, "here") == Tail(1000, 0, 3, True)
    path.write_bytes(b"x" * 1000 + b"\n")
    assert Tail.of(path, 3, "here") == Tail(1001, 0, 3)


def test_without_a_store_nothing_is_taken_off_and_numbers_do_not_count(tmp_path: Path) -> None:
    path = tmp_path / "app.jsonl"
    path.write_bytes(lines(1, 2)[:-5])
    file = DeadLetterFile(path)
    assert len(file.add([letter(0), letter(0)])) == 2
    file.close()
    assert path.read_bytes() == lines(1, 2)[:-5] + lines(0, 0)
    assert file.position() == 0


def test_the_position_follows_the_disk(tmp_path: Path, patch: pytest.MonkeyPatch) -> None:
    now = 100.0
    patch.setattr(dead_letters.time, "monotonic", lambda: now)
    patch.setattr(concurrent.futures, "ThreadPoolExecutor", AtOnce)
    synced: list[Path] = []
    patch.setattr(os, "fsync", lambda fd: synced.append(Path(os.readlink(f"/proc/self/fd/{fd}"))))
    path = tmp_path / "new" / "app.jsonl"
    file = DeadLetterFile(path, 4, "here")
    file.add([letter(5), letter(6)])
    assert (file.position(), synced) == (4, [])
    now = 100.1
    file.flush_old()
    assert {path, path.parent, tmp_path} <= set(synced)
    synced.clear()
    assert file.waiting
    assert file.position() == 6
    assert not file.waiting
    file.add([letter(7)])
    file.flush()
    # too soon after the last
    assert (file.position(), synced) == (6, [])
    now = 100.2
    file.flush_old()
    file.add([letter(8)])
    assert (file.position(), synced) == (7, [path])
    file.close()
    assert (file.position(), synced) == (8, [path, path])


def test_a_disk_that_takes_no_more_ends_the_run_and_is_not_asked_again(
    tmp_path: Path, patch: pytest.MonkeyPatch
) -> None:
    patch.setattr(concurrent.futures, "ThreadPoolExecutor", AtOnce)
    asked: list[int] = []

    def refuse(fd: int) -> None:
        asked.append(fd)
        raise OSError(5, "Input/output error")

    patch.setattr(os, "fsync", refuse)
    file = DeadLetterFile(tmp_path / "app.jsonl", 0, "here")
    file.add([letter(1)])
    file.flush()
    file.flush_old()
    for _ in range(2):
        with pytest.raises(RunFailed, match=r"brought to the disk in .*app\.jsonl: Input/output error.*--dead-letters"):
            file.position()
    with pytest.raises(RunFailed, match="brought to the disk"):
        file.close()
    assert len(asked) == 1


def test_what_is_no_plain_file_is_written_to_and_not_read() -> None:
    file = DeadLetterFile(Path("/dev/null"), 3, "here")
    assert [each.number for each in file.add([letter(3), letter(4)])] == [4]
    file.close()
    assert file.position() == 4


def test_a_file_that_cannot_be_read_stops_the_run_before_it_starts(tmp_path: Path) -> None:
    with pytest.raises(RunFailed, match=r"cannot be gone on with: Is a directory.*--dead-letters"):
        DeadLetterFile(tmp_path, 0, "here")


def test_an_fsync_in_its_own_thread_reaches_what_was_written(tmp_path: Path) -> None:
    fd = os.open(tmp_path / "x", os.O_WRONLY | os.O_CREAT)
    sync = Fsync()
    sync.expect(tmp_path / "x")
    os.write(fd, b"1")
    assert sync.reach(fd, 1) == 0
    assert sync.finish(fd, 2) == 2
    sync.close()
    os.close(fd)
