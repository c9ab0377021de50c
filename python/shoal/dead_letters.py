"""The dead-letter file: every record and command that could not be applied, one JSON object a line.

Nothing may be dropped, so a letter that cannot be written ends the run: ``RunFailed``.

With a store, letters have numbers, and a run that starts anew makes those again of which the store does not know that
they are on the disk. The file itself says which of them it holds, so that none is written twice.
"""

from __future__ import annotations

import base64
import hashlib
import os
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from shoal.dead_letter_tail import Tail
from shoal.errors import RunFailed
from shoal.fsync import Fsync
from shoal.totals import count

if TYPE_CHECKING:
    from shoal._core import DeadLetter

# A longer record is kept by its beginning, its length and its SHA-256: a line of 100 MB must not double on the disk.
LONGEST_RECORD = 1_000_000
KEPT_OF_LONGER = 64_000
# Letters wait this long for company before they are written (seconds), or until they are this many bytes.
FLUSH_SECONDS = 0.05
FLUSH_BYTES = 1 << 18

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class DeadLetterFile:
    """Appends to one file, which is made with its folder when the first letter comes.

    ``written`` counts letters, ``start`` is the file's size in bytes before this run's first one, ``torn`` the bytes of
    a letter that a crash had cut short: they were taken off.

    ``through`` is the number up to which the store knows letters to be on the disk; None: there is no store. ``store``
    names the store, so that letters of another in the same file do not count.

    Errors: ``RunFailed`` where the file that is there cannot be read.
    """

    def __init__(self, path: Path, through: int | None = None, store: str = "") -> None:
        self.path = path
        self.written = 0
        self.torn = 0
        self._store = store
        self._waiting = bytearray()
        self._waiting_letters = 0
        self._oldest = 0.0
        self._last: DeadLetter | None = None
        self._fd = -1
        # the highest number of the letters taken over, of those in the file, of those on the disk
        self._taken = self._flushed = self._synced = through or 0
        self._sync: Fsync | None = None
        # goes before the next letter
        self._prefix = b""
        if through is None:
            self.start = path.stat().st_size if path.is_file() else 0
        else:
            self._sync = Fsync()
            self.start = self._take_up(through)

    def add(self, letters: Sequence[DeadLetter]) -> Sequence[DeadLetter]:
        """Takes letters over and returns those that the file does not hold yet; they reach it within FLUSH_SECONDS if
        ``flush_old`` is called that often.
        """
        if self._sync is not None:
            letters = [letter for letter in letters if not 0 < letter.number <= self._taken]
        if not letters:
            return letters
        if not self._waiting:
            self._oldest = time.monotonic()
        self._waiting += self._prefix
        self._prefix = b""
        for letter in letters:
            self._waiting += line_of(letter, self._store)
            self._waiting_letters += 1
            self._taken = max(self._taken, letter.number)
            if len(self._waiting) >= FLUSH_BYTES:
                self._last = letter
                self.flush()
        self._last = letters[-1]
        self.flush_old()
        return letters

    def flush_old(self) -> None:
        if self._waiting and time.monotonic() - self._oldest >= FLUSH_SECONDS:
            self.flush()
        if self._sync is not None:
            self.position()

    @property
    def waiting(self) -> bool:
        """``flush_old`` has still something to do."""
        return bool(self._waiting) or (self._sync is not None and self._synced < self._flushed)

    def position(self) -> int:
        """The number up to which all letters are on the disk: what the store may forget. Does not block.

        Raises ``RunFailed`` where the system refuses to bring them there.
        """
        if self._sync is not None and self._synced < self._flushed:
            try:
                self._open()
                self._synced = max(self._synced, self._sync.reach(self._fd, self._flushed))
            except OSError as error:
                raise self._lost(error) from error
        return self._synced

    def flush(self) -> None:
        """All that was taken over is in the file; ``RunFailed`` if the system refuses it."""
        if not self._waiting:
            return
        try:
            self._open()
            while self._waiting:
                del self._waiting[: os.write(self._fd, self._waiting)]
        except OSError as error:
            reached = ""
            if self._last is not None:
                reached = f"; reached {self._last.origin} at {self._last.sequence}"
            raise RunFailed(
                f"{count(self._waiting_letters, 'dead letter')} cannot be written to {self.path}: "
                f"{error.strerror}{reached}. The run stops so that none is lost: make room, or name another file "
                "with --dead-letters"
            ) from error
        self.written += self._waiting_letters
        self._waiting_letters = 0
        self._flushed = self._taken
        self._oldest = time.monotonic()

    def close(self) -> None:
        """Flushes; with a store, ``position`` is that of the last letter afterwards."""
        try:
            self.flush()
            if self._sync is not None and self._synced < self._flushed:
                self._open()
                self._synced = self._sync.finish(self._fd, self._flushed)
        except OSError as error:
            raise self._lost(error) from error
        finally:
            if self._sync is not None:
                self._sync.close()
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1

    def _take_up(self, through: int) -> int:
        """Goes on behind the whole letters that the file holds; returns its size then."""
        try:
            tail = Tail.of(self.path, through, self._store)
            if tail.torn:
                os.truncate(self.path, tail.size)
        except OSError as error:
            raise RunFailed(
                f"{self.path} cannot be gone on with: {error.strerror}. The dead letters that it holds must be known, "
                "so that none is written twice: mend it, or name another file with --dead-letters"
            ) from error
        self.torn = tail.torn
        # not known to be on the disk, as they were written by a run that has not said so
        self._taken = self._flushed = tail.held
        if tail.open:
            self._prefix = b"\n"
        return tail.size

    def _open(self) -> None:
        if self._fd >= 0:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self._sync is not None:
            self._sync.expect(self.path)
        self._fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def _lost(self, error: OSError) -> RunFailed:
        return RunFailed(
            f"dead letters cannot be brought to the disk in {self.path}: {error.strerror or error}. The run stops so "
            "that none is lost: look after the disk, or name another file with --dead-letters"
        )


def line_of(letter: DeadLetter, store: str = "") -> bytes:
    """One line of the file. ``number`` and ``store`` are there where they are known.

    ``record`` is the text as it was read; bytes that are no UTF-8 are in ``record_base64``.
    """
    line: dict[str, Any] = {
        "time": _iso(letter.time),
        "origin": letter.origin,
        "position": letter.sequence,
        "node": letter.node,
        "lane": letter.lane,
        "kind": letter.kind,
        "reason": letter.reason,
    }
    if letter.number:
        line["number"] = letter.number
        if store:
            line["store"] = store
    record = letter.record
    if len(record) > LONGEST_RECORD:
        line["record_bytes"] = len(record)
        line["record_sha256"] = hashlib.sha256(record).hexdigest()
        record = _cut(record, KEPT_OF_LONGER)
    try:
        line["record"] = record.decode()
    except UnicodeDecodeError:
        line["record_base64"] = base64.b64encode(record).decode()
    return msgspec.json.encode(line) + b"\n"


def _iso(time: int) -> str | None:
    try:
        return (_EPOCH + timedelta(microseconds=time)).isoformat()
    except OverflowError:  # a replay's clock before its first record
        return None


def _cut(record: bytes, length: int) -> bytes:
    # Not inside of a character (at most four bytes), or a text would look like no text.
    for end in range(length, length - 4, -1):
        if record[end] & 0xC0 != 0x80:
            return record[:end]
    return record[:length]
