"""Brings what was written to one file to the disk, in a thread of its own: an fsync may take long, and the caller must
not stand still for it.
"""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

# At least so long from the beginning of one fsync to that of the next (seconds).
SYNC_SECONDS = 0.05
# What ``finish`` waits for one at most (seconds).
PATIENCE_SECONDS = 30.0


class Fsync:
    """Of one file, whose writer counts what it has written. One fsync is under way at a time."""

    def __init__(self) -> None:
        # folders with an entry that may be new: it must be on the disk, too
        self._folders: list[Path] = []
        # made when it is needed; it waits in a system call, without the GIL
        self._thread: ThreadPoolExecutor | None = None
        self._under_way: Future[None] | None = None
        # of the one under way, and of the last that has succeeded
        self._number = self._reached = 0
        self._next = 0.0
        # a failed fsync says nothing of what is on the disk, nor would the next one
        self._failure: BaseException | None = None

    def expect(self, path: Path) -> None:
        """Names the file. It and its folders may be new, made by this run or by one that was killed before they were on
        the disk, wherever this process may make something.
        """
        for folder in path.absolute().parents:
            if not os.access(folder, os.W_OK):
                break
            self._folders.append(folder)

    def reach(self, fd: int, number: int) -> int:
        """What is known to be on the disk; has the file's content brought there, ``number``, unless an fsync is under
        way or the last one is too young. Raises ``OSError`` for ever after one has failed.
        """
        if self._under_way is not None and self._under_way.done():
            self._take(0.0)
        if self._failure is not None:
            raise self._failure
        now = time.monotonic()
        if self._under_way is None and self._reached < number and now >= self._next:
            self._next = now + SYNC_SECONDS
            self._begin(fd, number)
        return self._reached

    def finish(self, fd: int, number: int) -> int:
        """Waits until ``number`` is on the disk. Raises ``OSError``, and ``TimeoutError`` after PATIENCE_SECONDS."""
        if self._under_way is not None:
            self._take(PATIENCE_SECONDS)
        if self._failure is not None:
            raise self._failure
        if self._reached < number:
            self._begin(fd, number)
            self._take(PATIENCE_SECONDS)
        return self._reached

    def close(self) -> None:
        if self._thread is not None:
            self._thread.shutdown(wait=False)
            self._thread = None

    def _begin(self, fd: int, number: int) -> None:
        if self._thread is None:
            from concurrent.futures import ThreadPoolExecutor

            self._thread = ThreadPoolExecutor(1, "fsync")
        self._number = number
        # its own descriptor: the file's may be closed when nobody waits any longer
        self._under_way = self._thread.submit(self._run, os.dup(fd))

    def _take(self, seconds: float) -> None:
        assert self._under_way is not None
        done, self._under_way = self._under_way, None
        try:
            done.result(seconds)
        except BaseException as error:
            self._failure = error
            raise
        self._reached = self._number

    def _run(self, fd: int) -> None:
        try:
            # a pipe or a device keeps nothing
            if stat.S_ISREG(os.fstat(fd).st_mode):
                os.fsync(fd)
        finally:
            os.close(fd)
        while self._folders:
            folder = os.open(self._folders[-1], os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
            self._folders.pop()
