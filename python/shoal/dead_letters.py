"""The dead-letter file: every record and command that could not be applied, one JSON object a line.

Nothing may be dropped, so a letter that cannot be written ends the run: ``RunFailed``.
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

from shoal.errors import RunFailed
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

    ``written`` counts letters, ``start`` is the file's size in bytes before this run's first one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.written = 0
        self.start = path.stat().st_size if path.is_file() else 0
        self._waiting = bytearray()
        self._waiting_letters = 0
        self._oldest = 0.0
        self._last: DeadLetter | None = None
        self._fd = -1

    def add(self, letters: Sequence[DeadLetter]) -> None:
        """Takes letters over; they reach the file within FLUSH_SECONDS if ``flush_old`` is called that often."""
        if not letters:
            return
        if not self._waiting:
            self._oldest = time.monotonic()
        for letter in letters:
            self._waiting += line_of(letter)
            self._waiting_letters += 1
            if len(self._waiting) >= FLUSH_BYTES:
                self._last = letter
                self.flush()
        self._last = letters[-1]
        self.flush_old()

    def flush_old(self) -> None:
        if self._waiting and time.monotonic() - self._oldest >= FLUSH_SECONDS:
            self.flush()

    @property
    def waiting(self) -> bool:
        return bool(self._waiting)

    def flush(self) -> None:
        """All that was taken over is in the file; ``RunFailed`` if the system refuses it."""
        if not self._waiting:
            return
        try:
            if self._fd < 0:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
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
        self._oldest = time.monotonic()

    def close(self) -> None:
        try:
            self.flush()
        finally:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1


def line_of(letter: DeadLetter) -> bytes:
    """One line of the file. ``record`` is the text as it was read; bytes that are no UTF-8 are in ``record_base64``."""
    line: dict[str, Any] = {
        "time": _iso(letter.time),
        "origin": letter.origin,
        "position": letter.sequence,
        "node": letter.node,
        "lane": letter.lane,
        "kind": letter.kind,
        "reason": letter.reason,
    }
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
