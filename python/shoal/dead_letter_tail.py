"""What a dead-letter file holds already, read from its end when a run with a store starts."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import msgspec

# Bytes looked at. The longest line has a record of 1,000,000 bytes, each of which may take six to be written.
WINDOW = 16 << 20
# A letter's line begins so.
BEGINNING = b'{"time":'


class _Line(msgspec.Struct):
    number: int = 0
    store: str = ""


class Tail(msgspec.Struct, frozen=True):
    """The end of a file whose letters up to number ``through`` of the store are known to be on the disk."""

    # bytes of the file that are whole lines, and may be appended to
    size: int = 0
    # bytes behind them: a letter cut short by a crash
    torn: int = 0
    # the highest number of this store's letters; ``through`` where the file has none that is higher
    held: int = 0
    # it ends without a line end, but in nothing that a crash has left
    open: bool = False

    @classmethod
    def of(cls, path: Path, through: int, store: str) -> Tail:
        """``store`` names the store: letters of another one, and of runs without one, do not count.

        Raises ``OSError`` where the file cannot be read. None of it is read where it is no plain file, or absent.
        """
        try:
            with path.open("rb") as file:
                found = os.fstat(file.fileno())
                if not stat.S_ISREG(found.st_mode):
                    return cls(held=through)
                begin = max(0, found.st_size - WINDOW)
                file.seek(begin)
                window = file.read(WINDOW)
        except FileNotFoundError:
            return cls(held=through)
        size = begin + len(window)
        if begin:
            # the first line is not whole
            begin += window.find(b"\n") + 1
            window = window[begin - size :] if begin < size else b""
        return cls._read(window, begin, through, store)

    @classmethod
    def _read(cls, window: bytes, begin: int, through: int, store: str) -> Tail:
        """What follows letter ``through`` may not all have reached the disk before a power failure: it counts up to the
        first line with a hole in it, and not beyond.
        """
        end, held, torn_at, damaged = begin, through, -1, False
        for line in _lines(window):
            number = _number(line, store)
            if number > through:
                if not damaged:
                    held = max(held, number)
            elif number == 0 and _is_damaged(line):
                torn_at = end if torn_at < 0 else torn_at
                damaged = True
            else:
                # what was on the disk before, or what a run without this store has appended: to be kept
                torn_at, damaged = -1, False
            end += len(line)
        if torn_at >= 0:
            return cls(torn_at, end - torn_at, held)
        return cls(end, 0, held, bool(window) and not window.endswith(b"\n"))


def _lines(window: bytes) -> list[bytes]:
    # bytes.splitlines would end them at carriage returns, too
    lines = [line + b"\n" for line in window.split(b"\n")]
    lines[-1] = lines[-1][:-1]
    return [line for line in lines if line]


def _number(line: bytes, store: str) -> int:
    """Of a whole line of this store's letters; 0 for all others."""
    if not line.endswith(b"\n"):
        return 0
    try:
        found = msgspec.json.decode(line, type=_Line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return 0
    return found.number if found.store == store else 0


def _is_damaged(line: bytes) -> bool:
    """A crash has left it so: blocks that were never written are zeros."""
    if b"\0" in line:
        return True
    return not line.endswith(b"\n") and (line.startswith(BEGINNING) or BEGINNING.startswith(line))
